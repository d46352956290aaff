"""Shots as tasks: planned in one decode, stylised anywhere, joined in order. Nothing crosses a cut."""

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from videostyle.checkpoint.frame_store import FrameStore
from videostyle.checkpoint.journal import Journal
from videostyle.files import sync_folder
from videostyle.frames import Frame, StylisedFrame
from videostyle.pipeline.job import Job, open_job, open_stylizer
from videostyle.pipeline.prefetch import with_flow_ahead
from videostyle.pipeline.request import Request
from videostyle.pipeline.video import open_decoder, open_run_directory, store_frames, with_given_frames
from videostyle.stylise.choose_maker import frame_maker_of
from videostyle.temporal.cuts import in_shots


@dataclass(frozen=True)
class Shot:
    """A shot's place in the clip."""

    number: int  # from 0
    first: int  # index of its first frame, from 0
    frames: int
    start_seconds: Fraction  # the first frame's time
    end_seconds: Fraction | None  # the next shot's, None for the last one

    def holds(self, frame: Frame) -> bool:
        """Whether a frame of the clip is one of its own."""
        seconds = frame.time_seconds
        return self.start_seconds <= seconds and (self.end_seconds is None or seconds < self.end_seconds)


def plan_shots(request: Request) -> list[Shot]:
    """The shots of a request's clip, from one decode at the output's size. Raises VideoStyleError."""
    job = open_job(request)
    starts: list[tuple[int, Fraction]] = []
    count = 0
    with open_decoder(job) as decoder:
        for index, frame in enumerate(in_shots(iter(decoder), job.media)):
            if index == 0 or frame.cut:
                starts.append((index, frame.time_seconds))
            count = index + 1
    ends = [*starts[1:], (count, None)]
    spans = enumerate(zip(starts, ends, strict=True))
    return [Shot(number, first, end - first, start, then) for number, ((first, start), (end, then)) in spans]


def stylise_shot(shot: Shot, request: Request, folder: Path) -> Path:
    """Stylise one shot of a request's clip; returns the run directory of its frames, to the bit the request's own.

    It appears in ``folder`` under the shot's number, in one step when the shot is finished. A call that was stopped is
    resumed by the next one. Raises VideoStyleError.
    """
    done = folder / f"shot-{shot.number:05d}"
    if done.is_dir():
        return done
    part = f"{folder}/.{done.name}{Path(request.place).suffix or '/'}"  # of the same format
    settings = request.settings.with_quality()
    own = replace(request, output=part, settings=settings, run=request.run.replace(keep=True), record_to=None)
    job = open_job(own, history=request.settings.history_size)
    stylizer = open_stylizer(request.style, settings, job.size, None, job.info, job.media, job.expected_frames)
    with open_run_directory(job, stylizer, own) as kept, open_decoder(job) as decoder:
        frames = _within(shot, iter(decoder))
        last = deque(itertools.islice(frames, len(kept.finished)), maxlen=1)  # for the flow from it
        with (
            with_given_frames(job, kept, stylizer, own, is_wanted=shot.holds) as given,
            with_flow_ahead(frames, last[0] if last else None, stylizer) as (ahead, flow),
        ):
            for _ in store_frames(job, kept, stylizer, frame_maker_of(stylizer, flow, given=given), ahead):
                pass
    kept.path.rename(done)
    sync_folder(folder)
    return done


def finished_frames(folder: Path, job: Job) -> Iterator[StylisedFrame]:
    """The frames of a finished shot, numbered from 0; ``job``: of the request that it belongs to."""
    store = FrameStore(folder / "frames", job.size, job.depth)
    store.open_for_reading()
    try:
        yield from map(store.read, Journal(folder).frames)
    finally:
        store.close()


def _within(shot: Shot, frames: Iterator[Frame]) -> Iterator[Frame]:
    """The shot's own frames, as if the clip began and ended with them."""
    later = itertools.dropwhile(lambda frame: frame.time_seconds < shot.start_seconds, frames)
    return (replace(frame, cut=False) for frame in itertools.islice(later, shot.frames))
