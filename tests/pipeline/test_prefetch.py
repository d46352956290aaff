"""Work ahead: order, bounds, errors and ends; the flow of the right pair."""

import os
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import torch
from small_networks import picture

from videostyle.frames import Frame
from videostyle.pipeline.prefetch import FlowPrefetcher, Prefetcher, flow_workers


def worker_is_alive() -> bool:
    return any(t.name == "ahead" for t in threading.enumerate())


def flow_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("flow")]


def wait_until(condition) -> None:
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        threading.Event().wait(0.01)
    assert condition()


def test_everything_comes_in_order_and_the_thread_ends():
    with Prefetcher(iter(range(20)), room=3) as ahead:
        assert list(ahead) == list(range(20))
    assert not worker_is_alive()


def test_a_slow_consumer_makes_the_producer_wait(monkeypatch):
    made: list[int] = []
    refused: list[int] = []

    class Counting(queue.Queue):
        def put(self, item, block=True, timeout=None):
            try:
                super().put(item, block, 0.01)
            except queue.Full:
                refused.append(item)
                raise

    monkeypatch.setattr(queue, "Queue", Counting)

    def source():
        for i in range(100):
            made.append(i)
            yield i

    with Prefetcher(source(), room=2) as ahead:
        taken = iter(ahead)
        next(taken)
        wait_until(lambda: refused.count(3) >= 5)
        assert set(refused) <= {2, 3}  # 2 where the thread was there before the first was taken
        assert len(made) == 4  # one taken, two ready, one that waits for room
    assert not worker_is_alive()
    assert len(made) == 4


def test_an_error_there_is_raised_here_at_once():
    def source():
        yield 1
        yield 2
        raise ZeroDivisionError("there")

    with pytest.raises(ZeroDivisionError, match="there"), Prefetcher(source(), room=5) as ahead:
        wait_until(lambda: not worker_is_alive())
        next(iter(ahead))  # not the two that are ready: nobody would use them
    assert not worker_is_alive()


def test_an_error_here_ends_the_thread():
    def endless():
        i = 0
        while True:
            yield (i := i + 1)

    with pytest.raises(KeyError), Prefetcher(endless()) as ahead:
        next(iter(ahead))
        raise KeyError
    assert not worker_is_alive()


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_thread_computes_on_one_core_and_leaves_ours_alone(two_threads):
    there = []
    with Prefetcher(there.append(torch.get_num_threads()) or i for i in range(1)) as ahead:
        list(ahead)
        assert torch.get_num_threads() == 2
    assert there == [1]


def test_threads_begun_after_it_compute_on_as_many_cores_as_before(two_threads):
    frames = [Frame(picture(16, 16, seed=i), pts=i) for i in range(3)]
    flow, there = FlowPrefetcher(lambda current, previous: torch.get_num_threads(), helpers=1), []
    with Prefetcher(flow.pairs(frames)) as pairs:
        there += [flow(frame.pixels, frame.pixels) for frame in flow.frames(pairs)]
    assert there == [2, 1, 1]  # the first frame's has not been made ahead
    with ThreadPoolExecutor(1) as another:
        assert another.submit(torch.get_num_threads).result() == 2


@pytest.mark.parametrize(("cores", "helpers"), [(1, 1), (3, 1), (6, 4), (128, 8)])
@pytest.mark.parametrize("told", [True, False])
def test_helpers_are_counted_by_the_cores_that_are_ours(monkeypatch, cores, helpers, told):
    if told:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    else:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64 if told else cores)
    assert flow_workers() == helpers


def test_each_frame_has_the_flow_to_the_one_before_and_none_across_a_cut():
    frames = [Frame(picture(16, 16, seed=i), pts=i, cut=i == 2) for i in range(4)]
    asked = []

    def estimate(current, previous):
        asked.append([i for x in (current, previous) for i, f in enumerate(frames) if f.pixels is x])
        return len(asked)

    flow = FlowPrefetcher(estimate)
    ahead, found = [], []
    for i, frame in enumerate(flow.frames(flow.pairs(frames))):
        assert frame is frames[i]
        ahead.append(list(asked))
        asked_for = flow(frame.pixels, frames[i - 1].pixels) if i else None
        found.append(asked_for)
    assert ahead == [[], [[1, 0]], [[1, 0]], [[1, 0], [2, 1], [3, 2]]]  # nothing ahead for the cut's frame
    assert asked == [[1, 0], [2, 1], [3, 2]]  # once each, the cut's when it was asked for
    assert found == [None, 1, 2, 3]


def test_a_flow_that_was_not_made_ahead_is_made_now():
    flow = FlowPrefetcher(lambda current, previous: "now", wanted=False)
    list(flow.frames(flow.pairs([Frame(picture(16, 16)), Frame(picture(16, 16))])))
    assert flow(torch.empty(0), torch.empty(0)) == "now"


def test_helpers_estimate_side_by_side_and_flows_come_in_order():
    frames = [Frame(picture(16, 16, seed=i), pts=i, cut=i == 3) for i in range(6)]
    together = threading.Barrier(2, timeout=20)  # is passed only by two at a time

    def estimate(current, previous):
        together.wait()
        return [i for x in (current, previous) for i, f in enumerate(frames) if f.pixels is x]

    flow, found = FlowPrefetcher(estimate, helpers=2), []
    with Prefetcher(flow.pairs(frames), 4) as pairs:
        for i, frame in enumerate(flow.frames(pairs)):
            if i not in (0, 3):  # these have no flow, and one estimate alone would wait for another
                found.append(flow(frame.pixels, frames[i - 1].pixels))
    assert found == [[1, 0], [2, 1], [4, 3], [5, 4]]
    assert not worker_is_alive()
    assert not flow_threads()


def test_leaving_early_begins_no_more_flows_and_ends_the_helpers():
    frames = [Frame(picture(16, 16, seed=i), pts=i) for i in range(8)]
    has_previous, finish = [], threading.Event()

    def estimate(current, previous):
        has_previous.append(current)
        finish.wait(10)

    passed = []

    def watched(pairs):
        with closing(pairs):
            for pair in pairs:
                passed.append(pair)
                yield pair

    flow = FlowPrefetcher(estimate, helpers=1)
    with Prefetcher(watched(flow.pairs(frames)), 4) as pairs:
        next(flow.frames(pairs))
        wait_until(lambda: has_previous and len(passed) == 6)  # one taken, four ready, one that waits for room
        assert flow_threads()
        _, result = passed[4]
        result.__self__.add_done_callback(lambda _: finish.set())  # the first ends when the fourth is given up
    assert not worker_is_alive()
    assert not flow_threads()
    assert 1 <= len(has_previous) <= 2  # that for which there was no room yet may come just before it is given up


def test_an_error_of_a_helper_comes_with_its_frame():
    def estimate(current, previous):
        raise ZeroDivisionError

    flow = FlowPrefetcher(estimate, helpers=2)
    with pytest.raises(ZeroDivisionError), Prefetcher(flow.pairs([Frame(picture(16, 16))] * 5), 2) as pairs:
        list(flow.frames(pairs))
    assert not worker_is_alive()
