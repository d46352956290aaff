"""Work ahead: order, bounds, errors and ends; the flow of the right pair."""

import threading
import time

import pytest
import torch
from networks import picture

from videostyle.ahead import Ahead, FlowAhead
from videostyle.frame import Frame


def worker_is_alive() -> bool:
    return any(t.name == "ahead" for t in threading.enumerate())


def wait_until(condition) -> None:
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    assert condition()


def test_everything_comes_in_order_and_the_thread_ends():
    with Ahead(iter(range(20)), room=3) as ahead:
        assert list(ahead) == list(range(20))
    assert not worker_is_alive()


def test_a_slow_consumer_makes_the_producer_wait():
    made: list[int] = []

    def source():
        for i in range(100):
            made.append(i)
            yield i

    with Ahead(source(), room=2) as ahead:
        taken = iter(ahead)
        next(taken)
        wait_until(lambda: len(made) >= 4)
        time.sleep(0.2)
        assert len(made) == 4  # one taken, two ready, one that waits for room
    assert not worker_is_alive()
    assert len(made) == 4


def test_an_error_there_is_raised_here_at_once():
    def source():
        yield 1
        yield 2
        raise ZeroDivisionError("there")

    with pytest.raises(ZeroDivisionError, match="there"), Ahead(source(), room=5) as ahead:
        wait_until(lambda: ahead._error is not None)
        next(iter(ahead))  # not the two that are ready: nobody would use them
    assert not worker_is_alive()


def test_an_error_here_ends_the_thread():
    def endless():
        i = 0
        while True:
            yield (i := i + 1)

    with pytest.raises(KeyError), Ahead(endless()) as ahead:
        next(iter(ahead))
        raise KeyError
    assert not worker_is_alive()


def test_the_thread_computes_on_one_core_and_leaves_ours_alone():
    before, there = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        with Ahead(there.append(torch.get_num_threads()) or i for i in range(1)) as ahead:
            list(ahead)
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert there == [1]


def test_each_frame_has_the_flow_to_the_one_before_and_none_across_a_cut():
    frames = [Frame(picture(16, 16, seed=i), pts=i, cut=i == 2) for i in range(4)]
    asked = []

    def estimate(current, previous):
        asked.append([i for x in (current, previous) for i, f in enumerate(frames) if f.pixels is x])
        return len(asked)

    flow = FlowAhead(estimate)
    found = []
    for i, frame in enumerate(flow.frames(flow.pairs(frames))):
        assert frame is frames[i]
        found.append(flow._last)
    assert asked == [[1, 0], [3, 2]]
    assert found == [None, 1, None, 2]
    assert flow(frames[3].pixels, frames[2].pixels) == 2


def test_a_flow_that_was_not_made_ahead_is_made_now():
    flow = FlowAhead(lambda current, previous: "now", wanted=False)
    list(flow.frames(flow.pairs([Frame(picture(16, 16)), Frame(picture(16, 16))])))
    assert flow(torch.empty(0), torch.empty(0)) == "now"


def test_helpers_estimate_side_by_side_and_flows_come_in_order():
    frames = [Frame(picture(16, 16, seed=i), pts=i, cut=i == 3) for i in range(6)]
    together = threading.Barrier(2, timeout=20)  # is passed only by two at a time

    def estimate(current, previous):
        together.wait()
        return [i for x in (current, previous) for i, f in enumerate(frames) if f.pixels is x]

    flow, found = FlowAhead(estimate, helpers=2), []
    with Ahead(flow.pairs(frames), 4) as pairs:
        for _ in flow.frames(pairs):
            found.append(flow._last)
    assert found == [None, [1, 0], [2, 1], None, [4, 3], [5, 4]]
    assert not worker_is_alive()
    assert not [t for t in threading.enumerate() if t.name.startswith("flow")]


def test_an_error_of_a_helper_comes_with_its_frame():
    def estimate(current, previous):
        raise ZeroDivisionError

    flow = FlowAhead(estimate, helpers=2)
    with pytest.raises(ZeroDivisionError), Ahead(flow.pairs([Frame(picture(16, 16))] * 5), 2) as pairs:
        list(flow.frames(pairs))
    assert not worker_is_alive()
