"""Many clips and styles over workers: a clip is a task, or where there are few clips, each of their shots."""

import itertools
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from videostyle.checkpoint.run_directory import directory_of, is_published
from videostyle.cluster.clip import ClipInShots, Opener, begin, paint, piece_of, stopper
from videostyle.cluster.folder import ShotsFolder, is_planned
from videostyle.cluster.frame_count import FrameCount, SharedProgress
from videostyle.cluster.prepare import Stylizers, prepare
from videostyle.cluster.run import opener_of
from videostyle.cluster.spread import Ended, spread
from videostyle.cluster.task import Task, files_of
from videostyle.device import cores
from videostyle.errors import StoppedError, UsageError, VideoStyleError
from videostyle.pipeline.batch import BatchItemResult, run_item
from videostyle.pipeline.job import open_job
from videostyle.pipeline.request import Callbacks, Request
from videostyle.pipeline.shot import whole_clip
from videostyle.settings import SpreadSettings

FEW = 2  # workers for each clip, from which on shots are the tasks: finding and joining those is this process's work
LOGS = ".videostyle-logs"  # beside the outputs: what the workers said; removed where nothing failed
STOPPED = "stopped; clips that are finished are there, and the same command goes on with the others"
OnItem = Callable[[BatchItemResult], None]


def run_spread_batch(
    requests: Sequence[Request], settings: SpreadSettings, on_item: OnItem, callbacks: Callbacks | None = None
) -> None:
    """`run_item` for every request over many workers, the longest clip first; ``on_item`` is told each as it ends.

    Outputs that are there are left alone. Raises StoppedError, and VideoStyleError for workers that cannot be had.
    """
    callbacks = callbacks or Callbacks()
    if settings.longest_shot is not None:
        raise UsageError("longest-shot is for one clip in one style; leave it out")
    opener = opener_of(settings, requests[0].settings)
    wanted = [request for request in requests if not _is_there(request, on_item)]
    if opener is None:
        for request in wanted:
            on_item(run_item(request, callbacks))
        return
    with closing(opener):
        few, whole, in_shots = FEW * len(wanted) <= opener.room, list[Request](), list[Request]()
        for request in wanted:
            if request.run.partial:  # nothing is painted
                _in_shots([request], opener, on_item, callbacks)
            elif few or (is_planned(request.place) and not request.run.restart):
                in_shots.append(request)
            else:
                whole.append(request)
        _in_shots(in_shots, opener, on_item, callbacks)
        if whole:
            _Clips(whole, opener, on_item, callbacks).run()


def _is_there(request: Request, on_item: OnItem) -> bool:
    output = Path(request.place)
    there = output.exists() and not request.media.overwrite and not directory_of(output).exists()
    if there:
        on_item(BatchItemResult(request))
    return there


def _in_shots(requests: Sequence[Request], opener: Opener, on_item: OnItem, callbacks: Callbacks) -> None:
    """Clips whose shots are spread together; each is joined when all are painted: no worker waits for an encode."""
    if not requests:
        return
    held, known, items, logs = list[ClipInShots](), Stylizers(), list[BatchItemResult](), _logs(requests)

    def tell(item: BatchItemResult) -> None:
        items.append(item)
        on_item(item)

    try:
        for request in requests:
            try:
                held.append(begin(request, opener, callbacks, known=known))
            except StoppedError:
                raise
            except VideoStyleError as error:
                tell(BatchItemResult(request, problem=str(error)))
        paint(held, opener, callbacks, logs)
        stopped = any(clip.is_stopped for clip in held)
        for clip in sorted(held, key=lambda clip: not clip.failed):  # a stop does not hide what failed
            if stopped and not clip.failed:
                raise StoppedError(STOPPED)
            item = _joined(clip, callbacks)
            held.remove(clip)
            clip.folder.release(keep=bool(item.problem) or item.request.run.keep or item.request.run.partial)
            tell(item)
    finally:
        for clip in held:
            clip.folder.release(keep=True)
        if not any(item.problem for item in items):
            shutil.rmtree(logs, ignore_errors=True)


def _joined(clip: ClipInShots, callbacks: Callbacks) -> BatchItemResult:
    """One of several clips, its errors in words. Raises StoppedError."""
    request = clip.prepared.request
    try:
        return BatchItemResult(request, clip.join(callbacks))
    except StoppedError:
        raise
    except VideoStyleError as error:
        return BatchItemResult(request, problem=str(error))


def _logs(requests: Sequence[Request]) -> Path:
    """The folder of what the workers say."""
    logs = Path(requests[0].place).absolute().parent / LOGS
    logs.mkdir(exist_ok=True)
    return logs


def _frames_or_problem(request: Request) -> int | str:
    """How many frames a request's clip has, 0 where that is not known, or why it cannot be painted."""
    try:
        return open_job(request, request.settings.history_size).expected_frames or 0
    except VideoStyleError as error:
        return str(error)


@dataclass(frozen=True)
class _Begun:
    """A clip whose task was made; its folder is held until it has ended."""

    request: Request
    folder: ShotsFolder


@dataclass
class _Clips:
    """Whole clips as tasks, each made when a worker is free for it."""

    requests: Sequence[Request]
    opener: Opener
    on_item: OnItem
    callbacks: Callbacks
    begun: dict[Path, _Begun] = field(default_factory=dict)  # by the task's log
    frames: int = 0  # of clips that have ended
    problems: int = 0
    stopped: bool = False

    def run(self) -> None:
        """Paint all of them."""
        ready = self._longest_first()
        if self.stopped:
            raise StoppedError(STOPPED)
        tasks = self._tasks([request for request, _ in ready])
        first = next(tasks, None)
        if first is None:
            return
        logs, count = _logs(self.requests), FrameCount()
        files = {file for request, _ in ready for file in files_of(request)}
        progress = SharedProgress(sum(frames for _, frames in ready), 0, self.callbacks.on_progress)

        def on_look(running: Collection[Task]) -> None:
            found = count(map(piece_of, running))
            progress.tell(self.frames + sum(found.values()))

        try:
            with closing(self.opener.open(first.token, files, logs)) as engine:
                for ended in spread(itertools.chain((first,), tasks), engine, on_look, self._should_stop):
                    self._end(ended)
                    count.forget(piece_of(ended.task))
        finally:
            for begun in self.begun.values():
                begun.folder.release(keep=True)
            if not self.problems:
                shutil.rmtree(logs, ignore_errors=True)
        if self.stopped:
            raise StoppedError(STOPPED)

    def _longest_first(self) -> list[tuple[Request, int]]:
        """The requests whose clips can be read, with their frames; several are read at a time."""
        found: list[tuple[Request, int]] = []
        with ThreadPoolExecutor(cores()) as pool:
            for request, frames in zip(self.requests, pool.map(_frames_or_problem, self.requests), strict=True):
                if self._should_stop():
                    pool.shutdown(cancel_futures=True)
                    break
                if isinstance(frames, int):
                    found.append((request, frames))
                else:
                    self._fail(request, frames)
        return sorted(found, key=lambda item: -item[1])

    def _tasks(self, requests: Sequence[Request]) -> Iterator[Task]:
        known = Stylizers()
        for request in requests:
            try:
                prepared = prepare(request, self.callbacks, known)
                memory = self.opener.memory_gib(prepared)
                folder = ShotsFolder(prepared.job.output.path, prepared.provenance, request.run)
            except StoppedError:
                raise
            except VideoStyleError as error:
                self._fail(request, str(error))
                continue
            if is_published(prepared.job.output.path):  # by a run that was killed right after that
                folder.release(keep=False)
                self.on_item(BatchItemResult(request))
                continue
            try:
                where = folder.shots.absolute(), folder.logs.absolute(), folder.token.absolute()
                fixed = prepared.fixed(folder.path.absolute())
                folder.keep_plan([], request, fixed)
                task = Task(whole_clip(prepared.job), fixed, *where, told=prepared.told, memory_gib=memory)
            except VideoStyleError as error:
                folder.release(keep=True)
                self._fail(request, str(error))
                continue
            self.begun[task.log] = _Begun(request, folder)
            yield task

    def _should_stop(self) -> bool:
        folders = [begun.folder for begun in self.begun.values()]
        self.stopped = stopper(self.callbacks, *folders)()
        return self.stopped

    def _end(self, ended: Ended) -> None:
        begun = self.begun.pop(ended.task.log)
        begun.folder.release(keep=bool(ended.problem) or begun.request.run.keep)
        if ended.problem:
            self._fail(begun.request, ended.problem)
            return
        result = ended.outcome.result
        self.frames += 0 if result is None else result.frames
        self.on_item(BatchItemResult(begun.request, result))

    def _fail(self, request: Request, problem: str) -> None:
        self.problems += 1
        self.on_item(BatchItemResult(request, problem=problem))
