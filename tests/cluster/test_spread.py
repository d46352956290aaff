"""Handing out tasks: their order, what is begun again and where, when it is given up. Workers are pretended."""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from videostyle.cluster.spread import Ended, spread
from videostyle.cluster.task import Outcome, Task
from videostyle.pipeline.request import Request
from videostyle.pipeline.shot import Shot


def task(number: int, frames: int = 10) -> Task:
    shot = Shot(number, 0, frames, Fraction(number), None)
    return Task(shot, Request("video", "film.mp4", "style.jpg"), Path("shots"), Path("logs"), Path("token"))


class Pretended:
    """Carries out tasks at once, by ``answer``, a function of a task and the number of its attempt."""

    def __init__(self, answer: Callable[[int, int], Outcome], room: int = 2) -> None:
        self.room, self._answer = room, answer
        self.begun: list[int] = []
        self.avoided: list[list[str]] = []
        self._running: deque[Task] = deque()

    def submit(self, task: Task, avoid: Collection[str]) -> None:
        self.begun.append(task.shot.number)
        self.avoided.append(list(avoid))
        self._running.append(task)
        assert len(self._running) <= self.room

    def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
        task = self._running.popleft()
        number = task.shot.number
        return [(task, self._answer(number, self.begun.count(number)))]

    def close(self) -> None: ...


def all_ended(engine: Pretended, tasks: list[Task], stop: Callable[[], bool] = lambda: False) -> list[Ended]:
    return list(spread(tasks, engine, lambda running: None, stop))


def well(number: int, attempt: int) -> Outcome:
    return Outcome("a")


def test_tasks_are_begun_in_their_order() -> None:
    engine = Pretended(well)
    ended = all_ended(engine, [task(n) for n in (3, 1, 2)])
    assert engine.begun == [3, 1, 2] and [e.task.shot.number for e in ended] == [3, 1, 2]
    assert not any(e.problem for e in ended)


def test_a_lost_task_is_begun_again_twice_and_then_named(tmp_path: Path) -> None:
    engine = Pretended(lambda number, attempt: Outcome("node-7", "killed", again=True) if number == 1 else Outcome("a"))
    ended = all_ended(engine, [task(n) for n in range(4)])
    assert engine.begun.count(1) == 3
    (failed,) = (e for e in ended if e.problem)
    assert failed.problem == "shot 1 of film.mp4 (from 1.00 s) failed 3 times, at last on node-7: killed"
    (tmp_path / "shot-00001.log").touch()
    logged = replace(failed, task=replace(failed.task, logs=tmp_path))
    assert logged.problem.endswith(f"killed (see {tmp_path / 'shot-00001.log'})")


def test_a_retry_that_goes_well_is_no_failure() -> None:
    engine = Pretended(lambda number, attempt: Outcome("b", "killed", again=True) if attempt < 3 else Outcome("a"))
    assert [e.problem for e in all_ended(engine, [task(0)])] == [""] and engine.begun == [0, 0, 0]


def test_what_would_go_the_same_way_again_is_not_begun_again() -> None:
    engine = Pretended(lambda number, attempt: Outcome("a", "no such clip"))
    assert len(all_ended(engine, [task(0)])) == 1 and engine.begun == [0]


def test_a_node_that_fails_twice_gets_no_more() -> None:
    engine = Pretended(
        lambda number, attempt: Outcome("bad", "killed", again=True) if attempt == 1 else Outcome("a"), 1
    )
    all_ended(engine, [task(n) for n in range(3)])
    assert engine.avoided[0] == [] and engine.avoided[-1] == ["bad"]


def test_a_lost_task_is_begun_again_elsewhere() -> None:
    engine = Pretended(
        lambda number, attempt: Outcome(f"node-{attempt}", "killed", again=True) if attempt < 3 else Outcome("a")
    )
    all_ended(engine, [task(0)])
    assert list(map(sorted, engine.avoided)) == [[], ["node-1"], ["node-1", "node-2"]]


def test_a_stop_waits_for_what_is_in_progress() -> None:
    asked: list[int] = []

    def stop() -> bool:
        return len(asked) > 2

    def answer(number: int, attempt: int) -> Outcome:
        asked.append(number)
        return Outcome("a", stopped=stop())

    engine = Pretended(answer)
    ended = all_ended(engine, [task(n) for n in range(10)], stop)
    assert len(engine.begun) == 4 and len(ended) == 2  # two ended well, two were stopped


class Busy(Pretended):
    """Its one task goes on until it is told to stop."""

    def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
        self.looks = getattr(self, "looks", 0) + 1
        assert self.looks < 10, "nobody asked whether to stop"
        return super().wait(seconds) if self._answer(0, 1).stopped else []


def test_a_stop_reaches_workers_who_are_all_busy() -> None:
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(len(asked) > 3)
        return asked[-1]

    engine = Busy(lambda number, attempt: Outcome("a", stopped=any(asked)), room=1)
    assert not all_ended(engine, [task(0), task(1)], stop) and engine.begun == [0]


def test_a_stop_that_nobody_asked_for_is_begun_again() -> None:
    engine = Pretended(lambda number, attempt: Outcome("b", stopped=True) if attempt == 1 else Outcome("a"))
    assert [e.problem for e in all_ended(engine, [task(0)])] == [""] and engine.begun == [0, 0]
    blind = Pretended(lambda number, attempt: Outcome("b", stopped=True))
    (ended,) = all_ended(blind, [task(0)])
    assert blind.begun == [0, 0, 0] and "failed 3 times, at last on b: it stopped, which nobody" in ended.problem


def test_tasks_that_fail_everywhere_are_no_fault_of_the_nodes() -> None:
    """Two damaged clips, one after the other: each fails on three healthy nodes."""
    nodes = ["a", "b", "c"]
    engine = Pretended(
        lambda number, attempt: Outcome(nodes[attempt - 1], "damaged", again=True) if number < 2 else Outcome("a"), 1
    )
    ended = all_ended(engine, [task(n) for n in range(3)])
    assert [bool(e.problem) for e in ended] == [True, True, False] and engine.avoided[-1] == []


@pytest.mark.parametrize("count", [1000])
def test_many_tasks_are_taken_one_by_one(count: int) -> None:
    made: list[int] = []

    def tasks():
        for number in range(count):
            made.append(number)
            assert number - len(engine.begun) <= 1  # no sooner than a worker is free
            yield task(number)

    engine = Pretended(well, 8)
    assert sum(1 for _ in spread(tasks(), engine, lambda running: None, lambda: False)) == count == len(made)
