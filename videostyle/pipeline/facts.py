"""What a page shows of a clip or a picture before anything is painted: size, frames, sound."""

from pathlib import Path
from typing import Any

from videostyle.errors import UsageError, VideoStyleError
from videostyle.frames import Frame
from videostyle.media.decode import Decoder, output_size
from videostyle.media.frame_times import frame_times
from videostyle.media.loudness import read_sound
from videostyle.media.mask_picture import is_picture
from videostyle.media.probe import probe
from videostyle.media.still import read_picture

WAVEFORM_POINTS = 1000
BEFORE_SECONDS = 0.0005  # a time that was rounded still means its frame


def facts_of(path: Path) -> dict[str, Any]:
    """Plain values. ``kind``: clip or picture; ``width``, ``height`` in pixels; of a clip ``seconds``, the ``times`` of
    its frames in seconds, ``waveform``: its loudness from 0 to 1 at even steps, None without sound.

    Raises UsageError or MediaError for what is neither.
    """
    if is_picture(path):
        picture = read_picture(path)
        return {"kind": "picture", "width": picture.shape[3], "height": picture.shape[2]}
    info = probe(path)
    times = [round(float(time), 6) for time in frame_times(info)]
    if not times:
        raise UsageError(f"{path} has no frames with times; convert it to .mp4 first")
    step = float(1 / info.average_rate) if info.average_rate else 0.04
    seconds = max(float(info.duration_seconds or 0), times[-1] + step)
    waveform = None
    if any(stream.kind == "audio" for stream in info.streams):
        try:
            heard = read_sound(path, info.start_seconds).loudness("audio", 0.0)
            waveform = [round(heard(seconds * i / WAVEFORM_POINTS), 3) for i in range(WAVEFORM_POINTS)]
        except VideoStyleError:  # a clip whose sound is damaged can be painted all the same
            waveform = None
    sides = {"width": info.width, "height": info.height}
    return {"kind": "clip", **sides, "seconds": seconds, "times": times, "waveform": waveform}


def frame_at(path: Path, at_seconds: float, longest: int) -> Frame:
    """The frame that begins at ``at_seconds`` or next after it, no longer than ``longest`` pixels on its longer side.

    A picture is the same at all times. Raises UsageError or MediaError.
    """
    if is_picture(path):
        return Frame(read_picture(path, longest=longest))
    info = probe(path)
    start = max(0.0, at_seconds - BEFORE_SECONDS)
    with Decoder(info, size=output_size(info, longest, True), start_seconds=start) as decoder:
        return next(iter(decoder))
