"""What a clip holds, before a single frame is used: `probe(path) -> VideoInfo`, or one line that says why not."""

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from videostyle.errors import MediaError, UsageError
from videostyle.frames import StreamInfo, VideoInfo
from videostyle.media import colour, survey
from videostyle.media.ffmpeg import run

# The numbers of ITU-T H.273, as FFmpeg names them; 2 (and 0 for primaries and transfer) mean "not said".
MATRICES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c", 14: "ictcp",
}  # fmt: skip
PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 10: "smpte428",
    11: "smpte431", 12: "smpte432",
}  # fmt: skip
TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 11: "iec61966-2-4",
    13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 18: "arib-std-b67",
}  # fmt: skip
FULL_RANGE = 2
MICROSECOND = Fraction(1, 1_000_000)
HD_HEIGHT = 720  # from here on an untagged clip is taken for BT.709, below for BT.601, as players do
PICTURE_BRANDS = ("heic", "heix", "mif1", "msf1", "avif", "avis")
# Formats that are not clips: playlists name other files, and `tty` takes any text for ANSI art.
REFUSED_FORMATS = {"hls", "dash", "concat", "sdp", "rtsp", "imf", "tty", "image2", "ffmetadata"}


def probe(path: str | Path, stream: int | None = None) -> VideoInfo:
    """Find the video stream of a clip and everything that decoding and carrying the other streams need.

    ``stream`` is the index of a video stream in the file; by default the one flagged as default, of several the one
    with most pixels, then the lowest index; cover art never. A file that has not changed is read once. Raises
    UsageError for what is no clip, MediaError for a clip that cannot be read.
    """
    path = Path(path)
    check_file(path)
    about = path.stat()
    return _probed(path, stream, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=1024)
def _probed(path: Path, stream: int | None, *identity: int) -> VideoInfo:
    found = read_survey(
        path, "clip", *([] if stream is None else [str(stream)]), seconds=survey.LIFETIME_SECONDS["clip"]
    )
    if "error" in found:
        raise MediaError(f"{path} cannot be read as a clip ({found['error']}); expected a video file")
    refuse_other_media(path, found)
    if found["chosen"] is None:
        raise UsageError(no_stream(path, found["streams"], stream))
    return build_info(path, found)


def check_file(path: Path) -> None:
    """Refuse what is not a readable, non-empty file."""
    if not path.exists():
        raise UsageError(f"{path} does not exist; expected a video file")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; expected a video file")
    if not path.is_file():
        raise UsageError(f"{path} is not an ordinary file; record the stream to a file first")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{path} cannot be opened for reading; check its permissions")
    if path.stat().st_size == 0:
        raise MediaError(f"{path} is empty; expected a video file")


def read_survey(path: Path, *arguments: str, seconds: float) -> dict[str, Any]:
    """The answer of `survey.py`, run as a child; its own failure is an error in one line like any other."""
    mode, *rest = arguments
    # -P: the script's folder must not shadow the standard library; the file's own path works in and out of a checkout
    command = [sys.executable, "-P", survey.__file__, mode, str(path.absolute()), *rest]
    status, out, _ = run(command, seconds=seconds)
    if status != 0:
        return {"error": f"the reader stopped with status {status}"}
    answer: dict[str, Any] = json.loads(out)
    return answer


def refuse_other_media(path: Path, found: Mapping[str, Any]) -> None:
    """A picture is not a clip, and neither is a playlist or a text."""
    name = found["format"]
    if "webp" in name and is_animated_webp(path):  # newer readers have a name of its own for it
        raise UsageError(f"{path} is an animated WebP, which FFmpeg does not read; convert it to .gif or .mp4 first")
    if name.endswith("_pipe") or found["brand"].strip() in PICTURE_BRANDS:
        raise UsageError(f"{path} is a picture; expected a clip (for a picture there is `videostyle image`)")
    if REFUSED_FORMATS & set(name.split(",")):
        raise UsageError(f"{path} is a {name} file, not a clip; expected a video file")


def is_animated_webp(path: Path) -> bool:
    """By the flag in the extended header: RIFF, size, WEBP, VP8X, size, flags."""
    with path.open("rb") as file:
        head = file.read(21)
    return head[12:16] == b"VP8X" and len(head) == 21 and bool(head[20] & 2)


def no_stream(path: Path, streams: list[Mapping[str, Any]], wanted: int | None) -> str:
    videos = [str(s["index"]) for s in streams if s["kind"] == "video" and not s["attached_picture"]]
    if videos:
        return f"{path} has no video stream {wanted}; its video streams are {', '.join(videos)}"
    kinds = ", ".join(sorted({"cover art" if s["attached_picture"] else s["kind"] for s in streams})) or "nothing"
    return f"{path} has no video stream (it holds {kinds}); expected a clip with a picture"


def build_info(path: Path, found: Mapping[str, Any]) -> VideoInfo:
    """VideoInfo from the survey: what the decoder said about the first frames wins over the headers."""
    stream = next(s for s in found["streams"] if s["index"] == found["chosen"])
    if not found["first"]:
        raise MediaError(f"{path}: no frame of its {stream['codec']} video can be decoded; is the file whole?")
    first = found["first"][0]
    check_size(path, first["width"], first["height"])
    rotation, mirrored = orientation(first["display_matrix"])
    aspect = sample_aspect_ratio(stream["sample_aspect_ratio"])
    width, height = display_size(first["width"], first["height"], aspect, rotation)
    time_base = Fraction(stream["time_base"] or "1/90000")
    matrix, full_range, notices = colour_coding(first, stream)
    info = VideoInfo(
        path=path,
        container=found["format"],
        stream_index=stream["index"],
        codec=stream["codec"],
        width=width,
        height=height,
        coded_width=first["width"],
        coded_height=first["height"],
        time_base=time_base,
        rotation_degrees=rotation,
        mirrored=mirrored,
        sample_aspect_ratio=aspect,
        average_rate=Fraction(stream["average_rate"]) if stream["average_rate"] else None,
        start_seconds=start_of(found, first, time_base),
        first_seconds=None if first["pts"] is None else first["pts"] * time_base,
        duration_seconds=duration_of(found, time_base),
        frames=frames_of(found, stream),
        pixel_format=first["pixel_format"],
        bit_depth=first["bit_depth"],
        has_alpha=first["has_alpha"] or stream["alpha_mode"],
        interlaced=any(frame["interlaced"] for frame in found["first"]),
        color_matrix=matrix,
        color_primaries=PRIMARIES.get(first["primaries"]) or PRIMARIES.get(stream["primaries"]),
        color_transfer=TRANSFERS.get(first["transfer"]) or TRANSFERS.get(stream["transfer"]),
        full_range=full_range,
        chapters=found["chapters"],
        streams=tuple(other_stream(s) for s in found["streams"] if s["index"] != stream["index"]),
    )
    return replace(info, notices=(*notices, *colour.notices(info), *other_videos(found["streams"], stream["index"])))


def check_size(path: Path, width: int, height: int) -> None:
    if width * height > survey.MAX_PIXELS:
        raise MediaError(
            f"{path} is {width}x{height}; the limit is {survey.MAX_PIXELS // 1_000_000} megapixels a frame"
        )


def orientation(matrix: list[int] | None) -> tuple[int, bool]:
    """(clockwise degrees, mirrored) of a display matrix: mirror left to right first, then turn.

    The matrix maps a coded point (x, y) to (a x + c y, b x + d y), y downwards; a, b, c, d are its entries 0, 1, 3, 4.
    Angles between the right ones are rounded: no camera writes them.
    """
    if matrix is None:
        return 0, False
    a, b, c, d = (matrix[i] for i in (0, 1, 3, 4))
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return round(math.degrees(math.atan2(b, a)) / 90) % 4 * 90, mirrored


def sample_aspect_ratio(text: str | None) -> Fraction:
    """Width over height of one pixel; values that no camera writes count as square."""
    aspect = Fraction(text) if text else Fraction(1)
    return aspect if Fraction(1, 8) <= aspect <= 8 else Fraction(1)


def display_size(width: int, height: int, aspect: Fraction, rotation: int) -> tuple[int, int]:
    """(width, height) as a viewer sees them: square pixels, turned."""
    width = max(1, round(width * aspect))
    return (height, width) if rotation in (90, 270) else (width, height)


def colour_coding(first: Mapping[str, Any], stream: Mapping[str, Any]) -> tuple[str | None, bool, list[str]]:
    """(matrix or None for RGB, full range, notices); what the file leaves open is assumed as players do, and said."""
    if first["is_rgb"]:
        return None, True, []
    name = first["pixel_format"]
    full = FULL_RANGE in (first["range"], stream["range"]) or name.startswith(("yuvj", "gray", "ya", "mono", "pal"))
    matrix = MATRICES.get(first["matrix"]) or MATRICES.get(stream["matrix"])
    if matrix and matrix != "gbr":
        return matrix, full, []
    matrix = assumed_matrix(first["height"])
    spoken = "BT.709" if matrix == "bt709" else "BT.601"
    return matrix, full, [f"the clip does not say how its colours are coded; {spoken} is assumed"]


def assumed_matrix(height: int) -> str:
    """FFmpeg's name of the matrix that players assume where none is said."""
    return "bt709" if height >= HD_HEIGHT else "smpte170m"


def start_of(found: Mapping[str, Any], first: Mapping[str, Any], time_base: Fraction) -> Fraction:
    """Where the clip's clock starts, in seconds: the earliest stream's first timestamp.

    FFmpeg rounds it to a microsecond, and takes a later frame's where the first packet carries no time: one that is not
    a microsecond before the first frame is that frame's own.
    """
    shown = None if first["pts"] is None else first["pts"] * time_base
    if found["start"] is None:
        return shown or Fraction(0)
    start = Fraction(found["start"], 1_000_000)
    return start if shown is None or start <= shown - MICROSECOND else shown


def duration_of(found: Mapping[str, Any], time_base: Fraction) -> Fraction | None:
    if found["duration"] is not None:
        return Fraction(found["duration"], 1_000_000)
    last = found["packets"]["last"]
    return last * time_base - Fraction(found["start"] or 0, 1_000_000) if last is not None else None


def frames_of(found: Mapping[str, Any], stream: Mapping[str, Any]) -> int | None:
    if stream["frames"]:
        return int(stream["frames"])
    return found["packets"]["count"] if "packets" in found else None


def other_stream(stream: Mapping[str, Any]) -> StreamInfo:
    time_base = Fraction(stream["time_base"] or 1)
    start, duration = (stream[key] * time_base if stream[key] is not None else None for key in ("start", "duration"))
    kind = stream["kind"] if stream["kind"] in ("audio", "subtitle", "video", "attachment") else "data"
    kind = "cover art" if stream["attached_picture"] else kind
    return StreamInfo(stream["index"], kind, stream["codec"], stream["language"], start, duration)


def other_videos(streams: list[Mapping[str, Any]], chosen: int) -> list[str]:
    others = [s for s in streams if s["kind"] == "video" and s["index"] != chosen and not s["attached_picture"]]
    if not others:
        return []
    listed = ", ".join(f"{s['index']} ({s.get('width')}x{s.get('height')})" for s in others)
    return [f"of several video streams number {chosen} is used; the others are {listed}"]
