"""A clip in shots, or many clips, over workers: planned and checked here, painted there, joined here."""

import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from videostyle.checkpoint.attempts import Piece
from videostyle.checkpoint.run_directory import PLAN, directory_of, is_published
from videostyle.cluster.folder import ShotsFolder
from videostyle.cluster.frame_count import FrameCount, SharedProgress
from videostyle.cluster.prepare import Prepared, prepare
from videostyle.cluster.processes import Place, ProcessEngine, places
from videostyle.cluster.spread import Ended, Engine, spread
from videostyle.cluster.task import Task
from videostyle.device import choose_machine
from videostyle.errors import MediaError, StoppedError, UsageError
from videostyle.pipeline.job import Job
from videostyle.pipeline.join import join_shots, parts_of
from videostyle.pipeline.request import Callbacks, Request, Result
from videostyle.pipeline.run import run
from videostyle.pipeline.shot import Shot, count_finished, shots_of
from videostyle.settings import SpreadSettings
from videostyle.stylise.memory import GIB, memory_bytes

# Opens the workers for tasks that look like this one; takes the folder of their logs and a file that all must see.
OpenEngine = Callable[[Prepared, Path, Path], Engine]


def run_spread(request: Request, settings: SpreadSettings, callbacks: Callbacks | None = None) -> Result:
    """`pipeline.run.run` for one clip, its shots painted by many workers; equal to the bit on the same kind of machine.

    Raises VideoStyleError; finished shots are kept, and the same call goes on, on other workers too.
    """
    callbacks = callbacks or Callbacks()
    opening = engine_opener(request, settings)
    if opening is None and not is_planned(request):
        return run(request, callbacks)
    return run_in_shots(request, opening or partial(_processes, [Place(0)]), callbacks)


def is_planned(request: Request) -> bool:
    """Whether an earlier run has begun this output in shots."""
    return not request.run.restart and (directory_of(request.place) / PLAN).is_file()


def engine_opener(request: Request, settings: SpreadSettings) -> OpenEngine | None:
    """What opens the workers that the settings mean; None where one process is as fast. Raises UsageError."""
    if settings.ray is not None:
        from videostyle.cluster.ray_engine import RayEngine

        return partial(RayEngine.opened, settings)
    where = places(settings.workers or "auto", request.settings.device)
    if settings.workers in (None, "auto") and len(where) == 1:
        return None
    return partial(_processes, where)


def _processes(where: list[Place], prepared: Prepared, logs: Path, _token: Path) -> Engine:
    settings = prepared.request.settings
    allowed = memory_bytes(settings, choose_machine(settings).device)
    return ProcessEngine(where, logs, None if allowed is None else allowed / GIB)


def run_in_shots(request: Request, open_engine: OpenEngine, callbacks: Callbacks) -> Result:
    """`run_spread` with the workers that ``open_engine`` opens."""
    began = time.perf_counter()
    prepared = prepare(request, callbacks)
    request, job = prepared.request, prepared.job
    with ShotsFolder(job.output.path, prepared.provenance, request.run) as folder:
        shots = folder.plan
        if is_published(job.output.path):
            return Result(job.output.path, sum(shot.frames for shot in shots or ()), time.perf_counter() - began)
        if not shots:
            if request.run.partial:
                raise UsageError(f"no frame of {job.output.path} is finished; leave out --partial to begin")
            shots = shots_of(job, _planning(callbacks))
            folder.keep_plan(shots)
        restored = 0
        if not request.run.partial:
            restored = _paint(shots, folder, prepared, open_engine, callbacks)
        parts = parts_of(shots, folder.shots, partial=request.run.partial)
        joining = callbacks.on_progress, None if request.run.partial else folder.publishing, began, restored
        device = prepared.stylizer.machine.device
        result = join_shots(job, request, device, prepared.heading, parts, *joining)
    if len(shots) == 1 and not request.run.partial:
        words = "the clip is one shot, which one worker paints: more of them help a clip with cuts, or several clips"
        result = replace(result, notices=(*result.notices, words))
    return result


def _planning(callbacks: Callbacks) -> Callable | None:
    """The callback of planning, which may be stopped: nothing is lost."""

    def told(progress: object) -> None:
        if callbacks.on_progress is not None:
            callbacks.on_progress(progress)  # type: ignore[arg-type]
        if callbacks.should_stop is not None and callbacks.should_stop():
            raise StoppedError("stopped while cuts were searched for; nothing was painted")

    return told


def _paint(
    shots: list[Shot], folder: ShotsFolder, prepared: Prepared, open_engine: OpenEngine, callbacks: Callbacks
) -> int:
    """Paint what is missing, the longest shot first; returns how many frames an earlier run had painted."""
    job, count = prepared.job, FrameCount()
    missing = [shot for shot in shots if not is_whole(shot, folder.shots, job)]
    done = sum(shot.frames for shot in shots) - sum(shot.frames for shot in missing)
    restored = done + sum(count(Piece(folder.shots, shot.name)) for shot in missing)
    if not missing:
        return restored
    total = sum(shot.frames for shot in shots)
    progress = SharedProgress(total, restored, callbacks.on_progress)
    fixed = prepared.fixed(folder.path.absolute())
    places = folder.shots.absolute(), folder.logs.absolute(), folder.token.absolute()
    tasks = [Task(shot, fixed, *places) for shot in sorted(missing, key=lambda shot: -shot.frames)]
    begun = {shot.number: count(Piece(folder.shots, shot.name)) for shot in missing}
    failed: list[Ended] = []

    def on_look(running: Collection[Task]) -> None:
        for task in running:
            begun[task.shot.number] = max(begun[task.shot.number], count(Piece(folder.shots, task.shot.name)))
        progress.tell(done + sum(begun.values()))

    with closing(open_engine(prepared, folder.logs, folder.token)) as engine:
        for ended in spread(tasks, engine, on_look, stopper(callbacks, folder)):
            if ended.problem:
                failed.append(ended)
            else:
                begun[ended.task.shot.number] = ended.task.shot.frames
                count.forget(Piece(folder.shots, ended.task.shot.name))
    if failed:
        more = f"; {len(failed) - 1} more failed" if len(failed) > 1 else ""
        raise MediaError(f"{failed[0].problem}{more}; finished shots are kept, and the same command goes on")
    if not all(Piece(folder.shots, shot.name).path.is_dir() for shot in missing):
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
