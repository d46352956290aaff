"""From file to file: probe, decode, stylise, encode, publish. The one place that knows the order of the stages."""

import json
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from videostyle import record
from videostyle.ahead import Ahead, FlowAhead
from videostyle.errors import DeviceError, MediaError, UsageError
from videostyle.frame import Frame, StylisedFrame, VideoInfo
from videostyle.machine import choose_machine, encoder_threads, free_memory_bytes, peak_memory_bytes
from videostyle.media.decode import Decoder, output_size
from videostyle.media.encode import Encoder, check_output, check_space, rehearse
from videostyle.media.formats import holds_alpha, needs_even
from videostyle.media.probe import probe
from videostyle.media.still import check_picture_output, read_picture, write_picture
from videostyle.motion.flow import flow_named
from videostyle.motion.shots import cut_at, find_shots
from videostyle.painter import Painter, stylise_frames
from videostyle.perception.weights import Progress as DownloadProgress
from videostyle.settings import NAMED_STARTS, MediaSettings, Settings

DEFAULT_SIZE_CPU, DEFAULT_SIZE_ACCELERATED = 512, 960

# What a run takes for every pixel of a frame: features, gradients and curvature pairs, measured on a CPU.
BYTES_PER_PIXEL = {"compact": {"fp32": 1600, "bf16": 1400}, "vgg19": {"fp32": 4500, "bf16": 2600}}

PREVIEW_FRAMES = 4  # the first one is kept; the others tell what a frame in mid-shot costs


@dataclass(frozen=True)
class Progress:
    """Where a run stands. ``frames`` is the container's own count, an estimate, or None where it does not say."""

    stage: str  # "stylise" or "copy"
    frame: int  # frames finished
    frames: int | None
    evaluation: int = 0  # evaluations of the frame in progress; 0 when it has just been finished
    loss: float = 0.0
    finished: StylisedFrame | None = None


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Result:
    """What a run made. ``notices``: what a careful user wants to know. ``record``: the run record."""

    output: Path
    frames: int
    seconds: float
    notices: tuple[str, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)


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
    *,
    record_to: str | Path | None = None,
    on_progress: OnProgress | None = None,
    on_download: DownloadProgress | None = None,
) -> Result:
    """Write ``clip`` in the style of the picture ``style``: every frame, its time, its sound.

    ``output``: by default ``CLIP-STYLE.mp4`` in the current folder. ``record_to``: where the run record goes as JSON.
    Everything that can be refused is refused before the first frame is optimised; the output appears whole or not at
    all. Raises VideoStyleError.
    """
    settings, media = settings or Settings(), media or MediaSettings()
    output = output or default_output(clip, style, ".mp4")
    job = _open(clip, output, settings, media, record_to)
    painter = _painter(style, settings, on_download)
    _check_memory(painter, job.size)
    heading = record.heading(painter, media, source=Path(clip).name, style=Path(style).name)
    report = _Reporter("stylise", job.expected_frames, on_progress)

    def painted(frames: Iterator[Frame]) -> Generator[StylisedFrame, None, None]:
        flow = FlowAhead(
            flow_named(painter.settings.flow, painter.settings.flow_size), painter.settings.init == "warped"
        )
        with Ahead(flow.pairs(in_shots(frames, media))) as pairs:
            yield from stylise_frames(
                flow.frames(pairs), painter.style, flow=flow, painter=painter, on_evaluation=report.evaluation
            )

    result = _run(job, painted, report, record.comment(heading))
    lines = [record.frame_entry(f) for f in report.finished]
    full = heading | {
        "source": record.source_entry(job.info),
        "frames": lines,
        "totals": record.totals(lines, result.seconds, painter.machine.device),
        "warnings": list(result.notices),
    }
    if record_to is not None:
        write_json(Path(record_to), full)
    return Result(result.output, result.frames, result.seconds, result.notices, full)


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
    return _run(job, _untouched, _Reporter("copy", job.expected_frames, on_progress), None)


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
    report = _Reporter("stylise", 1, on_progress)
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
    report = _Reporter("stylise", PREVIEW_FRAMES, on_progress)
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


def _open(
    clip: str | Path, output: str | Path, settings: Settings, media: MediaSettings, record_to: str | Path | None
) -> _Job:
    """Probe the clip and refuse what could not be written, before any work."""
    info = probe(clip, media.stream)
    check_output(output, media, info.path)
    _check_record(record_to)
    size, frames = _frame_size(info, output, settings, media), _expected_frames(info, media)
    check_space(output, info, size=size, settings=media, frames=frames or 0)
    return _Job(info, output, size, media, frames)


def _run(
    job: _Job,
    stage: Callable[[Iterator[Frame]], Generator[Frame, None, None]],
    report: "_Reporter",
    comment: str | None,
) -> Result:
    """Decode, put every frame through ``stage``, encode, publish."""
    began, threads, media = time.perf_counter(), encoder_threads(), job.media
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


class _Reporter:
    """Tells the caller where a run stands, and keeps what finished frames cost (not their pixels, save the first's)."""

    def __init__(self, stage: str, frames: int | None, on_progress: OnProgress | None) -> None:
        self.stage, self.frames, self.on_progress = stage, frames, on_progress
        self.count = 0
        self.finished: list[StylisedFrame] = []
        self.first_pixels = torch.empty(0)

    def evaluation(self, _index: int, evaluation: int, loss: float) -> None:
        if self.on_progress:
            self.on_progress(Progress(self.stage, self.count, self.frames, evaluation, loss))

    def frame(self, frame: Frame) -> None:
        stylised = frame if isinstance(frame, StylisedFrame) else None
        self.count += 1
        if stylised is not None:
            if self.count == 1:
                self.first_pixels = stylised.pixels
            self.finished.append(stylised.without_pixels())
        if self.on_progress:
            loss = stylised.loss if stylised else 0.0
            self.on_progress(Progress(self.stage, self.count, self.frames, 0, loss, stylised))


def _painter(style: str | Path, settings: Settings, on_download: DownloadProgress | None) -> Painter:
    """The painter for a style picture, with the start pictures that the settings name."""
    pictures = {name: read_picture(name) for name in {settings.init, settings.first_init} if name not in NAMED_STARTS}
    return Painter(read_picture(style), settings, starts=pictures, on_download=on_download)


def _check_memory(painter: Painter, size: tuple[int, int]) -> None:
    """Refuse frames that the device has no memory for, by estimate. Raises DeviceError."""
    machine = painter.machine
    kind = "compact" if painter.backbone.name == "compact" else "vgg19"
    needed = size[0] * size[1] * BYTES_PER_PIXEL[kind][machine.precision]
    free = free_memory_bytes(machine.device)
    if free is not None and needed > free:
        raise DeviceError(
            f"frames of {size[0]}x{size[1]} need about {needed / 2**30:.1f} GiB and {machine.device.type} has "
            f"{free / 2**30:.1f} GiB free; choose a smaller --size"
        )


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
