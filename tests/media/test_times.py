"""Times that repeat, run backwards or are missing, and which video stream is taken: decided, and said."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from media_tools import MakeClip, passthrough, times

from videostyle.errors import UsageError
from videostyle.media import ffmpeg
from videostyle.media.decode import Decoder
from videostyle.media.probe import probe
from videostyle.settings import MediaSettings

FINE = Fraction(1, 90_000)


def written(path: Path, moments: list[int]) -> Path:
    """A Matroska file whose frames carry these times in milliseconds, in this order, which no muxer would write."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("mjpeg", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        packets = []
        for number in range(len(moments)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number, np.uint8), format="rgb24")
            frame = frame.reformat(format="yuvj420p")
            frame.pts = number
            packets += stream.encode(frame)
        packets += stream.encode(None)
        contents = [bytes(packet) for packet in packets]
        for packet in packets:
            container.mux(packet)
    data = bytearray(path.read_bytes())
    for number, (content, moment) in enumerate(zip(contents, moments, strict=True)):
        place = data.index(content) - 3  # a block: track, 16 bits of time from the cluster's own, flags, content
        cluster = number - int.from_bytes(data[place : place + 2], "big", signed=True)
        data[place : place + 2] = (moment - cluster).to_bytes(2, "big", signed=True)
    path.write_bytes(data)
    return path


def test_repeated_times_are_moved_and_said(make_clip: MakeClip, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    clip = make_clip(
        "repeated.mkv", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.4",
        "-vf", "settb=1/1000,setpts=40*(N-mod(N\\,2))", "-fps_mode", "passthrough",
        "-enc_time_base", "1/90000", "-c:v", "ffv1",
    )  # fmt: skip
    decoder, _ = passthrough(clip, tmp_path / "out.mp4")
    assert any(warning.startswith("5 frames repeat a time") for warning in decoder.warnings)
    found = times(tmp_path / "out.mp4")
    assert all(b - a > 0 for a, b in pairwise(found)) and found[1] == FINE and found[2] == Fraction(80, 1000)


@pytest.mark.parametrize("moments", [[0, 40, 80, 60, 120, 160], [0, 40, 2000, 2040, 80, 120, 2080]])
def test_backward_times_wait_for_the_clock(moments: list[int], tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    """A frame that lies before its predecessor is shown right after it; those that follow keep their own times."""
    with Decoder(probe(written(tmp_path / "backward.mkv", moments))) as decoder:
        found = [frame.time_seconds for frame in decoder]
    assert len(found) == len(moments) and all(a < b for a, b in pairwise(found))
    highest = 0
    for moment, ours in zip(moments, found, strict=True):
        highest = max(highest, moment)
        assert abs(ours - Fraction(highest, 1000)) <= len(moments) * Fraction(1, 1000)
    assert any("run backwards" in warning for warning in decoder.warnings)


def test_missing_times_are_made_up(make_clip: MakeClip) -> None:
    """A raw stream has no times at all: FFmpeg counts frames."""
    clip = make_clip("raw.h264", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1", "-c:v", "libx264", "-f", "h264")
    with Decoder(probe(clip)) as decoder:
        found = [frame.time_seconds for frame in decoder]
    assert len(found) == 25 and all(a < b for a, b in pairwise(found)) and found[-1] <= 1


def test_the_stream_that_was_asked_for(make_clip: MakeClip, tmp_path: Path) -> None:
    small, large = "testsrc2=s=64x48:d=0.4", "testsrc2=s=96x64:d=0.4"
    clip = make_clip(
        "which.mkv", "-f", "lavfi", "-i", large, "-f", "lavfi", "-i", small, "-map", "0", "-map", "1", "-c:v", "ffv1",
        "-disposition:v", "0",
    )  # fmt: skip
    for stream, size in {None: (96, 64), 0: (96, 64), 1: (64, 48)}.items():
        decoder, encoder = passthrough(clip, tmp_path / f"out{stream}.mkv", MediaSettings(stream=stream))
        assert decoder.size == size
        assert any("is left out" in notice for notice in encoder.notices)
    with pytest.raises(UsageError, match="no video stream 7; its video streams are 0, 1"):
        probe(clip, 7)


def test_a_late_clock_with_sound(make_clip: MakeClip, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    """FFmpeg 9 moved the clock of a transport stream whose sound comes first, and frames fell before the beginning."""
    clip = make_clip(
        "late_sound.ts", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1",
        "-c:v", "mpeg2video", "-c:a", "mp2", "-output_ts_offset", "5000.3",
    )  # fmt: skip
    with Decoder(probe(clip)) as decoder:
        assert sum(1 for _ in decoder) == 25


@pytest.mark.parametrize("offset", [0, 30])
def test_a_clock_that_starts_anew(offset: int, make_clip: MakeClip, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    """Two transport streams joined: frames and sound go on in step, whether the second clock lies before or after."""
    parts = [
        make_clip(
            f"part{seconds}.ts", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1",
            "-c:v", "mpeg2video", "-c:a", "mp2", "-output_ts_offset", str(seconds),
        )
        for seconds in (0, offset)
    ]  # fmt: skip
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    passthrough(joined, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        lengths = [float(s.duration * s.time_base) for s in (*container.streams.video, *container.streams.audio)]
        assert container.streams.video[0].frames == 50
    assert lengths == pytest.approx([2.0, 2.0], abs=0.1)
