"""From clip to clip: probe, decode, stylise, encode, publish. The one place that knows the order of the stages."""

import itertools
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from videostyle.checkpoint.run_directory import RunDirectory
from videostyle.checkpoint.state_store import StateKind
from videostyle.device import encoder_threads
from videostyle.errors import DeviceError, MediaError, StoppedError
from videostyle.files import write_json
from videostyle.frames import Frame
from videostyle.media.decode import Decoder
from videostyle.media.encode import Encoder, rehearse
from videostyle.media.ffmpeg import find_ffmpeg
from videostyle.media.formats import holds_alpha
from videostyle.networks.download import DownloadProgress
from videostyle.pipeline import run_record
from videostyle.pipeline.job import Result, _Job, _open, _painter, default_output, in_shots
from videostyle.pipeline.memory import check_memory, enough_memory
from videostyle.pipeline.prefetch import QUEUE_SIZE, FlowPrefetcher, Prefetcher, flow_workers
from videostyle.pipeline.progress import OnProgress, Reporter
from videostyle.settings import MediaSettings, RunSettings, Settings
from videostyle.stylise.sequence import stylise_frames
from videostyle.stylise.state import SEQUENCE_STATE_TYPES, SequenceState
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.flow import flow_named


def stylise_video(
    clip: str | Path,
    style: str | Path,
    output: str | Path | None = None,
    settings: Settings | None = None,
    media: MediaSettings | None = None,
    run: RunSettings | None = None,
    *,
    record_to: str | Path | None = None,
    on_progress: OnProgress | None = None,
    on_download: DownloadProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Write ``clip`` in the style of the picture ``style``: every frame, its time, its sound.

    ``output``: by default ``CLIP-STYLE.mp4`` in the current folder. ``record_to``: where the run record goes as JSON.
    Everything that can be refused is refused before the first frame is optimised; the output appears whole or not at
    all. What is finished is kept in the run directory ``OUT.videostyle`` until it does: however a run ends, the same
    call goes on from there. ``should_stop`` is asked after every frame; StoppedError follows. Raises VideoStyleError.
    """
    settings, media, run = settings or Settings(), media or MediaSettings(), run or RunSettings()
    output = output or default_output(clip, style, ".mp4")
    began = time.perf_counter()
    job = _open(clip, output, settings, media, record_to, kept=settings.history_size)
    stylizer = _painter(style, settings, on_download)
    check_memory(stylizer, job.size)
    heading = run_record.heading(stylizer, media, source=Path(clip).name, style=Path(style).name)
    with _run_directory(job, stylizer, style, run) as kept:
        if run.partial:
            job = job.cut_after(kept.finished)
        report = Reporter("stylise", job.expected_frames, on_progress, restored=len(kept.finished))
        if kept.published:
            result = Result(Path(output), len(kept.finished), 0.0)
            report.finished = kept.finished
        else:
            stage = partial(_kept_frames, kept, stylizer, job, run, report, should_stop)
            result = _run(job, stage, report, run_record.comment(heading), None if run.partial else kept.publishing)
        seconds = time.perf_counter() - began
        notices = (*result.notices, *report.notices)
        lines = [run_record.frame_entry(f) for f in report.finished]
        full = heading | {
            "source": run_record.source_entry(job.info),
            "frames": lines,
            "totals": run_record.totals(lines, seconds, stylizer.machine.device, report.restored),
            "warnings": list(notices),
        }
        if record_to is not None:
            write_json(Path(record_to), full)
    return Result(result.output, result.frames, seconds, notices, full, report.restored, kept.redone)


def copy_video(
    clip: str | Path,
    output: str | Path,
    settings: Settings | None = None,
    media: MediaSettings | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> Result:
    """Everything but the stylisation (``--passthrough``): the same path from file to file, the frames as they are."""
    job = _open(clip, output, settings or Settings(), media or MediaSettings(), None)
    return _run(job, _untouched, Reporter("copy", job.expected_frames, on_progress), None)


def _run_directory(job: _Job, stylizer: Stylizer, style: str | Path, run: RunSettings) -> RunDirectory[SequenceState]:
    provenance = run_record.provenance(
        stylizer,
        job.media,
        source=job.info.path,
        style=Path(style),
        frames={"size": job.size, "depth": job.depth},
        decoder={"ffmpeg": find_ffmpeg().version},
    )
    states = StateKind(SEQUENCE_STATE_TYPES, stylizer.machine.device, lambda index, shot: SequenceState(index, shot))
    return RunDirectory(Path(job.output), provenance, run, states=states, size=job.size, depth=job.depth)


def _kept_frames(
    kept: RunDirectory[SequenceState],
    stylizer: Stylizer,
    job: _Job,
    run: RunSettings,
    report: Reporter,
    should_stop: Callable[[], bool] | None,
    frames: Iterator[Frame],
) -> Generator[Frame, None, None]:
    """The frames that an earlier run finished, then those that are painted now; every one is stored, then used."""
    frames, last = in_shots(frames, job.media), None
    for index, source in zip(range(report.restored), frames, strict=False):
        stored, last = kept.read(index), source
        if stored.time_seconds != source.time_seconds:
            raise MediaError(f"frame {index} of {job.info.path} is not where it was; say --restart")
        yield stored
    if run.partial:
        return
    helpers = flow_workers() if stylizer.machine.accelerated else 0
    estimator = flow_named(stylizer.settings.flow, stylizer.settings.flow_size)
    flow = FlowPrefetcher(estimator, stylizer.settings.init == "warped", helpers)
    # The last of the frames before is there for the flow from it, which must be what it would have been.
    before = [] if last is None else [last]
    pairs_in_line = flow.pairs(itertools.chain(before, frames))
    # Beside an optimiser on the CPU a second thread costs it 27 % (measured on two cores): OpenMP then lets its threads
    # sleep at every barrier. FFmpeg decodes and encodes in processes of its own anyway.
    with Prefetcher(pairs_in_line, max(QUEUE_SIZE, helpers)) if helpers else nullcontext(pairs_in_line) as pairs:
        to_stylise = itertools.islice(flow.frames(pairs), len(before), None)
        yield from _painted_frames(kept, stylizer, job, report, should_stop or (lambda: False), flow, to_stylise)


def _painted_frames(
    kept: RunDirectory[SequenceState],
    stylizer: Stylizer,
    job: _Job,
    report: Reporter,
    should_stop: Callable[[], bool],
    flow: FlowPrefetcher,
    frames: Iterator[Frame],
) -> Iterator[Frame]:
    """The rest of the frames; the state after them is stored now and then, and before a stop."""
    after = deque([kept.position], maxlen=1)
    painted = stylise_frames(
        frames,
        stylizer,
        flow,
        on_evaluation=report.evaluation,
        resume_from=kept.position,
        on_state=after.append,
    )
    try:
        with enough_memory(stylizer, job.size):
            for frame in painted:
                stored, stop = kept.keep(frame), should_stop()
                if stop or kept.state_is_due:
                    kept.save(after[0])
                if stop:
                    raise StoppedError(_stopped(after[0].index, job))
                yield stored
        kept.save(replace(after[0], state=None))  # no frame is left that would need one
    except DeviceError:
        kept.save(after[0])
        raise


def _stopped(frames: int, job: _Job) -> str:
    whole = f" of {job.expected_frames}" if job.expected_frames else ""
    return (
        f"stopped; {frames}{whole} frames are finished: the same command goes on from there, "
        "--partial publishes what there is"
    )


def _run(
    job: _Job,
    stage: Callable[[Iterator[Frame]], Generator[Frame, None, None]],
    report: Reporter,
    comment: str | None,
    on_publish: Callable[[Path], None] | None = None,
) -> Result:
    """Decode, put every frame through ``stage``, encode, publish. ``on_publish`` is told what is about to be."""
    began, threads, media = time.perf_counter(), encoder_threads(), job.media

    def on_stage(name: str) -> None:
        report.closing(name)
        if name == "publish" and on_publish is not None:
            on_publish(encoder.part)

    with Decoder(
        job.info,
        size=job.size,
        start_seconds=media.start_seconds,
        duration_seconds=media.duration_seconds,
        threads=threads,
        keep_alpha=holds_alpha(job.output, media),
    ) as decoder:
        plan = rehearse(job.output, job.info, size=job.size, time_base=decoder.time_base, settings=media)
        encoder = Encoder(
            job.output,
            job.info,
            size=job.size,
            time_base=decoder.time_base,
            settings=media,
            comment=comment,
            threads=threads,
            plan=plan,
            on_stage=on_stage,
        )
        with encoder, closing(stage(iter(decoder))) as frames:  # whatever runs ahead ends before the decoder does
            for frame in frames:
                ready = Frame(frame.pixels.cpu(), frame.pts, frame.time_base)
                encoder.write(ready, alpha=decoder.take_alpha(frame.pts))
                report.frame(frame)
    notices = (*job.info.notices, *decoder.warnings, *encoder.notices)
    return Result(Path(job.output), encoder.frames, time.perf_counter() - began, notices)


def _untouched(frames: Iterator[Frame]) -> Generator[Frame, None, None]:
    yield from frames
