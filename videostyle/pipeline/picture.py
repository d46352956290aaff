"""One picture in the style of another, and one frame of a clip as a preview of what the whole would cost."""

import time
from dataclasses import dataclass
from pathlib import Path

from videostyle.device import encoder_threads, peak_memory_bytes
from videostyle.files import write_json
from videostyle.frames import Frame, StylisedFrame
from videostyle.media.decode import Decoder
from videostyle.media.probe import probe
from videostyle.media.still import check_picture_output, read_picture, write_picture
from videostyle.networks.download import DownloadProgress
from videostyle.pipeline import run_record
from videostyle.pipeline.job import (
    Result,
    _check_record,
    _expected_frames,
    _frame_size,
    _painter,
    default_output,
    default_size,
)
from videostyle.pipeline.progress import OnProgress, Reporter
from videostyle.settings import MediaSettings, Settings
from videostyle.stylise.sequence import stylise_frames

PREVIEW_FRAMES = 4  # the first one is kept; the others tell what a frame in mid-shot costs


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
    stylizer = _painter(style, settings, on_download)
    content = read_picture(photo, longest=media.size or default_size(settings))
    heading = run_record.heading(stylizer, media, source=Path(photo).name, style=Path(style).name)
    report = Reporter("stylise", 1, on_progress)
    # A picture has no previous one: it is the first frame of a shot of its own.
    (painted,) = stylise_frames([Frame(content)], stylizer, on_evaluation=report.evaluation)
    report.frame(painted)
    write_picture(output, painted.pixels.cpu(), overwrite=media.overwrite, comment=run_record.comment(heading))
    seconds = time.perf_counter() - began
    lines = [run_record.frame_entry(painted)]
    full = heading | {
        "frames": lines,
        "totals": run_record.totals(lines, seconds, stylizer.machine.device),
        "warnings": [],
    }
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
    stylizer = _painter(style, settings, on_download)
    report = Reporter("stylise", PREVIEW_FRAMES, on_progress)
    with Decoder(info, size=size, start_seconds=at_seconds, threads=encoder_threads()) as decoder:
        frames = (frame for _, frame in zip(range(PREVIEW_FRAMES), decoder, strict=False))
        for frame in stylise_frames(frames, stylizer, on_evaluation=report.evaluation):
            report.frame(frame)
    first, *later = report.finished
    write_picture(output, report.first_pixels.cpu(), overwrite=media.overwrite)
    typical = sorted(f.wall_seconds for f in later)[len(later) // 2] if later else first.wall_seconds
    count = _expected_frames(info, media)
    resident, on_device = peak_memory_bytes(stylizer.machine.device)
    return Preview(
        Path(output),
        first,
        typical,
        count,
        None if count is None else first.wall_seconds + typical * (count - 1),
        resident,
        on_device,
    )
