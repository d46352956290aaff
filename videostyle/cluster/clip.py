"""Clips in shots: each planned, the shots of all of them painted together, each joined."""

import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from videostyle.checkpoint.attempts import Piece
from videostyle.checkpoint.run_directory import is_published
from videostyle.cluster.folder import ShotsFolder, note_publishing
from videostyle.cluster.frame_count import FrameCount, SharedProgress
from videostyle.cluster.prepare import Prepared, Stylizers, prepare
from videostyle.cluster.spread import Ended, Engine, spread
from videostyle.cluster.task import Task, files_of
from videostyle.errors import MediaError, StoppedError
from videostyle.pipeline.job import Job
from videostyle.pipeline.join import join_shots, parts_of
from videostyle.pipeline.request import Callbacks, Request, Result
from videostyle.pipeline.shot import Shot, count_finished, shots_of, whole_clip

MOST_FAILED = 3  # shots of a clip that failed for good, after which no other one of it is begun


class Opener(Protocol):
    """Workers that can be had."""

    @property
    def room(self) -> int:
        """How many tasks they take at a time, as far as that is known."""

    def memory_gib(self, prepared: Prepared) -> float | None:
        """What a task of this request may take of a node; None: a share that the worker knows. Raises DeviceError where
        no node has so much."""

    def open(self, token: Path, files: Collection[str], logs: Path) -> Engine:
        """The workers, who must all see ``token`` in the run's folder, and ``files``. ``logs``: folder for what they
        say. Raises VideoStyleError."""

    def close(self) -> None:
        """Give up what finding them has taken."""


@dataclass
class ClipInShots:
    """A clip whose shots are known; ``folder`` is held until it is released. ``began``: by time.perf_counter."""

    prepared: Prepared
    folder: ShotsFolder
    shots: list[Shot]
    memory_gib: float | None
    began: float
    painted: dict[str, int] = field(default_factory=dict)  # frames, by the shot's name
    restored: int = 0  # frames that an earlier run had painted
    failed: list[Ended] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Of all shots."""
        return sum(shot.frames for shot in self.shots)

    @property
    def painted_frames(self) -> int:
        return sum(self.painted.values())

    @property
    def is_published(self) -> bool:
        """By a run that was killed right after that."""
        return is_published(self.prepared.job.output.path)

    @property
    def is_stopped(self) -> bool:
        """Whether shots are missing, though none has failed."""
        if self.failed or self.prepared.request.run.partial:
            return False
        return not all(Piece(self.folder.shots, shot.name).path.is_dir() for shot in self.shots)

    def saw(self, name: str, frames: int) -> None:
        """So many frames of a shot are painted: more than before, or the shot was begun again."""
        self.painted[name] = max(self.painted.get(name, 0), frames)

    def tasks(self) -> list[Task]:
        """Of the shots that are missing; the frames of the others count as painted."""
        folder, missing = self.folder, list[Shot]()
        for shot in self.shots:
            if _is_whole(shot, folder.shots, self.prepared.job):
                self.saw(shot.name, shot.frames)
            else:
                missing.append(shot)
        if not missing:
            return []
        fixed = self.prepared.fixed(folder.path.absolute())
        where = folder.shots.absolute(), folder.logs.absolute(), folder.token.absolute()
        return [Task(shot, fixed, *where, memory_gib=self.memory_gib) for shot in missing]

    def join(self, callbacks: Callbacks) -> Result:
        """The output, from finished shots. Raises VideoStyleError: MediaError where shots have failed, StoppedError
        where some are missing."""
        request, job = self.prepared.request, self.prepared.job
        if self.is_published:
            return Result(job.output.path, self.frames, time.perf_counter() - self.began)
        if self.failed:
            more = f"; {len(self.failed) - 1} more failed" if len(self.failed) > 1 else ""
            words = f"{self.failed[0].problem}{more}"
            raise MediaError(f"{words}; finished shots are kept, and the same command goes on")
        if self.is_stopped:
            words = "the same command goes on from there, --partial publishes what there is"
            raise StoppedError(f"stopped; {self.painted_frames} of {self.frames} frames are finished: {words}")
        parts = parts_of(self.shots, self.folder.shots, partial=request.run.partial)
        publishing = None if request.run.partial else partial(note_publishing, self.folder.path)
        joining = callbacks.on_progress, publishing, self.began, self.restored
        return join_shots(job, request, self.prepared.device, self.prepared.heading, parts, *joining)


def begin(
    request: Request,
    opener: Opener,
    callbacks: Callbacks,
    longest_seconds: float | None = None,
    known: Stylizers | None = None,
) -> ClipInShots:
    """Check a request and find its shots, where no earlier run has. Raises VideoStyleError.

    ``longest_seconds``: see `pipeline.shot.plan_shots`. ``known``: see `prepare.prepare`.
    """
    began = time.perf_counter()
    prepared = prepare(request, callbacks, known)
    request, job = prepared.request, prepared.job
    memory = None if request.run.partial else opener.memory_gib(prepared)
    folder = ShotsFolder(job.output.path, prepared.provenance, request.run, longest_seconds)
    try:
        shots = folder.plan or []
        if not shots and request.run.partial:
            shots = [whole_clip(job)]  # one of several clips, or one of which nothing is painted yet
        elif not shots and not is_published(job.output.path):
            shots = shots_of(job, planning(callbacks), longest_seconds)
            folder.keep_plan(shots, request, prepared.fixed(folder.path.absolute()))
    except BaseException:
        folder.release(keep=True)
        raise
    return ClipInShots(prepared, folder, shots, memory, began)


def paint(
    clips: Sequence[ClipInShots],
    opener: Opener,
    callbacks: Callbacks,
    logs: Path,
    on_shot: Callable[[Path], None] = lambda path: None,
) -> None:
    """Paint what is missing of all ``clips``, the longest shot first; what failed is told when a clip is joined.

    ``logs``: folder of what the workers say. ``on_shot`` takes the folder of every shot that is finished. Returns
    early after a stop. Raises VideoStyleError for workers that cannot be had.
    """
    wanted = [clip for clip in clips if not (clip.prepared.request.run.partial or clip.is_published)]
    tasks = sorted((task for clip in wanted for task in clip.tasks()), key=lambda task: -task.shot.frames)
    owners: Mapping[Path, ClipInShots] = {clip.folder.shots.absolute(): clip for clip in wanted}
    count = FrameCount()

    def look(looked_at: Collection[Task]) -> None:
        for (folder, name), frames in count(map(piece_of, looked_at)).items():
            owners[folder].saw(name, frames)

    def on_look(running: Collection[Task]) -> None:
        look(running)
        progress.tell(sum(clip.painted_frames for clip in wanted))

    look(tasks)
    for clip in wanted:
        clip.restored = clip.painted_frames
    if not tasks:
        return
    progress = SharedProgress(
        sum(clip.frames for clip in wanted), sum(clip.restored for clip in wanted), callbacks.on_progress
    )
    left = (task for task in tasks if len(owners[task.shots].failed) < MOST_FAILED)
    files = {file for clip in wanted for file in files_of(clip.prepared.request)}
    should_stop = stopper(callbacks, *(clip.folder for clip in wanted))
    with closing(opener.open(tasks[0].token, files, logs)) as engine:
        for ended in spread(left, engine, on_look, should_stop):
            clip, piece = owners[ended.task.shots], piece_of(ended.task)
            if ended.problem:
                clip.failed.append(ended)
            else:
                clip.saw(piece.name, ended.task.shot.frames)
                count.forget(piece)
                on_shot(piece.path)


def piece_of(task: Task) -> Piece:
    """Where its frames are."""
    return Piece(task.shots, task.shot.name)


def _is_whole(shot: Shot, folder: Path, job: Job) -> bool:
    """Whether a shot is finished and sound; one that is damaged is taken away."""
    path = Piece(folder, shot.name).path
    if not path.is_dir():
        return False
    if count_finished(path, job) == shot.frames:
        return True
    shutil.rmtree(path)
    return False


def planning(callbacks: Callbacks) -> Callable[[Any], None]:
    """The callback of planning, which may be stopped: nothing is lost."""

    def told(progress: Any) -> None:
        if callbacks.on_progress is not None:
            callbacks.on_progress(progress)
        if callbacks.should_stop is not None and callbacks.should_stop():
            raise StoppedError("stopped while cuts were searched for; nothing was painted")

    return told


def stopper(callbacks: Callbacks, *folders: ShotsFolder) -> Callable[[], bool]:
    """Asks whether to stop, and lets the workers of ``folders`` know."""

    def should_stop() -> bool:
        stop = callbacks.should_stop is not None and callbacks.should_stop()
        if stop:
            for folder in folders:
                folder.stop()
        return stop

    return should_stop
