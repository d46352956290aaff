"""From clip to clip: probe, decode, stylise, encode, publish, in this order."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from videostyle.checkpoint.frame_store import FrameStore
from videostyle.checkpoint.run_directory import RunDirectory
from videostyle.checkpoint.state_store import StateKind
from videostyle.device import encoder_threads
from videostyle.errors import DeviceError, MediaError, StoppedError
from videostyle.files import write_json
from videostyle.frames import Frame
from videostyle.media.decode import Decoder
from videostyle.media.encode import Encoder, rehearse
from videostyle.media.ffmpeg import find_ffmpeg
from videostyle.pipeline import run_record
from videostyle.pipeline.given_frames import FoundFrames, Stretch, carried_back
from videostyle.pipeline.job import Job, open_job, open_stylizer
from videostyle.pipeline.memory_check import check_memory, enough_memory
from videostyle.pipeline.prefetch import with_flow_ahead
from videostyle.pipeline.progress import OnProgress, Reporter, log_notices
from videostyle.pipeline.request import Callbacks, Request, Result
from videostyle.settings import MediaSettings, RunSettings, Settings
from videostyle.settings.look import Look, as_look
from videostyle.stylise.choose_maker import frame_maker_of
from videostyle.stylise.frame_maker import FrameMaker
from videostyle.stylise.given import GivenFrames
from videostyle.stylise.state import SequenceState
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.cuts import in_shots

Frames = Generator[Frame, None, None]


def stylise_video(
    clip: str | Path,
    style: str | Path | Look,
    output: str | Path | None = None,
    settings: Settings | None = None,
    media: MediaSettings | None = None,
    run: RunSettings | None = None,
    *,
    record_to: str | Path | None = None,
    **callbacks: Any,
) -> Result:
    """Write ``clip`` in the style of the picture ``style``, or as a look says: every frame, its time, its sound.

    See `run.run`.
    ``output``: by default ``CLIP-STYLE.mp4`` in the current folder. ``callbacks``: the fields of `Callbacks`.
    """
    asked = settings or Settings(), media or MediaSettings(), run or RunSettings()
    return run_video(Request("video", clip, style, output, *asked, record_to), Callbacks(**callbacks))


def copy_video(
    clip: str | Path,
    output: str | Path,
    settings: Settings | None = None,
    media: MediaSettings | None = None,
    **callbacks: Any,
) -> Result:
    """Write the clip's frames as they are (``--passthrough``): the pipeline without the stylisation."""
    request = Request("copy", clip, "copy", output, settings or Settings(), media or MediaSettings())
    return run_copy(request, Callbacks(**callbacks))


def run_copy(request: Request, callbacks: Callbacks) -> Result:
    job = open_job(request)
    return encode_frames(job, _untouched, Reporter("copy", job.expected_frames, callbacks.on_progress))


def run_video(request: Request, callbacks: Callbacks) -> Result:
    began = time.perf_counter()
    request = replace(request, settings=request.settings.with_quality())
    job = open_job(request, history=request.settings.history_size)
    known = job.info, job.media, job.expected_frames
    stylizer = open_stylizer(request.style, request.settings, job.size, callbacks, *known)
    check_memory(stylizer, job.size)
    heading = run_record.heading(stylizer, job.media, source=Path(request.source).name, look=as_look(request.style))
    with open_run_directory(job, stylizer, request) as kept:
        if request.run.partial:
            job = job.cut_after(kept.finished)
        report = Reporter("stylise", job.expected_frames, callbacks.on_progress, restored=len(kept.finished))
        if kept.published:
            result = Result(job.output.path, len(kept.finished), 0.0)
            report.finished = kept.finished
        else:
            frames = partial(_frames, job, kept, stylizer, request, report, callbacks.should_stop)
            on_publish = None if request.run.partial else kept.publishing
            result = encode_frames(job, frames, report, run_record.comment(heading), on_publish)
        seconds = time.perf_counter() - began
        notices = (*result.notices, *report.notices)
        lines = [run_record.frame_entry(f) for f in report.finished]
        record = heading | {
            "source": run_record.source_entry(job.info),
            "frames": lines,
            "totals": run_record.totals(lines, seconds, stylizer.machine.device, report.restored),
            "warnings": list(notices),
        }
        if request.record_to is not None:
            write_json(Path(request.record_to), record)
    return Result(result.output, result.frames, seconds, notices, record, report.restored, kept.redone)


def provenance_of(job: Job, stylizer: Stylizer, request: Request) -> dict[str, dict[str, Any]]:
    """Everything that the frames depend on (`run_record.provenance`)."""
    frames, decoder = {"size": job.size, "depth": job.depth}, {"ffmpeg": find_ffmpeg().version}
    source, look = job.info.path, as_look(request.style)
    return run_record.provenance(stylizer, job.media, source=source, look=look, frames=frames, decoder=decoder)


def open_run_directory(job: Job, stylizer: Stylizer, request: Request) -> RunDirectory[SequenceState]:
    """The directory beside the output, with the frames and the state that an earlier run left there."""
    provenance = provenance_of(job, stylizer, request)
    states = StateKind(frame_maker_of(stylizer).state_types, stylizer.machine.device, SequenceState)
    return RunDirectory(job.output.path, provenance, request.run, states=states, size=job.size, depth=job.depth)


def open_decoder(job: Job, start_seconds: float | None = None) -> Decoder:
    """The clip's frames at the output's size. ``start_seconds``: from there to the clip's end, instead of the job's."""
    return Decoder(
        job.info,
        size=job.size,
        start_seconds=job.media.start_seconds if start_seconds is None else start_seconds,
        duration_seconds=job.media.duration_seconds if start_seconds is None else None,
        threads=encoder_threads(),
        keep_alpha=job.output.holds_alpha,
    )


def _frames(
    job: Job,
    kept: RunDirectory[SequenceState],
    stylizer: Stylizer,
    request: Request,
    report: Reporter,
    should_stop: Callable[[], bool] | None,
    source: Iterator[Frame],
) -> Frames:
    """The frames that an earlier run finished, then those that are stylised now, each stored before it is used."""
    frames, last = in_shots(source, job.media), None
    for index, frame in zip(range(report.restored), frames, strict=False):
        stored, last = kept.read(index), frame
        if stored.time_seconds != frame.time_seconds:
            raise MediaError(f"frame {index} of {job.info.path} is not where it was; say --restart")
        yield stored
    if request.run.partial:
        return
    on_progress = report.on_progress
    with (
        with_given_frames(job, kept, stylizer, request, on_progress, should_stop) as given,
        with_flow_ahead(frames, last, stylizer) as (ahead, flow),
    ):
        maker = frame_maker_of(stylizer, flow, report.evaluation, given)
        yield from store_frames(job, kept, stylizer, maker, ahead, should_stop)


@contextmanager
def with_given_frames(
    job: Job,
    kept: RunDirectory[SequenceState],
    stylizer: Stylizer,
    request: Request,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
    is_wanted: Callable[[Frame], bool] = lambda _: True,
) -> Iterator[GivenFrames | None]:
    """The look's own frames and what they were carried back to, painted first; None where it has none.

    ``is_wanted``: whether a given frame is of the part that is painted.
    """
    wanted = as_look(request.style).frames
    if not wanted:
        yield None
        return
    run_settings = request.run.replace(keep=True, partial=False, restart=False)

    def paint(stretch: Stretch, frames: Iterator[Frame], found: FoundFrames) -> RunDirectory[SequenceState]:
        own = replace(job, output=replace(job.output, path=kept.inside(stretch.number)))
        open_directory = partial(open_run_directory, own, stylizer, replace(request, run=run_settings))
        with open_directory() as directory:
            done = len(directory.finished)
            report = Reporter("carry back", len(stretch.pts), on_progress, restored=done)
            report.count = done
            last = deque(islice(frames, done), maxlen=1)
            with with_flow_ahead(frames, last[0] if last else None, stylizer) as (ahead, flow):
                maker = frame_maker_of(stylizer, flow, report.evaluation, found)
                for frame in store_frames(own, directory, stylizer, maker, ahead, should_stop):
                    report.frame(frame)
        return open_directory()

    depth = 16 if job.info.bit_depth > 8 or job.info.has_alpha else 8
    scratch = FrameStore(kept.inside(0), job.size, depth)
    with ExitStack() as directories:
        with open_decoder(job) as decoder, closing(scratch):
            frames = in_shots(iter(decoder), job.media)
            given = carried_back(frames, wanted, scratch, paint, directories, is_wanted)
        yield given


def store_frames(
    job: Job,
    kept: RunDirectory[SequenceState],
    stylizer: Stylizer,
    maker: FrameMaker,
    source: Iterator[Frame],
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[Frame]:
    """Stylised frames, each stored in ``kept`` first; the state is stored when it is due, and before a stop."""
    after = deque([kept.position], maxlen=1)
    try:
        with enough_memory(stylizer, job.size):
            for frame in maker.frames(source, kept.position, after.append):
                stored, stop = kept.keep(frame), should_stop is not None and should_stop()
                if stop or kept.state_is_due:
                    kept.save(after[0])
                if stop:
                    finished = f"{after[0].index}{f' of {job.expected_frames}' if job.expected_frames else ''} frames"
                    words = "the same command goes on from there, --partial publishes what there is"
                    raise StoppedError(f"stopped; {finished} are finished: {words}")
                yield stored
        kept.save(replace(after[0], state=None))  # no frame is left that would need one
    except DeviceError:
        kept.save(after[0])
        raise


def encode_frames(
    job: Job,
    stage: Callable[[Iterator[Frame]], Frames],
    report: Reporter,
    comment: str | None = None,
    on_publish: Callable[[Path], None] | None = None,
) -> Result:
    """Decode, put every frame through ``stage``, encode, publish; ``on_publish`` takes the file before that."""
    began = time.perf_counter()

    def on_stage(name: str) -> None:
        report.closing(name)
        if name == "publish" and on_publish is not None:
            on_publish(encoder.part)

    with open_decoder(job) as decoder:
        encoder = Encoder(
            job.output,
            job.info,
            size=job.size,
            time_base=decoder.time_base,
            comment=comment,
            threads=encoder_threads(),
            plan=rehearse(job.output, job.info, size=job.size, time_base=decoder.time_base),
            on_stage=on_stage,
        )
        with encoder, closing(stage(iter(decoder))) as frames:  # whatever runs ahead ends before the decoder does
            for frame in frames:
                ready = Frame(frame.pixels.cpu(), frame.pts, frame.time_base)
                encoder.write(ready, alpha=decoder.take_alpha(frame.pts))
                report.frame(frame)
    notices = (*job.info.notices, *decoder.warnings, *encoder.notices)
    log_notices(notices)
    return Result(job.output.path, encoder.frames, time.perf_counter() - began, notices)


def _untouched(frames: Iterator[Frame]) -> Frames:
    yield from frames
