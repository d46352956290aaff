"""Finished shots to one clip: one ordinary encode, with sound and subtitles, and one run record."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from videostyle.checkpoint.attempts import NOTE, Piece
from videostyle.errors import MediaError
from videostyle.files import write_json
from videostyle.frames import Frame, StylisedFrame
from videostyle.pipeline import run_record
from videostyle.pipeline.job import Job
from videostyle.pipeline.progress import OnProgress, Reporter
from videostyle.pipeline.request import Request, Result
from videostyle.pipeline.shot import Shot, WholeClip, finished_frames
from videostyle.pipeline.video import Frames, encode_frames


@dataclass(frozen=True)
class Part:
    """A shot and where its frames are: the finished shot's folder, or an attempt's for a clip that is not finished."""

    shot: Shot
    folder: Path


def parts_of(shots: Sequence[Shot], folder: Path, *, partial: bool = False) -> list[Part]:
    """The finished shots of ``folder``; ``partial``: those from the first one on, and the begun one behind them."""
    parts: list[Part] = []
    for shot in shots:
        piece = Piece(folder, shot.name)
        if piece.path.is_dir():
            parts.append(Part(shot, piece.path))
        elif partial:
            begun = piece.attempts()
            return [*parts, Part(shot, begun[0])] if begun else parts
    return parts


def join_shots(
    job: Job,
    request: Request,
    device: torch.device,
    heading: Mapping[str, Any],
    parts: Sequence[Part],
    on_progress: OnProgress | None = None,
    on_publish: Callable[[Path], None] | None = None,
    began: float | None = None,
    restored: int = 0,
) -> Result:
    """Encode the frames of ``parts``, in order, into a request's output, with everything that its source carries.

    ``device``: that of this process, for its peak of memory. ``heading``: of the run record. ``on_publish`` takes the
    file before it becomes the output. ``began``: when the run began, by time.perf_counter. ``restored``: frames that an
    earlier run had painted. Raises VideoStyleError.
    """
    began = time.perf_counter() if began is None else began
    if request.run.partial:
        finished = [frame for part in parts for frame in _metadata(part, job)]
        job = job.cut_after(finished)
    report = Reporter("encode", job.expected_frames, on_progress)

    def stage(source: Iterator[Frame]) -> Frames:
        painted = (frame for part in parts for frame in _frames(part, job, whole=not request.run.partial))
        for frame, there in zip(painted, source, strict=False):
            if frame.time_seconds != there.time_seconds:
                raise MediaError(f"frame {frame.index} of {job.info.path} is not where it was; say --restart")
            yield frame

    result = encode_frames(job, stage, report, run_record.comment(heading), on_publish)
    seconds = time.perf_counter() - began
    notices = (*result.notices, *report.notices)
    lines = [run_record.frame_entry(frame) for frame in report.finished]
    shots = [shot_entry(part) for part in parts]
    totals = run_record.totals(lines, seconds, device, restored)
    record = {
        **heading,
        "source": run_record.source_entry(job.info),
        "shots": shots,
        "frames": lines,
        "totals": totals | {"redone": sum(entry.get("redone", 0) for entry in shots)},
        "warnings": list(notices),
    }
    if request.record_to is not None:
        write_json(Path(request.record_to), record)
    redone = sum(entry.get("redone", 0) for entry in shots)
    return Result(result.output, result.frames, seconds, notices, record, restored, redone)


def shot_entry(part: Part) -> dict[str, Any]:
    """A shot's line of the record: where it was painted, and at what cost."""
    shot, note = part.shot, {}
    with suppress(OSError, ValueError):
        note = json.loads((part.folder / NOTE).read_text(encoding="utf-8"))
    begin = {"shot": shot.number, "first": shot.first, "start_seconds": run_record.seconds(shot.start_seconds)}
    return begin | note


def _frames(part: Part, job: Job, whole: bool) -> Iterator[StylisedFrame]:
    count = 0
    for frame in finished_frames(part.folder, job):
        count += 1
        yield _numbered(part.shot, frame)
    if whole and not isinstance(part.shot, WholeClip) and count != part.shot.frames:
        raise MediaError(f"{part.folder} is damaged: remove it, and give the same command again")


def _metadata(part: Part, job: Job) -> Iterator[StylisedFrame]:
    """Its frames without pixels."""
    return (_numbered(part.shot, frame.without_pixels()) for frame in finished_frames(part.folder, job))


def _numbered(shot: Shot, frame: StylisedFrame) -> StylisedFrame:
    """A shot's frame with its place in the clip."""
    if isinstance(shot, WholeClip):
        return frame
    return replace(frame, index=shot.first + frame.index, shot=shot.number)
