"""One picture in the style of another, and one frame of a clip as a preview of what the whole would cost."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videostyle.device import encoder_threads, peak_memory_bytes
from videostyle.errors import StoppedError
from videostyle.files import write_json
from videostyle.frames import Frame, StylisedFrame
from videostyle.media.decode import Decoder
from videostyle.media.formats import OutputFormat
from videostyle.media.probe import probe
from videostyle.media.still import check_picture_output, read_picture, write_picture
from videostyle.pipeline import run_record
from videostyle.pipeline.job import check_record, default_size, expected_frames, frame_size, open_stylizer
from videostyle.pipeline.progress import Reporter
from videostyle.pipeline.request import Callbacks, Request, Result, default_output
from videostyle.settings import MediaSettings, Settings
from videostyle.settings.look import Look, as_look
from videostyle.stylise.choose_maker import frame_maker_of

PREVIEW_FRAMES = 4  # the first one is kept; the others give the cost of a frame in mid-shot


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


def stylise_image(
    photo: str | Path,
    style: str | Path | Look,
    output: str | Path | None = None,
    settings: Settings | None = None,
    media: MediaSettings | None = None,
    *,
    record_to: str | Path | None = None,
    **callbacks: Any,
) -> Result:
    """Write the picture ``photo`` in the style of the picture ``style``, or as a look says at time 0, by default as
    ``PHOTO-STYLE.png``."""
    asked = settings or Settings(), media or MediaSettings()
    return run_image(Request("image", photo, style, output, *asked, record_to=record_to), Callbacks(**callbacks))


def run_image(request: Request, callbacks: Callbacks) -> Result:
    output, settings, media = request.place, request.settings.with_quality(), request.media
    check_picture_output(output, overwrite=media.overwrite)
    check_record(request.record_to)
    began = time.perf_counter()
    content = read_picture(request.source, longest=media.size or default_size(settings))
    stylizer = open_stylizer(request.style, settings, (content.shape[3], content.shape[2]), callbacks)
    heading = run_record.heading(stylizer, media, source=Path(request.source).name, look=as_look(request.style))
    report = Reporter("stylise", 1, callbacks.on_progress)

    def on_evaluation(index: int, evaluation: int, loss: float) -> None:
        report.evaluation(index, evaluation, loss)
        if callbacks.should_stop is not None and callbacks.should_stop():
            raise StoppedError("stopped; the picture was not finished: the same command begins it anew")

    (stylised,) = frame_maker_of(stylizer, on_evaluation=on_evaluation).frames([Frame(content)])
    report.frame(stylised)
    write_picture(output, stylised.pixels.cpu(), overwrite=media.overwrite, comment=run_record.comment(heading))
    seconds = time.perf_counter() - began
    lines = [run_record.frame_entry(stylised)]
    totals = run_record.totals(lines, seconds, stylizer.machine.device)
    record = heading | {"frames": lines, "totals": totals, "warnings": []}
    if request.record_to is not None:
        write_json(Path(request.record_to), record)
    return Result(Path(output), 1, seconds, (), record)


def preview_video(
    clip: str | Path,
    style: str | Path | Look,
    output: str | Path | None = None,
    settings: Settings | None = None,
    media: MediaSettings | None = None,
    *,
    at_seconds: float = 0.0,
    **callbacks: Any,
) -> Preview:
    """Stylise the frame at ``at_seconds`` into a PNG, and a few after it to estimate the cost of the whole clip."""
    settings, media, told = (settings or Settings()).with_quality(), media or MediaSettings(), Callbacks(**callbacks)
    output = output or default_output(clip, style, "-preview.png")
    check_picture_output(output, overwrite=media.overwrite)
    info = probe(clip, media.stream)
    size = frame_size(info, OutputFormat.of("preview.mp4", media), settings)
    seconds = float(PREVIEW_FRAMES / (info.average_rate or 1)) + 1
    part = media.replace(start_seconds=at_seconds, duration_seconds=seconds)  # masks are carried no further
    stylizer = open_stylizer(style, settings, size, told, info, part, expected_frames(info, media))
    report = Reporter("stylise", PREVIEW_FRAMES, told.on_progress)
    with Decoder(info, size=size, start_seconds=at_seconds, threads=encoder_threads()) as decoder:
        frames = (frame for _, frame in zip(range(PREVIEW_FRAMES), decoder, strict=False))
        for frame in frame_maker_of(stylizer, on_evaluation=report.evaluation).frames(frames):
            report.frame(frame)
    first, *later = report.finished
    write_picture(output, report.first_pixels.cpu(), overwrite=media.overwrite)
    typical = _typical([f.wall_seconds for f in later], settings) if later else first.wall_seconds
    count = expected_frames(info, media)
    whole = None if count is None else first.wall_seconds + typical * (count - 1)
    return Preview(Path(output), first, typical, count, whole, *peak_memory_bytes(stylizer.machine.device))


def _typical(seconds: list[float], settings: Settings) -> float:
    """What a frame in mid-shot costs: the median, or the mean where some frames are painted and some are not."""
    return statistics.fmean(seconds) if settings.uses_keyframes else statistics.median_high(seconds)
