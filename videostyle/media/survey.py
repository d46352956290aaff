"""What a media file says about itself, as JSON, from a process of its own.

Run as a script (`python survey.py clip PATH [STREAM]`, `python survey.py output PATH`): a file that crashes or stalls a
parser then costs one child process. Imported for its constants, for `open_media`, and for the head of a pipe, which
holds raw video (`pipe_input.py`). It imports nothing but PyAV itself. A file is opened here and handed over as an
object with no protocol allowed, so a playlist cannot name a second file.
"""

import contextlib
import json
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

LIFETIME_SECONDS = {"clip": 60, "output": 6 * 3600}  # the child ends itself if its parent cannot any more
SCAN_SECONDS = 20.0  # reading every packet of a file without a duration stops here
FIRST_FRAMES = 8  # decoded to learn what headers do not tell: interlacing, display matrix, colour
MAX_PIXELS = 8192 * 8192  # per picture; anything above is refused as absurd
NOT_SAID = 2  # in ITU-T H.273's tables of matrices, primaries and transfer curves
DEFAULT, ATTACHED_PICTURE = 0x1, 0x400  # AV_DISPOSITION_...


def survey_clip(path: str, wanted: int | None = None) -> dict[str, Any]:
    """Container, streams, the chosen video stream and its first frames."""
    with open_media(path) as container:
        found = describe(container)
        chosen = choose_stream(found["streams"], wanted)
        found["chosen"] = chosen
        if chosen is not None:
            found["first"] = first_frames(container, chosen)
    if chosen is not None and found["duration"] is None:
        with open_media(path) as container:
            found["packets"] = scan_packets(container, chosen)
    return found


def survey_output(path: str) -> dict[str, Any]:
    """The same for a file that was just written, decoded to its end: every timestamp of its video."""
    with open_media(path) as container:
        found = describe(container)
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        found["timestamps"] = [frame.pts for frame in container.decode(stream)]
    return found


@contextlib.contextmanager
def open_media(path: str) -> Iterator[Any]:
    import av

    options = {"protocol_whitelist": "none"}
    # Metadata may be in any encoding; from PyAV 19 on that is nobody's concern but its own
    careful: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    with open(path, "rb") as file, av.open(file, options=options, **careful) as container:
        yield container


def describe(container: Any) -> dict[str, Any]:
    """Times of the container are in microseconds, as FFmpeg counts them."""
    return {
        "format": container.format.name,
        "start": container.start_time,
        "duration": container.duration,
        "brand": container.metadata.get("major_brand", ""),
        "chapters": len(container.chapters()) if hasattr(container, "chapters") else 0,  # not in PyAV 15
        "streams": [describe_stream(stream) for stream in container.streams],
    }


def describe_stream(stream: Any) -> dict[str, Any]:
    context = stream.codec_context
    disposition = int(getattr(stream.disposition, "value", stream.disposition))  # an enum or a number, by version
    found = {
        "index": stream.index,
        "kind": stream.type,
        "codec": context.name if context else "unknown",
        "time_base": text(stream.time_base),
        "start": stream.start_time,
        "duration": stream.duration,
        "frames": stream.frames,
        "default": bool(disposition & DEFAULT),
        "attached_picture": bool(disposition & ATTACHED_PICTURE),
        "language": stream.metadata.get("language"),
        "alpha_mode": stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1",
    }
    if stream.type == "video" and context:
        found |= {
            "width": context.width,
            "height": context.height,
            "sample_aspect_ratio": text(stream.sample_aspect_ratio or context.sample_aspect_ratio),
            "average_rate": text(stream.average_rate),
            "pixel_format": context.pix_fmt,
            **describe_format(context.format),
            "range": int(context.color_range),
            "matrix": int(context.colorspace),
            "primaries": int(context.color_primaries),
            "transfer": int(context.color_trc),
        }
    return found


def describe_format(pixel_format: Any) -> dict[str, Any]:
    if pixel_format is None:
        return {"bit_depth": 8, "has_alpha": False, "is_rgb": False}
    return {
        "bit_depth": max((part.bits for part in pixel_format.components), default=8),
        "has_alpha": any(part.is_alpha for part in pixel_format.components),
        "is_rgb": pixel_format.is_rgb,
    }


def choose_stream(streams: list[dict[str, Any]], wanted: int | None) -> int | None:
    """The video stream flagged as default, else the one with most pixels, else the first; cover art never.

    The same order breaks ties: of several default streams the one with most pixels. ``wanted`` is an index of the file.
    """
    pictures = [s for s in streams if s["kind"] == "video" and not s["attached_picture"]]
    if wanted is not None:
        pictures = [s for s in pictures if s["index"] == wanted]
    best = max(
        pictures, key=lambda s: (s["default"], s.get("width", 0) * s.get("height", 0), -s["index"]), default=None
    )
    return best["index"] if best else None


def first_frames(container: Any, index: int) -> list[dict[str, Any]]:
    """What the decoder says about the first frames; an empty list where it cannot decode any."""
    import av

    stream = container.streams[index]
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    frames: list[dict[str, Any]] = []
    with contextlib.suppress(av.FFmpegError):
        for frame in container.decode(stream):
            frames.append(describe_frame(frame))
            if len(frames) == FIRST_FRAMES:
                break
    return frames


def describe_frame(frame: Any) -> dict[str, Any]:
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return {
        "pts": frame.pts,
        "width": frame.width,
        "height": frame.height,
        "pixel_format": frame.format.name,
        **describe_format(frame.format),
        "interlaced": bool(frame.interlaced_frame),
        "display_matrix": struct.unpack("=9i", bytes(matrix)[:36]) if matrix else None,
        "range": int(frame.color_range),
        "matrix": int(frame.colorspace),
        "primaries": int(getattr(frame, "color_primaries", NOT_SAID)),  # PyAV 15 has them for the stream only
        "transfer": int(getattr(frame, "color_trc", NOT_SAID)),
    }


def scan_packets(container: Any, index: int) -> dict[str, Any]:
    """Count the packets and find the last time of a stream whose container states no duration (webcam recordings)."""
    stop = time.monotonic() + SCAN_SECONDS
    count, last = 0, None
    for packet in container.demux(container.streams[index]):
        if packet.pts is not None:
            count, last = count + 1, max(packet.pts, last if last is not None else packet.pts)
        if time.monotonic() > stop:
            return {"count": None, "last": None}
    return {"count": count, "last": last}


def text(fraction: Fraction | None) -> str | None:
    return str(fraction) if fraction else None


def main(mode: str, path: str, *rest: str) -> None:
    watchdog = threading.Timer(LIFETIME_SECONDS[mode], os._exit, [3])
    watchdog.daemon = True
    watchdog.start()
    try:
        answer = survey_clip(path, *map(int, rest)) if mode == "clip" else survey_output(path)
    except Exception as error:  # whatever it is, the parent is told in one line
        answer = {"error": " ".join(f"{getattr(error, 'strerror', None) or error}".split())}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
