"""Shots as tasks: planned in one decode, stylised anywhere, joined in order. Nothing crosses a cut."""

import itertools
import json
import platform
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from videostyle.checkpoint.attempts import Piece
from videostyle.checkpoint.frame_store import FrameStore
from videostyle.checkpoint.journal import Journal
from videostyle.checkpoint.run_directory import ENVIRONMENT, RunDirectory, differences, directory_of
from videostyle.errors import MediaError, UsageError, VideoStyleError
from videostyle.frames import Frame, StylisedFrame, to_array
from videostyle.pipeline.job import Job, open_job, open_stylizer
from videostyle.pipeline.memory_check import check_memory
from videostyle.pipeline.prefetch import with_flow_ahead
from videostyle.pipeline.progress import OnProgress, Progress, Reporter
from videostyle.pipeline.request import Callbacks, Request
from videostyle.pipeline.video import (
    open_decoder,
    open_run_directory,
    provenance_of,
    store_frames,
    with_given_frames,
)
from videostyle.stylise.choose_maker import frame_maker_of
from videostyle.stylise.state import SequenceState
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.cuts import in_shots
from videostyle.temporal.split import Motion, stillest_splits

# How far into the clip a shot must begin for FFmpeg to be sent there, in seconds, and how much before it.
SEEK_FROM_SECONDS, SEEK_BEFORE_SECONDS = Fraction(5), Fraction(1, 2)


@dataclass(frozen=True)
class Shot:
    """A shot's place in the clip: plain values."""

    number: int  # from 0
    first: int  # index of its first frame, from 0
    frames: int
    start_seconds: Fraction  # the first frame's time
    end_seconds: Fraction | None  # the next shot's, None for the last one
    checksum: int | None = None  # CRC-32 of its first frame, to know it again after a seek

    @property
    def name(self) -> str:
        return f"shot-{self.number:05d}"

    def holds(self, frame: Frame) -> bool:
        """Whether a frame of the clip is one of its own."""
        seconds = frame.time_seconds
        return self.start_seconds <= seconds and (self.end_seconds is None or seconds < self.end_seconds)


@dataclass(frozen=True)
class WholeClip(Shot):
    """All shots of a clip as one task; ``frames`` is the container's own count, an estimate."""

    @property
    def name(self) -> str:
        return "clip"

    def holds(self, frame: Frame) -> bool:
        return True


def plan_shots(
    request: Request, on_progress: OnProgress | None = None, longest_seconds: float | None = None
) -> list[Shot]:
    """The shots of a request's clip, from one decode at the output's size. Raises VideoStyleError.

    ``longest_seconds``: shots that last longer are split where they are stillest, which changes their frames.
    """
    return shots_of(open_job(request), on_progress, longest_seconds)


def whole_clip(job: Job) -> WholeClip:
    """The job's clip as one task."""
    return WholeClip(0, 0, job.expected_frames or 0, Fraction(job.media.start_seconds), None)


def shots_of(job: Job, on_progress: OnProgress | None = None, longest_seconds: float | None = None) -> list[Shot]:
    """`plan_shots` of a request that is a job already."""
    starts: list[int] = []
    times: list[Fraction] = []
    checksums: dict[int, int] = {}
    motion, moved = Motion(), list[float]()
    with open_decoder(job) as decoder:
        for index, frame in enumerate(in_shots(iter(decoder), job.media)):
            times.append(frame.time_seconds)
            if index == 0 or frame.cut:
                starts.append(index)
            if index == starts[-1] or longest_seconds is not None:
                checksums[index] = checksum_of(frame)
            if longest_seconds is not None:
                moved.append(motion.of(frame))
            if on_progress is not None:
                on_progress(Progress("plan", index + 1, job.expected_frames))
    if longest_seconds is not None:
        for first, end in itertools.pairwise([*starts, len(times)]):
            found = stillest_splits(times[first:end], moved[first:end], longest_seconds)
            starts += [first + split for split in found]
        starts.sort()
    ends: list[int | None] = [*starts[1:], None]
    return [
        Shot(
            number,
            first,
            (len(times) if end is None else end) - first,
            times[first],
            None if end is None else times[end],
            checksums[first],
        )
        for number, (first, end) in enumerate(zip(starts, ends, strict=True))
    ]


def checksum_of(frame: Frame) -> int:
    """CRC-32 of a frame's pixels in 16 bits."""
    return zlib.crc32(to_array(frame.pixels, 16).tobytes())


def stylise_shot(
    shot: Shot,
    request: Request,
    folder: Path,
    should_stop: Callable[[], bool] | None = None,
    node: str | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Stylise one shot of a request's clip; returns the run directory of its frames, to the bit the request's own.

    It appears in ``folder`` under the shot's name, in one step when the shot is finished. Every call has an attempt of
    its own, and the first one that is finished counts. What a call that was stopped or killed has left is gone on with
    where it was made in the same environment (`run_record.provenance`), and painted again elsewhere. Its attempt.json
    says where the shot was painted and at what cost. ``should_stop`` is asked after every frame; StoppedError follows.
    ``node``: this machine's name in attempt.json. Raises VideoStyleError.
    """
    piece, began = Piece(folder, shot.name), time.perf_counter()
    if piece.path.is_dir():
        return piece.path
    suffix = Path(request.place).suffix
    attempt = f"{piece.begin(suffix)}{'' if suffix else '/'}"  # of the same format
    settings, run = request.settings.with_quality(), request.run.replace(keep=True, restart=False, partial=False)
    own = replace(request, output=attempt, settings=settings, run=run, record_to=None)
    job = open_job(own, settings.history_size, shot.frames)
    stylizer = open_stylizer(request.style, settings, job.size, None, job.info, job.media, job.expected_frames)
    check_memory(stylizer, job.size)
    try:
        wanted = provenance_of(job, stylizer, own)
        lost = piece.take_over(directory_of(job.output.path), partial(_fits, wanted, run.resume_anyway))
        with open_run_directory(job, stylizer, own) as kept:
            found, redone = len(kept.finished), lost + kept.redone
            _paint(shot, job, kept, stylizer, own, Callbacks(on_progress, None, should_stop))
            frames = len(kept.finished)
        note = {
            "node": node or platform.node(),
            "device": stylizer.machine.name,
            "frames": frames,
            "from_before": found,
        }
        note |= {"redone": redone, "seconds": round(time.perf_counter() - began, 3)}
        return piece.finish(kept.path, note)
    except (VideoStyleError, OSError) as error:
        if piece.path.is_dir():  # another attempt was faster, and has taken this one's folder away
            return piece.path
        if isinstance(error, VideoStyleError):
            raise
        raise MediaError(f"{folder} could not be written: {error.strerror or error}; make room") from error


def _fits(wanted: dict[str, Any], whatever_made_it: bool, found: dict[str, Any]) -> bool:
    """Whether frames of this provenance can be gone on with."""
    groups = {group for group, _ in differences(found, json.loads(json.dumps(wanted)))}
    return groups <= ({ENVIRONMENT} if whatever_made_it else set())


def _paint(
    shot: Shot,
    job: Job,
    kept: RunDirectory[SequenceState],
    stylizer: Stylizer,
    request: Request,
    callbacks: Callbacks,
) -> None:
    report = Reporter("stylise", shot.frames or None, callbacks.on_progress, restored=len(kept.finished))
    report.count, on_progress, stop = report.restored, callbacks.on_progress, callbacks.should_stop
    with (
        with_given_frames(job, kept, stylizer, request, on_progress, stop, shot.holds) as given,
        frames_of(shot, job) as frames,
    ):
        last = deque(itertools.islice(frames, len(kept.finished)), maxlen=1)  # for the flow from it
        with with_flow_ahead(frames, last[0] if last else None, stylizer) as (ahead, flow):
            maker = frame_maker_of(stylizer, flow, report.evaluation, given)
            for frame in store_frames(job, kept, stylizer, maker, ahead, stop):
                report.frame(frame)


@contextmanager
def frames_of(shot: Shot, job: Job) -> Iterator[Iterator[Frame]]:
    """The shot's own frames, as if the clip began and ended with them; FFmpeg seeks where that finds the same frame."""
    if isinstance(shot, WholeClip):
        with open_decoder(job) as decoder:
            yield in_shots(iter(decoder), job.media)
        return
    length = job.info.duration_seconds
    if (
        shot.checksum is not None
        and shot.start_seconds - Fraction(job.media.start_seconds) >= SEEK_FROM_SECONDS
        and (length is None or shot.start_seconds < length)
    ):
        with open_decoder(job, float(shot.start_seconds - SEEK_BEFORE_SECONDS)) as decoder:
            frames = _within(shot, iter(decoder))
            first = _first_of(frames)
            if first is not None and first.time_seconds == shot.start_seconds and checksum_of(first) == shot.checksum:
                yield itertools.chain((first,), frames)
                return
    with open_decoder(job) as decoder:
        yield _within(shot, iter(decoder))


def _first_of(frames: Iterator[Frame]) -> Frame | None:
    try:
        return next(frames, None)
    except (MediaError, UsageError):  # a clip that cannot be entered here
        return None


def _within(shot: Shot, frames: Iterator[Frame]) -> Iterator[Frame]:
    later = itertools.dropwhile(lambda frame: frame.time_seconds < shot.start_seconds, frames)
    return (replace(frame, cut=False) for frame in itertools.islice(later, shot.frames))


def finished_frames(folder: Path, job: Job) -> Iterator[StylisedFrame]:
    """The frames of a shot's run directory that are sound, numbered from 0; ``job``: of the shot's request."""
    store = FrameStore(folder / "frames", job.size, job.depth)
    stored = list(store.sound(Journal(folder).frames))
    if not stored:
        return
    store.open_for_reading()
    try:
        yield from map(store.read, stored)
    finally:
        store.close()


def count_finished(folder: Path, job: Job) -> int:
    """How many of them there are."""
    return sum(1 for _ in FrameStore(folder / "frames", job.size, job.depth).sound(Journal(folder).frames))
