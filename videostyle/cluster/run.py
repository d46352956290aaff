"""A clip in shots, or many clips, over workers: planned and checked here, painted there, joined here."""

import shutil
import time
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from videostyle.checkpoint.attempts import Piece
from videostyle.checkpoint.run_directory import PLAN, directory_of, is_published
from videostyle.cluster.folder import ShotsFolder, is_planned, note_publishing
from videostyle.cluster.frame_count import FrameCount, SharedProgress
from videostyle.cluster.prepare import Prepared, prepare
from videostyle.cluster.processes import Place, ProcessEngine, places
from videostyle.cluster.spread import Ended, Engine, spread
from videostyle.cluster.task import Task
from videostyle.device import choose_machine
from videostyle.errors import MediaError, StoppedError
from videostyle.pipeline.job import Job
from videostyle.pipeline.join import join_shots, parts_of
from videostyle.pipeline.remote import StoredShots, with_files
from videostyle.pipeline.request import Callbacks, Request, Result
from videostyle.pipeline.run import run
from videostyle.pipeline.shot import Shot, count_finished, shots_of, whole_clip
from videostyle.settings import Settings, SpreadSettings
from videostyle.stylise.memory import GIB, memory_bytes

MOST_FAILED = 3  # shots that failed for good, after which no other one is begun


class Opener(Protocol):
    """Workers that can be had."""

    @property
    def room(self) -> int:
        """How many tasks they take at a time, as far as that is known."""

    def open(self, prepared: Prepared, logs: Path, token: Path) -> Engine:
        """The workers, for requests like ``prepared``. ``logs``: folder for what they say. ``token``: a file that all
        of them must see. Raises VideoStyleError."""

    def close(self) -> None:
        """Give up what finding them has taken."""


@dataclass(frozen=True)
class ProcessOpener:
    """Processes of this machine."""

    where: list[Place]

    @property
    def room(self) -> int:
        return len(self.where)

    def open(self, prepared: Prepared, logs: Path, token: Path) -> Engine:
        settings = prepared.request.settings
        allowed = memory_bytes(settings, choose_machine(settings).device)
        return ProcessEngine(self.where, logs, None if allowed is None else allowed / GIB)

    def close(self) -> None: ...


def run_spread(request: Request, settings: SpreadSettings, callbacks: Callbacks | None = None) -> Result:
    """`pipeline.run.run` for one clip, its shots painted by many workers; equal to the bit on the same kind of machine.

    Raises VideoStyleError; finished shots are kept, and the same call goes on, on other workers too.
    """
    callbacks = callbacks or Callbacks()
    found = opener_of(settings, request.settings)
    opener = found or ProcessOpener(places("1", request.settings.device))

    def local(request: Request) -> Result:
        stored.fetch(directory_of(request.place), restart=request.run.restart)
        alone = found is None and settings.longest_shot is None
        if alone and (request.run.restart or not is_planned(request.place)):
            return run(request, callbacks)
        return _run_in_shots(stored, opener, callbacks, settings.longest_shot, request)

    with closing(opener), StoredShots(request.output) as stored:
        result = with_files(request, local)
        if not request.run.partial:
            stored.remove()
        return result


def opener_of(spread: SpreadSettings, settings: Settings) -> Opener | None:
    """The workers that were asked for; None where one process is as fast. Raises VideoStyleError."""
    if spread.ray is not None:
        from videostyle.cluster.ray_engine import RayOpener

        return RayOpener(spread, settings)
    where = places(spread.workers or "auto", settings.device)
    if spread.workers in (None, "auto") and len(where) == 1:
        return None
    return ProcessOpener(where)


def run_in_shots(
    request: Request, opener: Opener, callbacks: Callbacks, longest_seconds: float | None = None
) -> Result:
    """`run_spread` with these workers. ``longest_seconds``: see `pipeline.shot.plan_shots`."""
    with StoredShots(None) as stored:
        return _run_in_shots(stored, opener, callbacks, longest_seconds, request)


def _run_in_shots(
    stored: StoredShots, opener: Opener, callbacks: Callbacks, longest_seconds: float | None, request: Request
) -> Result:
    began = time.perf_counter()
    prepared = prepare(request, callbacks)
    request, job = prepared.request, prepared.job
    with ShotsFolder(job.output.path, prepared.provenance, request.run, longest_seconds) as folder:
        shots = folder.plan
        if is_published(job.output.path):
            return Result(job.output.path, sum(shot.frames for shot in shots or ()), time.perf_counter() - began)
        if not shots and request.run.partial:
            shots = [whole_clip(job)]  # one of several clips, or one of which nothing is painted yet
        elif not shots:
            shots = shots_of(job, planning(callbacks), longest_seconds)
            folder.keep_plan(shots, request, prepared.fixed(folder.path.absolute()))
            stored.put(folder.path, folder.path / PLAN)
        restored = 0
        if not request.run.partial:
            restored = _paint(shots, folder, prepared, opener, callbacks, stored)
        parts = parts_of(shots, folder.shots, partial=request.run.partial)
        joining = (
            callbacks.on_progress,
            None if request.run.partial else partial(note_publishing, folder.path),
            began,
            restored,
        )
        device = prepared.stylizer.machine.device
        result = join_shots(job, request, device, prepared.heading, parts, *joining)
    if len(shots) == 1 and not request.run.partial:
        words = "the clip is one shot, which one worker paints: more of them help a clip with cuts, or several clips"
        result = replace(result, notices=(*result.notices, words))
    return result


def planning(callbacks: Callbacks) -> Callable | None:
    """The callback of planning, which may be stopped: nothing is lost."""

    def told(progress: object) -> None:
        if callbacks.on_progress is not None:
            callbacks.on_progress(progress)  # type: ignore[arg-type]
        if callbacks.should_stop is not None and callbacks.should_stop():
            raise StoppedError("stopped while cuts were searched for; nothing was painted")

    return told


def _paint(
    shots: list[Shot],
    folder: ShotsFolder,
    prepared: Prepared,
    opener: Opener,
    callbacks: Callbacks,
    stored: StoredShots,
) -> int:
    """Paint what is missing, the longest shot first; returns how many frames an earlier run had painted."""
    job, count = prepared.job, FrameCount()

    def piece_of(shot: Shot) -> Piece:
        return Piece(folder.shots, shot.name)

    missing = [shot for shot in shots if not is_whole(shot, folder.shots, job)]
    done = sum(shot.frames for shot in shots) - sum(shot.frames for shot in missing)
    begun = dict(count(map(piece_of, missing)))
    restored = done + sum(begun.values())
    if not missing:
        return restored
    total = sum(shot.frames for shot in shots)
    progress = SharedProgress(total, restored, callbacks.on_progress)
    fixed = prepared.fixed(folder.path.absolute())
    where = folder.shots.absolute(), folder.logs.absolute(), folder.token.absolute()
    tasks = [Task(shot, fixed, *where) for shot in sorted(missing, key=lambda shot: -shot.frames)]
    failed: list[Ended] = []

    def on_look(running: Collection[Task]) -> None:
        for piece, frames in count(piece_of(task.shot) for task in running).items():
            begun[piece] = max(begun.get(piece, 0), frames)
        progress.tell(done + sum(begun.values()))

    with closing(opener.open(prepared, folder.logs, folder.token)) as engine:
        for ended in spread(tasks, engine, on_look, stopper(callbacks, folder), MOST_FAILED):
            if ended.problem:
                failed.append(ended)
            else:
                begun[folder.shots, ended.task.shot.name] = ended.task.shot.frames
                count.forget(piece_of(ended.task.shot))
                stored.put(folder.path, piece_of(ended.task.shot).path)
    if failed:
        more = f"; {len(failed) - 1} more failed" if len(failed) > 1 else ""
        raise MediaError(f"{failed[0].problem}{more}; finished shots are kept, and the same command goes on")
    if not all(piece_of(shot).path.is_dir() for shot in missing):
        words = "the same command goes on from there, --partial publishes what there is"
        raise StoppedError(f"stopped; {done + sum(begun.values())} of {total} frames are finished: {words}")
    return restored


def is_whole(shot: Shot, folder: Path, job: Job) -> bool:
    """Whether a shot is finished and sound; one that is damaged is taken away."""
    path = Piece(folder, shot.name).path
    if not path.is_dir():
        return False
    if count_finished(path, job) == shot.frames:
        return True
    shutil.rmtree(path)
    return False


def stopper(callbacks: Callbacks, *folders: ShotsFolder) -> Callable[[], bool]:
    """Asks whether to stop, and lets the workers of ``folders`` know."""

    def should_stop() -> bool:
        stop = callbacks.should_stop is not None and callbacks.should_stop()
        if stop:
            for folder in folders:
                folder.stop()
        return stop

    return should_stop
