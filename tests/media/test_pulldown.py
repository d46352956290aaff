"""MPEG-2 with the timing of pulldown, frames of two and three fields in turn: every frame, at its own time."""

from fractions import Fraction
from itertools import accumulate, cycle, islice
from pathlib import Path

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_tools import MakeClip, passthrough, times

from videostyle.media import ffmpeg
from videostyle.media.decode import Decoder
from videostyle.media.probe import probe

FIELD = Fraction(1001, 60_000)  # seconds
COPIED = 1_200_000  # ticks a second that FFmpeg gives a raw stream, and an mp4 that it copies one into
FRAMES = 8
SCANS = {
    "tff": ("-vf", "interlace=scan=tff", "-flags", "+ilme+ildct"),
    "bff": ("-vf", "interlace=scan=bff", "-flags", "+ilme+ildct"),
    "progressive": ("-r", "30000/1001"),
}


def encoded(make_clip: MakeClip, scan: str) -> Path:
    """`FRAMES` frames of 64x48, two fields each."""
    pictures = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=60000/1001:d=1")
    return make_clip(f"{scan}.mkv", *pictures, *SCANS[scan], "-frames:v", str(FRAMES), "-c:v", "mpeg2video")


def timed(source: Path, path: Path, fields: list[int], begin: int, rate: int) -> list[Fraction]:
    """Copy a frame of ``source`` for every entry of ``fields``, which it lasts, to an mp4 of ``rate`` ticks a second.

    The first is shown ``begin`` fields after zero. Returns the seconds of each from the first on, in whole ticks.
    """
    ticks = [round(field * FIELD * rate) for field in accumulate(fields, initial=begin)]
    options = {"movie_timescale": str(rate)}  # the start is kept in ticks of it
    with av.open(str(source)) as old, av.open(str(path), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.time_base = Fraction(1, rate)
        for packet, pts, end in zip(old.demux(video=0), ticks, ticks[1:], strict=False):
            packet.stream, packet.time_base = stream, stream.time_base
            packet.pts, packet.dts, packet.duration = pts, pts, end - pts
            new.mux(packet)
    return [Fraction(tick - ticks[0], rate) for tick in ticks[:-1]]


def decoded(path: Path) -> list[Fraction]:
    with Decoder(probe(path)) as decoder:
        found = [frame.time_seconds for frame in decoder]
    assert decoder.warnings == []
    return found


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [(2, 3), (2,)], ids=["pulldown", "constant"])
@pytest.mark.parametrize("scan", SCANS)
def test_every_frame_keeps_its_time(
    scan: str, pattern: tuple[int, ...], make_clip: MakeClip, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg
) -> None:
    """The clip starts at 33366 2/3 us, which FFmpeg rounds up: the first frame was taken for one before the start."""
    for count in (1, 2, FRAMES):
        clip = tmp_path / f"{count}.mp4"
        moments = timed(encoded(make_clip, scan), clip, list(islice(cycle(pattern), count)), 2, COPIED)
        assert probe(clip).interlaced == (scan != "progressive")
        assert decoded(clip) == moments


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scan=st.sampled_from(sorted(SCANS)),
    fields=st.lists(st.integers(1, 4), min_size=1, max_size=FRAMES),
    begin=st.integers(0, 9),
    rate=st.sampled_from([60_000, 90_000, COPIED, 10_000_000]),
)
def test_any_timing_is_kept(
    scan: str, fields: list[int], begin: int, rate: int, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = tmp_path / "any.mp4"
    assert timed(encoded(make_clip, scan), clip, fields, begin, rate) == decoded(clip)


def test_ticks_finer_than_ours(make_clip: MakeClip, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    clip = tmp_path / "nanoseconds.mp4"
    moments = timed(encoded(make_clip, "tff"), clip, [2, 3] * 3, 2, 1_000_000_000)
    found = decoded(clip)
    assert len(found) == len(moments)
    assert all(abs(ours - moment) <= Fraction(1, 10_000_000) for ours, moment in zip(found, moments, strict=True))


def test_through_the_whole_path(make_clip: MakeClip, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    clip = tmp_path / "clip.mp4"
    moments = timed(encoded(make_clip, "tff"), clip, [2, 3] * (FRAMES // 2), 2, COPIED)
    for suffix, allowed in {".mp4": Fraction(0), ".mkv": Fraction(1, 2000)}.items():
        output = tmp_path / f"out{suffix}"
        passthrough(clip, output)
        errors = [abs(ours - moment) for ours, moment in zip(times(output), moments, strict=True)]
        assert max(errors) <= allowed


def test_a_clock_said_to_start_after_the_first_frame(make_clip: MakeClip, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    """A copied raw stream whose first packet carries no time: FFmpeg's start is the second frame's."""
    raw = make_clip(
        "raw.m2v", "-i", str(encoded(make_clip, "tff")), "-c:v", "mpeg2video", "-bf", "2", "-flags", "ildct"
    )
    clip = make_clip("copied.mpg", "-i", str(raw), "-c", "copy")
    assert decoded(clip) == times(clip)
    assert len(times(clip)) == FRAMES
