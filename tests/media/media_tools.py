"""What the media tests share: running the whole path, and reading results without the code under test."""

import contextlib
import json
import os
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from videostyle.frames import VideoInfo
from videostyle.media.decode import Decoder, output_size
from videostyle.media.encode import Encoder, check_output, rehearse
from videostyle.media.formats import OutputFormat
from videostyle.media.probe import probe
from videostyle.settings import MediaSettings

MakeClip = Callable[..., Path]
PICTURES = ("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=1")


def running_ffmpegs() -> list[int]:
    """Process numbers of this process's FFmpeg children, ended but not collected ones too; skips where no /proc is."""
    found = []
    if not Path("/proc/self/stat").is_file():
        pytest.skip("needs /proc")
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it may end meanwhile
            number, name, rest = re.fullmatch(r"(\d+) \((.*)\) (.*)", stat.read_text(), re.DOTALL).groups()
            if name.startswith("ffmpeg") and int(rest.split()[1]) == os.getpid():
                found.append(int(number))
    return found


def passthrough(
    source: Path,
    output: str | Path,
    settings: MediaSettings | None = None,
    *,
    longest: int | None = None,
    **encoder: Any,
) -> tuple[Decoder, Encoder]:
    """Everything but the stylisation, in the pipeline's order: check, decode, rehearse, encode."""
    settings = settings or MediaSettings()
    info = probe(source, settings.stream)
    wanted = OutputFormat.of(output, settings)
    check_output(wanted, info.path)
    size = output_size(info, longest, wanted.codec.even)
    part = {"start_seconds": settings.start_seconds, "duration_seconds": settings.duration_seconds}
    with Decoder(info, size=size, keep_alpha=wanted.holds_alpha, **part) as decoder:
        plan = rehearse(wanted, info, size=size, time_base=decoder.time_base)
        with Encoder(wanted, info, size=size, time_base=decoder.time_base, plan=plan, **encoder) as target:
            for frame in decoder:
                target.write(frame, alpha=decoder.take_alpha(frame.pts))
    return decoder, target


def read_frames(path: Path) -> list[tuple[Fraction, np.ndarray]]:
    """(seconds, RGB array) of every frame of a file, by PyAV alone: a check that does not use the code under test."""
    with av.open(str(path)) as container:
        return [(frame.pts * frame.time_base, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def times(path: Path) -> list[Fraction]:
    """Every video timestamp of a file relative to its first, in seconds."""
    with av.open(str(path)) as container:
        seconds = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    return [moment - seconds[0] for moment in seconds]


def kinds(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [stream.type for stream in container.streams]


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def info_of(width: int, height: int) -> VideoInfo:
    return VideoInfo(
        path=Path("x"), container="mp4", stream_index=0, codec="h264", width=width, height=height, coded_width=width,
        coded_height=height, time_base=Fraction(1, 25),
    )  # fmt: skip
