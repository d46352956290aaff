"""From file to file: probe, decode, stylise, encode, publish. The one place that knows the order of the stages."""

import itertools
import json
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from videostyle import record
from videostyle.ahead import ROOM, Ahead, FlowAhead, helpers_here
from videostyle.errors import DeviceError, MediaError, StoppedError, UsageError
from videostyle.frame import Frame, StylisedFrame, VideoInfo
from videostyle.journal import RunDirectory, States, directory_of, is_published
from videostyle.machine import choose_machine, encoder_threads, peak_memory_bytes
from videostyle.media.decode import Decoder, output_size
from videostyle.media.encode import Encoder, check_output, check_space, rehearse
from videostyle.media.ffmpeg import find_ffmpeg
from videostyle.media.formats import depth_of, holds_alpha, needs_even
from videostyle.media.probe import probe
from videostyle.media.still import check_picture_output, read_picture, write_picture
from videostyle.memory import check_memory, enough_memory
from videostyle.motion.flow import flow_named
from videostyle.motion.shots import cut_at, find_shots
from videostyle.painter import POSITION_PARTS, Painter, Position, stylise_frames
from videostyle.perception.weights import Progress as DownloadProgress
from videostyle.progress import OnProgress, Progress, Reporter
from videostyle.settings import NAMED_STARTS, MediaSettings, RunSettings, Settings

DEFAULT_SIZE_CPU, DEFAULT_SIZE_ACCELERATED = 512, 960

# What a stored frame takes of its raw pixels: brush strokes are noise to a compressor.
STORED_SHARE = 0.8

PREVIEW_FRAMES = 4  # the first one is kept; the others tell what a frame in mid-shot costs

__all__ = [
    "OnProgress", "Preview", "Progress", "Result", "copy_video", "default_output", "default_size", "in_shots",
    "preview_video", "stylise_image", "stylise_video", "write_json",
]  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What a run made. ``notices``: what a careful user wants to know. ``record``: the run record.

    ``restored``: how many of the ``frames`` an earlier run had finished, ``redone``: how many it had finished that had
    to be painted again. ``seconds``: of this run.
    """

    output: Path
    frames: int
    seconds: float
    notices: tuple[str, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)
    restored: int = 0
    redone: int = 0


@dataclass(frozen=True)
class Preview:
    """One stylised frame and what the whole clip would cost at this speed; None where the length is not known."""

    output: Path
    frame: StylisedFrame
    frame_seconds: float
    clip_frames: int | None
    clip_seconds: float | None
    peak_rss_bytes: int
    peak_vram_bytes: int


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
    painter = _painter(style, settings, on_download)
    check_memory(painter, job.size)
    heading = record.heading(painter, media, source=Path(clip).name, style=Path(style).name)
    with _run_directory(job, painter, style, run) as kept:
        if run.partial:
            job = job.cut_after(kept.finished)
        report = Reporter("stylise", job.expected_frames, on_progress, restored=len(kept.finished))
        if kept.published:
            result = Result(Path(output), len(kept.finished), 0.0)
            report.finished = kept.finished
        else:
            stage = partial(_kept_frames, kept, painter, job, run, report, should_stop)
            result = _run(job, stage, report, record.comment(heading), None if run.partial else kept.publishing)
        seconds = time.perf_counter() - began
        notices = (*result.notices, *report.notices)
        lines = [record.frame_entry(f) for f in report.finished]
        full = heading | {
            "source": record.source_entry(job.info),
            "frames": lines,
            "totals": record.totals(lines, seconds, painter.machine.device, report.restored),
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


def stylise_image(
    photo: str | Path,
    style: str | Path,
    output: str | Path | None = None,
    settings: Settings | None = None,
    media: MediaSettings | None = None,
    *,
    record_to: str | Path | None = None,
    on_progress: OnProgress | None = None,
    on_download: DownloadProgress | None = None,
) -> Result:
    """Write the picture ``photo`` in the style of the picture ``style``, by default as ``PHOTO-STYLE.png``."""
    settings, media = settings or Settings(), media or MediaSettings()
    output = output or default_output(photo, style, ".png")
    check_picture_output(output, overwrite=media.overwrite)
    _check_record(record_to)
    began = time.perf_counter()
    painter = _painter(style, settings, on_download)
    content = read_picture(photo, longest=media.size or default_size(settings))
    heading = record.heading(painter, media, source=Path(photo).name, style=Path(style).name)
    report = Reporter("stylise", 1, on_progress)
    # A picture has no previous one: it is the first frame of a shot of its own.
    (painted,) = stylise_frames([Frame(content)], painter.style, painter=painter, on_evaluation=report.evaluation)
    report.frame(painted)
    write_picture(output, painted.pixels.cpu(), overwrite=media.overwrite, comment=record.comment(heading))
    seconds = time.perf_counter() - began
    lines = [record.frame_entry(painted)]
    full = heading | {"frames": lines, "totals": record.totals(lines, seconds, painter.machine.device), "warnings": []}
    if record_to is not None:
        write_json(Path(record_to), full)
    return Result(Path(output), 1, seconds, (), full)


def preview_video(
    clip: str | Path,
    style: str | Path,
    output: str | Path | None = None,
    settings: Settings | None = None,
    media: MediaSettings | None = None,
    *,
    at_seconds: float = 0.0,
    on_progress: OnProgress | None = None,
    on_download: DownloadProgress | None = None,
) -> Preview:
    """Stylise the frame at ``at_seconds`` into a PNG, and a few after it to tell what the whole clip would cost."""
    settings, media = settings or Settings(), media or MediaSettings()
    output = output or default_output(clip, style, "-preview.png")
    check_picture_output(output, overwrite=media.overwrite)
    info = probe(clip, media.stream)
    size = _frame_size(info, "preview.mp4", settings, media)
    painter = _painter(style, settings, on_download)
    report = Reporter("stylise", PREVIEW_FRAMES, on_progress)
    with Decoder(info, size=size, start_seconds=at_seconds, threads=encoder_threads()) as decoder:
        frames = (frame for _, frame in zip(range(PREVIEW_FRAMES), decoder, strict=False))
        for frame in stylise_frames(frames, painter.style, painter=painter, on_evaluation=report.evaluation):
            report.frame(frame)
    first, *later = report.finished
    write_picture(output, report.first_pixels.cpu(), overwrite=media.overwrite)
    typical = sorted(f.wall_seconds for f in later)[len(later) // 2] if later else first.wall_seconds
    count = _expected_frames(info, media)
    resident, on_device = peak_memory_bytes(painter.machine.device)
    return Preview(
        Path(output),
        first,
        typical,
        count,
        None if count is None else first.wall_seconds + typical * (count - 1),
        resident,
        on_device,
    )


@dataclass(frozen=True)
class _Job:
    """A clip and a place for its output, both checked."""

    info: VideoInfo
    output: str | Path
    size: tuple[int, int]
    media: MediaSettings
    expected_frames: int | None

    @property
    def depth(self) -> int:
        return depth_of(self.output, self.media, transparent=self.info.has_alpha)

    def cut_after(self, finished: Sequence[Frame]) -> "_Job":
        """The same for these frames alone, sound and all. Raises UsageError where there are none."""
        if not finished:
            raise UsageError(f"no frame of {self.output} is finished; leave out --partial to begin")
        *before, last = (frame.time_seconds for frame in finished)
        step = last - before[-1] if before else 1 / (self.info.average_rate or Fraction(25))
        seconds = float(last + step - Fraction(self.media.start_seconds))
        return replace(self, media=self.media.but(duration_seconds=seconds), expected_frames=len(finished))


def _open(
    clip: str | Path,
    output: str | Path,
    settings: Settings,
    media: MediaSettings,
    record_to: str | Path | None,
    kept: int | None = None,
) -> _Job:
    """Probe the clip and refuse what could not be written, before any work.

    ``kept``: how many pictures of the optimiser's history go into a run directory, None where there is none.
    """
    info = probe(clip, media.stream)
    # Where a run was killed between its last two steps, the output is there and nothing will be written.
    written = kept is not None and is_published(output)
    check_output(output, media.but(overwrite=media.overwrite or written), info.path)
    _check_record(record_to)
    job = _Job(info, output, _frame_size(info, output, settings, media), media, _expected_frames(info, media))
    beside = 0 if kept is None or written else _directory_bytes(job, kept)
    check_space(output, info, size=job.size, settings=media, frames=job.expected_frames or 0, beside_bytes=beside)
    return job


def _directory_bytes(job: _Job, history: int) -> int:
    """What the run directory will still take, by estimate: the frames, and two states of float32 pictures."""
    picture = 3 * job.size[0] * job.size[1]
    stored = directory_of(job.output) / "frames"
    there = stored.stat().st_size if stored.is_file() else 0
    frames = round(STORED_SHARE * picture * job.depth / 8 * (job.expected_frames or 0))
    return max(0, frames - there) + 2 * 4 * picture * (2 * history + 4)


def _run_directory(job: _Job, painter: Painter, style: str | Path, run: RunSettings) -> RunDirectory[Position]:
    made_from = record.made_from(
        painter,
        job.media,
        source=job.info.path,
        style=Path(style),
        frames={"size": job.size, "depth": job.depth},
        decoder={"ffmpeg": find_ffmpeg().version},
    )
    states = States(POSITION_PARTS, painter.machine.device, lambda index, shot: Position(index, shot))
    return RunDirectory(Path(job.output), made_from, run, states=states, size=job.size, depth=job.depth)


def _kept_frames(
    kept: RunDirectory[Position],
    painter: Painter,
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
    helpers = helpers_here() if painter.machine.accelerated else 0
    estimator = flow_named(painter.settings.flow, painter.settings.flow_size)
    flow = FlowAhead(estimator, painter.settings.init == "warped", helpers)
    # The last of the frames before is there for the flow from it, which must be what it would have been.
    before = [] if last is None else [last]
    pairs_in_line = flow.pairs(itertools.chain(before, frames))
    # Beside an optimiser on the CPU a second thread costs it 27 % (measured on two cores): OpenMP then lets its threads
    # sleep at every barrier. FFmpeg decodes and encodes in processes of its own anyway.
    with Ahead(pairs_in_line, max(ROOM, helpers)) if helpers else nullcontext(pairs_in_line) as pairs:
        to_paint = itertools.islice(flow.frames(pairs), len(before), None)
        yield from _painted_frames(kept, painter, job, report, should_stop or (lambda: False), flow, to_paint)


def _painted_frames(
    kept: RunDirectory[Position],
    painter: Painter,
    job: _Job,
    report: Reporter,
    should_stop: Callable[[], bool],
    flow: FlowAhead,
    frames: Iterator[Frame],
) -> Iterator[Frame]:
    """The rest of the frames; the state after them is stored now and then, and before a stop."""
    after = deque([kept.position], maxlen=1)
    painted = stylise_frames(
        frames,
        painter.style,
        flow=flow,
        painter=painter,
        on_evaluation=report.evaluation,
        begin=kept.position,
        on_position=after.append,
    )
    try:
        with enough_memory(painter, job.size):
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


def in_shots(frames: Iterator[Frame], media: MediaSettings) -> Iterator[Frame]:
    """The frames with cuts marked: those found, those given, or none."""
    if media.cuts is not None:
        return cut_at(frames, media.cuts)
    return frames if media.no_shots else find_shots(frames)


def _painter(style: str | Path, settings: Settings, on_download: DownloadProgress | None) -> Painter:
    """The painter for a style picture, with the start pictures that the settings name."""
    pictures = {name: read_picture(name) for name in {settings.init, settings.first_init} if name not in NAMED_STARTS}
    return Painter(read_picture(style), settings, starts=pictures, on_download=on_download)


def _frame_size(info: VideoInfo, output: str | Path, settings: Settings, media: MediaSettings) -> tuple[int, int]:
    return output_size(info, media.size or default_size(settings), needs_even(output, media))


def default_size(settings: Settings) -> int:
    """The output's longer side, in pixels, where nobody said: what a device of this kind does in bearable time."""
    return DEFAULT_SIZE_ACCELERATED if choose_machine(settings).accelerated else DEFAULT_SIZE_CPU


def _expected_frames(info: VideoInfo, media: MediaSettings) -> int | None:
    """How many frames will come, from what the container says of itself; None where it says nothing."""
    whole = info.frames
    if whole is None and info.duration_seconds and info.average_rate:
        whole = round(info.duration_seconds * info.average_rate)
    if whole is None or not info.duration_seconds:
        return whole
    left = info.duration_seconds - Fraction(media.start_seconds)
    wanted = left if media.duration_seconds is None else min(left, Fraction(media.duration_seconds))
    return max(1, round(whole * wanted / info.duration_seconds))


def default_output(source: str | Path, style: str | Path, ending: str) -> Path:
    """``SOURCE-STYLE`` with this ending, in the current folder."""
    return Path(f"{Path(source).stem}-{Path(style).stem}{ending}")


def _check_record(path: str | Path | None) -> None:
    if path is not None and not Path(path).resolve().parent.is_dir():
        raise UsageError(f"the record cannot go to {path}: its folder does not exist; create it first")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON whole or not at all."""
    with _replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as e:
        raise MediaError(f"{path} could not be written: {e.strerror or e}") from e
    finally:
        temporary.unlink(missing_ok=True)
