"""Several clips over workers: what is a task, how many are begun at a time, what is kept. Workers are pretended."""

import math
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from videostyle.cluster import batch
from videostyle.cluster.batch import run_spread_batch
from videostyle.cluster.prepare import MOST_KNOWN, Prepared, Stylizers
from videostyle.cluster.task import Outcome, Task, carry_out
from videostyle.errors import DeviceError, StoppedError
from videostyle.pipeline.batch import BatchItemResult
from videostyle.pipeline.request import Callbacks, Request
from videostyle.samples import sample
from videostyle.settings import MediaSettings, RunSettings, Settings, SpreadSettings


class Pretended:
    """An opener and its engine: tasks are carried out in this process, the last one first."""

    def __init__(self, room: int, most_gib: float = math.inf) -> None:
        self.room, self._most = room, most_gib
        self.running: list[Task] = []
        self.at_a_time: list[int] = []
        self.files: set[str] = set()

    def memory_gib(self, prepared: Prepared) -> float | None:
        if prepared.planned_bytes > self._most * 2**30:
            raise DeviceError("no node has so much")
        return prepared.planned_bytes / 2**30

    def open(self, token: Path, files: Collection[str], logs: Path) -> "Pretended":
        assert token.exists() and logs.is_dir()
        self.files |= set(files)
        return self

    def submit(self, task: Task, avoid: Collection[str]) -> None:
        self.running.append(task)

    def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
        self.at_a_time.append(len(self.running))
        task = self.running.pop()
        return [(task, carry_out(task, "node"))]

    def close(self) -> None: ...


def clip(folder: Path, name: str, cuts: tuple[float, ...] = (), **media: Any) -> Request:
    """A request of two frames of 48 pixels."""
    asked = MediaSettings(**{"size": 48, "duration_seconds": 0.08, "cuts": cuts} | media)
    settings = Settings(iterations=2, history_size=2, keyframes="off")
    style = sample("styles/brush.jpg")
    return Request("video", sample("clip.mp4"), style, folder / f"{name}.mp4", settings, asked, RunSettings())


def spread_over(
    opener: Pretended, requests: list[Request], monkeypatch: pytest.MonkeyPatch, callbacks: Callbacks | None = None
) -> list[BatchItemResult]:
    found: list[BatchItemResult] = []
    monkeypatch.setattr(batch, "opener_of", lambda *asked: opener)
    run_spread_batch(requests, SpreadSettings(workers="2"), found.append, callbacks)
    return found


def test_the_shots_of_a_few_clips_are_painted_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opener = Pretended(8)
    requests = [clip(tmp_path, "a"), clip(tmp_path, "b"), clip(tmp_path, "two", (0.04,))]
    found = spread_over(opener, requests, monkeypatch)
    assert opener.at_a_time == [4, 3, 2, 1]  # the three clips are one run
    assert [len(item.result.record["shots"]) for item in found if item.result] == [1, 1, 2]
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "b.mp4", "two.mp4"}
    assert opener.files == {str(sample("clip.mp4")), str(sample("styles/brush.jpg"))}


def test_one_of_a_few_clips_fails_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"no clip\n" * 99)
    large = clip(tmp_path, "large", size=320)
    requests = [replace(clip(tmp_path, "bad"), source=damaged), large, clip(tmp_path, "a"), clip(tmp_path, "b")]
    most = Pretended(8, most_gib=0.61)
    found = spread_over(most, requests, monkeypatch)
    names = [Path(item.request.place).stem for item in found]
    assert names == ["bad", "large", "a", "b"] and [bool(item.problem) for item in found] == [True, True, False, False]
    assert found[1].problem == "no node has so much" and not (tmp_path / "large.mp4.videostyle").exists()


def test_after_three_shots_that_failed_no_other_one_of_the_clip_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OneByOne(Pretended):
        begun: list[Task]

        def open(self, token: Path, files: Collection[str], logs: Path) -> "Pretended":
            self.room, self.begun = 1, []
            return self

        def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
            task = self.running.pop()
            self.begun.append(task)
            return [(task, Outcome("node", "no room") if "bad" in str(task.shots) else carry_out(task, "node"))]

    opener = OneByOne(8)
    bad = clip(tmp_path, "bad", (0.04, 0.08, 0.12, 0.16, 0.2), duration_seconds=0.24)
    found = spread_over(opener, [bad, clip(tmp_path, "good", (0.04,))], monkeypatch)
    begun = ["bad" in str(task.shots) for task in opener.begun]
    assert (begun.count(True), begun.count(False)) == (3, 2)
    problems = {Path(item.request.place).stem: item.problem for item in found}
    assert "2 more failed" in problems["bad"] and not problems["good"]


def test_a_few_clips_that_are_stopped_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opener, requests = Pretended(8), [clip(tmp_path, "a"), clip(tmp_path, "two", (0.04,))]
    stop = Callbacks(should_stop=lambda: len(opener.at_a_time) > 1)
    with pytest.raises(StoppedError, match="the same command goes on"):
        spread_over(opener, requests, monkeypatch, stop)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4.videostyle", "two.mp4.videostyle"}
    found = spread_over(Pretended(1), requests, monkeypatch)  # now there are more clips than workers
    assert [item.result.frames for item in found if item.result] == [2, 2]
    assert sum(item.result.restored for item in found if item.result) >= 2


def test_as_many_clips_as_workers_are_painted_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opener = Pretended(3)
    large = clip(tmp_path, "large", size=64)
    requests = [clip(tmp_path, "a", (0.04,)), large]
    tasks: list[Task] = []
    monkeypatch.setattr(opener, "submit", lambda task, avoid: (tasks.append(task), opener.running.append(task)))
    found = spread_over(opener, requests, monkeypatch)
    assert [task.label for task in tasks] == ["clip.mp4"] * 2 and not any(item.problem for item in found)
    memory = {Path(task.request.place).stem: task.memory_gib for task in tasks}
    assert memory["a"] is not None and memory["large"] is not None and memory["a"] < memory["large"]  # each its own


def test_only_the_last_stylizers_are_held_on_to() -> None:
    known, made = Stylizers(), list[int]()

    def find(key: int) -> object:
        def make() -> Any:
            made.append(key)
            return object()

        return known.find(key, make)

    first = find(0)
    for key in range(1, MOST_KNOWN):
        find(key)
    assert find(0) is first  # and is the last used now
    find(MOST_KNOWN)
    assert find(0) is first and find(1) is not None
    assert made == [*range(MOST_KNOWN + 1), 1]
