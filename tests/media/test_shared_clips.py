"""Real clips through everything but the stylisation: every frame, every time, every stream."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from media_tools import kinds, passthrough, times

from videostyle.media import ffmpeg

CLIPS = {
    "mediarecorder_chrome57.webm": 185,
    "moviepy_fire2.mp4": 25,
    "intel_asl_book.mkv": 109,
    "skv_carphone_pristine.mp4": 120,
    "skv_bikes.mp4": 250,
    "tokenflow_wolf.mp4": 40,
    "imageio_realshort.mp4": 36,
    "torchcodec_nasa_13013.mp4": 390,
    "fate_h264_interlaced_crop.mp4": 126,
    "moviepy_no_duration.webm": 74,
    "moviepy_transparent.webm": 150,
    "torchcodec_h264_10bits.mp4": 30,
    "decord_video_90.mov": 3,
    "decord_corrupted.mp4": 49,
}
TICKS = {
    ".mp4": Fraction(1, 90_000),
    ".mkv": Fraction(1, 1000),
    ".webm": Fraction(1, 1000),
    ".mov": Fraction(1, 90_000),
}
QUICK = {("mediarecorder_chrome57.webm", ".mp4"), ("moviepy_fire2.mp4", ".mkv"), ("decord_video_90.mov", ".webm")}


def source_times(path: Path) -> list[Fraction]:
    """By PyAV, of the largest video stream; a repeated time is 1/90000 s later, as the decoder promises."""
    found: list[Fraction] = []
    with av.open(str(path)) as container:
        stream = max(container.streams.video, key=lambda video: video.width * video.height)
        for frame in container.decode(stream):
            time = frame.pts * frame.time_base
            found.append(max(time, found[-1] + Fraction(1, 90_000)) if found else time)
    return [time - found[0] for time in found]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        pytest.param(name, suffix, marks=() if (name, suffix) in QUICK else pytest.mark.slow)
        for name in CLIPS
        for suffix in TICKS
    ],
)
def test_clip(name: str, suffix: str, shared: Path, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    source, output = shared / "clips" / name, tmp_path / f"out{suffix}"
    decoder, _ = passthrough(source, output, longest=160)
    found = times(output)
    assert len(found) == decoder.frames == CLIPS[name]
    if name != "decord_corrupted.mp4":  # whose times are whatever the decoder makes of them
        worst = max(abs(a - b) for a, b in zip(source_times(source), found, strict=True))
        assert worst <= TICKS[suffix] / 2
    assert kinds(output).count("audio") == kinds(source).count("audio")
