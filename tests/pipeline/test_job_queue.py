"""The queue with a worker that answers what a test says: cancel, a full disk, a power cut."""

import asyncio
import errno
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from videostyle import files
from videostyle.checkpoint.directory_name import directory_of
from videostyle.errors import NoRoomError, UnknownError, UsageError, VideoStyleError
from videostyle.pipeline.job_queue import JobQueue
from videostyle.samples import sample

LOOK = {"style": [{"picture": str(sample("styles/brush.jpg"))}]}
DONE = {"frames": 8, "notices": []}


class ScriptedWorker:
    """Questions are answered by the test; ``started`` is awaited before a question is taken."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, Any], asyncio.Future]] = []
        self.stopped: list[int] = []
        self.started = asyncio.Event()
        self.started.set()

    async def begin(self, do: str, on_event: object, **asked: Any) -> tuple[int, asyncio.Future]:
        await self.started.wait()
        self.asked.append((asked, asyncio.get_running_loop().create_future()))
        return len(self.asked), self.asked[-1][1]

    def stop(self, run: int) -> None:
        self.stopped.append(run)

    async def is_asked(self, times: int) -> asyncio.Future:
        """The answer to the newest question, once there were so many."""
        await until(lambda: len(self.asked) >= times)
        return self.asked[-1][1]


async def until(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not wanted():
            await asyncio.sleep(0)


def queue_in(folder: Path, worker: ScriptedWorker | None = None) -> JobQueue:
    return JobQueue(folder, worker or ScriptedWorker(), lambda *_: None)  # type: ignore[arg-type]


def add(queue: JobQueue, output: str = "painted.mp4") -> dict[str, Any]:
    run = {"kind": "video", "path": "clip.mp4", "look": LOOK, "media": {}, "output": output, "spoken": {}}
    return queue.add(run, {"source": "0" * 16, "look": LOOK})


def play(folder: Path, scene: Callable[[JobQueue, ScriptedWorker], Awaitable[None]]) -> None:
    """Let ``scene`` go on beside the work of a queue, which must not end."""

    async def both() -> None:
        worker = ScriptedWorker()
        queue = queue_in(folder, worker)
        work = asyncio.create_task(queue.work())
        await scene(queue, worker)
        assert not work.done(), work.exception()
        work.cancel()

    asyncio.run(both())


def gone(queue: JobQueue, job: dict[str, Any]) -> bool:
    try:
        queue.get(job["id"])
    except UnknownError:
        return True
    return False


@pytest.mark.parametrize("answer", [DONE, {"stopped": True}, VideoStyleError("no")], ids=["done", "stopped", "failed"])
def test_cancel_ends_as_cancelled_whatever_the_run_comes_to(tmp_path, answer):
    async def scene(queue: JobQueue, worker: ScriptedWorker) -> None:
        job = add(queue)
        future = await worker.is_asked(1)
        queue.file(job).write_bytes(b"published")
        queue.do(job["id"], "cancel")
        future.set_exception(answer) if isinstance(answer, Exception) else future.set_result(answer)
        await until(lambda: gone(queue, job))
        assert not queue.file(job).exists() and not list((tmp_path / "jobs").iterdir())

    play(tmp_path, scene)


def test_a_stop_while_the_worker_starts_is_not_lost(tmp_path):
    async def scene(queue: JobQueue, worker: ScriptedWorker) -> None:
        worker.started.clear()
        job = add(queue)
        await until(lambda: job["state"] == "running")
        queue.do(job["id"], "pause")
        worker.started.set()
        future = await worker.is_asked(1)
        await until(lambda: 1 in worker.stopped)
        future.set_result({"stopped": True})
        await until(lambda: job["state"] == "paused")

    play(tmp_path, scene)


@pytest.mark.parametrize("answer", [DONE, VideoStyleError("no frame is finished")], ids=["made", "failed"])
def test_a_job_that_is_cancelled_while_its_part_is_made_stays_away(tmp_path, answer):
    async def scene(queue: JobQueue, worker: ScriptedWorker) -> None:
        job = add(queue)
        queue.do(job["id"], "pause")
        queue.do(job["id"], "partial")
        future = await worker.is_asked(1)
        queue.do(job["id"], "cancel")
        future.set_exception(answer) if isinstance(answer, Exception) else future.set_result(answer)
        other = add(queue)  # its turn comes after
        await worker.is_asked(2)
        assert [path.stem for path in (tmp_path / "jobs").iterdir()] == [other["id"]]
        assert [job["id"] for job in queue.list()] == [other["id"]]

    play(tmp_path, scene)


def test_a_full_disk_fails_the_turn_and_not_the_queue(tmp_path, monkeypatch):
    """There is no room from the end of the first run on, until something is deleted."""

    async def scene(queue: JobQueue, worker: ScriptedWorker) -> None:
        first, second = add(queue), add(queue)
        answer = await worker.is_asked(1)
        with monkeypatch.context() as patched:
            patched.setattr("videostyle.files.replacing", no_room)
            answer.set_result({"stopped": True})
            await until(lambda: first["state"] == "failed" and second["state"] == "failed")
            words = f"jobs/{first['id']}.json could not be written: the disk is full; make room on it"
            assert first["problem"] == words.replace("/", os.sep)
            with pytest.raises(NoRoomError):
                add(queue)
            assert len(queue.list()) == 2, "what could not be kept is not queued"
        queue.do(second["id"], "resume")
        (await worker.is_asked(2)).set_result(DONE)
        await until(lambda: second["state"] == "done")
        assert json.loads((tmp_path / "jobs" / f"{second['id']}.json").read_text())["state"] == "done"

    play(tmp_path, scene)


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_damaged_job_is_set_aside_and_said(tmp_path, caplog):
    job = add(queue_in(tmp_path))
    names = {
        "empty.json": "",
        "half.json": '{"id": "ab',
        "strange.json": "[]",
        "zeros.json": "\0" * 9,
        "bare.json": "{}",
    }
    for name, text in names.items():
        (tmp_path / "jobs" / name).write_text(text)
    with caplog.at_level(logging.WARNING, "videostyle"):
        queue = queue_in(tmp_path)
    assert [found["id"] for found in queue.list()] == [job["id"]]
    assert len(caplog.messages) == len(names) and all("set aside as" in words for words in caplog.messages)
    assert {path.name for path in (tmp_path / "jobs").iterdir()} == {
        f"{job['id']}.json",
        *(f"{name}.damaged" for name in names),
    }


def test_a_job_survives_a_power_cut(tmp_path, monkeypatch):
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_file", synced.append)
    add(queue_in(tmp_path))
    assert [path.parent.name for path in synced] == ["jobs"]


def test_begin_anew_forgets_what_is_finished(tmp_path):
    async def scene(queue: JobQueue, worker: ScriptedWorker) -> None:
        job = add(queue)
        (await worker.is_asked(1)).set_exception(VideoStyleError("made from something else; say --restart"))
        await until(lambda: job["state"] == "failed")
        state = directory_of(queue.file(job))
        state.mkdir()
        queue.do(job["id"], "restart")
        assert not state.exists()
        (await worker.is_asked(2)).set_result(DONE)
        await until(lambda: job["state"] == "done")
        with pytest.raises(UsageError, match="does not fit"):
            queue.do(job["id"], "restart")

    play(tmp_path, scene)


def test_no_part_of_a_picture_is_kept(tmp_path):
    async def scene(queue: JobQueue, worker: ScriptedWorker) -> None:
        job = add(queue, "painted.png")
        await worker.is_asked(1)
        for action in ("partial", "keep"):
            with pytest.raises(UsageError, match="is a picture"):
                queue.do(job["id"], action)
        assert not worker.stopped

    play(tmp_path, scene)


def test_looks_that_nobody_needs_go(tmp_path):
    queue = queue_in(tmp_path)
    changing = {"look": LOOK | {"strength": [[0, 0.1], [1, 0.6]]}}
    run = {"kind": "video", "path": "clip.mp4", "media": {}, "output": "x.mp4", "spoken": {}} | changing
    queue.add(run, {"source": "0" * 16} | changing)
    queue.command(run | {"look": LOOK | {"strength": [[0, 0.2], [1, 0.6]]}})
    (of_job, other) = sorted((tmp_path / "looks").iterdir(), key=lambda file: "0.2" in file.read_text())
    queue_in(tmp_path)
    assert of_job.exists() and other.exists(), "somebody may have copied its command line"
    for file in (of_job, other):
        os.utime(file, (time.time() - 8 * 24 * 3600,) * 2)
    queue_in(tmp_path)
    assert of_job.exists() and not other.exists()
