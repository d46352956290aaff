"""Frames out of clips: their number, times, orientation, size and colours."""

import gc
import os
import signal
import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from media_tools import MakeClip, info_of, running_ffmpegs, times

from videostyle.errors import MediaError, UsageError
from videostyle.frames import Frame
from videostyle.media import ffmpeg
from videostyle.media.decode import Decoder, decode, fine_time_base, next_timestamp, output_size, to_tensor
from videostyle.media.probe import probe


@given(
    width=st.integers(1, 8000),
    height=st.integers(1, 8000),
    longest=st.none() | st.integers(16, 4000),
    even=st.booleans(),
)
def test_output_size(width: int, height: int, longest: int | None, even: bool) -> None:
    new_width, new_height = output_size(info_of(width, height), longest, even)
    assert 1 <= new_width <= max(2, width) and 1 <= new_height <= max(2, height)
    if even:
        assert new_width % 2 == new_height % 2 == 0
    if longest is None and not even:
        assert (new_width, new_height) == (width, height)
    if longest is not None:
        assert max(new_width, new_height) <= max(longest + even, 2)
    scale = min(1, (longest or max(width, height)) / max(width, height))
    for new, old in ((new_width, width), (new_height, height)):
        assert new == 1 or new == 2 or abs(new - old * scale) <= (1 if even else 0.5) + 1e-6


@given(st.lists(st.fractions(0, 1000), min_size=1, max_size=50))
def test_timestamps_increase_and_move_no_more_than_they_must(moments: list[Fraction]) -> None:
    tick, last, ticks = Fraction(1, 90_000), -1, []
    for moment in moments:
        last = next_timestamp(moment, tick, last)
        ticks.append(last)
    assert all(a < b for a, b in pairwise(ticks))
    for number, (moment, ours) in enumerate(zip(moments, ticks, strict=True)):
        wanted = round(moment / tick)
        assert ours == wanted or (number and ours == ticks[number - 1] + 1)


@given(st.integers(1, 10_000_000), st.integers(1, 2000))
def test_fine_time_base_divides(denominator: int, numerator: int) -> None:
    coarse = Fraction(numerator, denominator)
    fine = fine_time_base(coarse)
    assert fine.numerator == 1 and fine <= Fraction(1, 90_000)
    assert (coarse / fine).denominator == 1


def test_frames_of_a_plain_clip(plain: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    frames = list(decode(probe(plain)))
    assert len(frames) == 25
    assert [frame.time_seconds for frame in frames] == [Fraction(n, 25) for n in range(25)]
    pixels = frames[0].pixels
    assert pixels.dtype == torch.float32 and pixels.shape == (1, 3, 64, 96) and pixels.is_contiguous()
    assert pixels.min() >= 0 and pixels.max() <= 1


def test_size_is_applied(plain: Path) -> None:
    assert next(iter(decode(probe(plain), size=(48, 32)))).size == (48, 32)


def vfr(make_clip: MakeClip, name: str) -> Path:
    """20 frames whose distances grow: n^2 + 7n milliseconds."""
    return make_clip(
        name, "-f", "lavfi", "-i", "testsrc2=s=64x48:r=20:d=1", "-vf", "settb=1/1000,setpts=N*N+7*N",
        "-fps_mode", "passthrough", "-enc_time_base", "1/90000", "-c:v", "libx264", "-pix_fmt", "yuv420p",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
def test_variable_frame_rate(name: str, make_clip: MakeClip, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    frames = list(decode(probe(vfr(make_clip, name))))
    assert [frame.time_seconds * 1000 for frame in frames] == [n * n + 7 * n for n in range(20)]


def test_start_and_duration(make_clip: MakeClip, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    info = probe(vfr(make_clip, "vfr.mkv"))
    frames = list(decode(info, start_seconds=0.1, duration_seconds=0.2))
    assert [frame.time_seconds * 1000 for frame in frames] == [
        n * n + 7 * n for n in range(20) if 100 <= n * n + 7 * n < 300
    ]


def test_start_beyond_the_end(plain: Path) -> None:
    with pytest.raises(UsageError, match="begin earlier"):
        Decoder(probe(plain), start_seconds=50)


def test_clip_that_starts_late(make_clip: MakeClip, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    """A transport stream's clock starts anywhere; frames count from the clip's beginning."""
    clip = make_clip(
        "late.ts", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=4", "-c:v", "mpeg2video", "-output_ts_offset", "5000.3"
    )
    info = probe(clip)
    assert info.start_seconds > 5000
    frames = list(decode(info))
    assert len(frames) == 100 and frames[0].time_seconds < Fraction(1, 10)
    for start in (0.5, 2.5):
        part = list(decode(info, start_seconds=start))
        assert [f.pts for f in part] == [f.pts for f in frames if f.time_seconds >= start]


def with_matrix(clip: Path, name: str, matrix: tuple[int, int, int, int]) -> Path:
    """The same mp4 with another display matrix in its track header (version 0)."""
    data = bytearray(clip.read_bytes())
    position = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (65536 * entry for entry in matrix)
    data[position : position + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = clip.with_name(name)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),
        ((-1, 0, 0, -1), lambda x: np.rot90(x, 2)),
        ((0, -1, 1, 0), lambda x: np.rot90(x, 1)),
        ((-1, 0, 0, 1), lambda x: x[:, ::-1]),
        ((1, 0, 0, -1), lambda x: x[::-1]),
        ((0, 1, 1, 0), lambda x: np.transpose(x, (1, 0, 2))),
    ],
)
def test_rotation_and_mirroring(matrix, turn, silent: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    """The matrix maps coded (x, y) to (ax + cy, bx + dy); NumPy does the same to the upright frame."""
    name = "turned" + "".join(str(entry) for entry in matrix) + ".mp4"
    upright = next(iter(decode(probe(silent)))).pixels[0].permute(1, 2, 0).numpy()
    turned = next(iter(decode(probe(with_matrix(silent, name, matrix))))).pixels[0].permute(1, 2, 0).numpy()
    assert turned.shape == turn(upright).shape
    assert np.abs(turned - turn(upright)).max() <= 2 / 255


def test_non_square_pixels_and_odd_sizes(make_clip: MakeClip, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    wide = make_clip(
        "wide.mkv",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x48:d=0.2",
        "-vf",
        "setsar=2",
        "-c:v",
        "ffv1",
        "-pix_fmt",
        "yuv444p",
    )
    assert next(iter(decode(probe(wide)))).size == (128, 48)
    odd = make_clip(
        "odd.mkv",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x48:d=0.2",
        "-vf",
        "scale=65:49",
        "-c:v",
        "ffv1",
        "-pix_fmt",
        "yuv420p",
    )
    assert next(iter(decode(probe(odd)))).size == (65, 49)


def test_closing_early_ends_the_child(plain: Path) -> None:
    decoder = Decoder(probe(plain))
    frames = iter(decoder)
    next(frames)
    assert len(running_ffmpegs()) == 1
    decoder.close()
    assert not running_ffmpegs()
    generator = decode(probe(plain))
    next(generator)
    del generator
    gc.collect()
    assert not running_ffmpegs()


def test_a_killed_decoder_is_not_the_end(make_clip: MakeClip) -> None:
    clip = make_clip("long.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=20", "-c:v", "mpeg4")
    with Decoder(probe(clip)) as decoder, pytest.raises(MediaError, match="FFmpeg ended with status"):
        for number, _ in enumerate(decoder):
            if number == 3:
                os.kill(running_ffmpegs()[0], signal.SIGKILL)


def test_a_stalled_decoder_is_stopped(plain: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hung = tmp_path / "ffmpeg"
    hung.write_text('#!/bin/sh\n[ "$1" = -version ] && { echo ffmpeg version 7.0; exit; }\nexec sleep 60\n')
    hung.chmod(0o755)
    info = probe(plain)
    monkeypatch.setenv(ffmpeg.OVERRIDE, str(hung))
    monkeypatch.setattr("videostyle.media.decode.FIRST_FRAME_SECONDS", 0.3)
    with Decoder(info) as decoder, pytest.raises(MediaError, match="stalled after 0 frames"):
        list(decoder)


def test_a_truncated_clip_gives_what_is_there_and_says_so(make_clip: MakeClip, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    whole = make_clip(
        "whole.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=2", "-c:v", "libx264", "-movflags", "faststart"
    )
    cut = whole.with_name("cut.mp4")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with Decoder(probe(cut)) as decoder:
        frames = list(decoder)
    assert 5 < len(frames) < 50
    assert any("of 50 frames" in warning for warning in decoder.warnings)


@pytest.mark.parametrize(
    "name", ["-dash.mp4", "http:x.mp4", "concat:a|b.mp4", "a b'c\"d%03d é ü.mp4", "pipe:0", "x:y.mp4"]
)
def test_names_are_only_names(name: str, silent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(silent.read_bytes())
    assert sum(1 for _ in decode(probe(name))) == 25


def test_interlaced_is_one_for_one(make_clip: MakeClip, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    clip = make_clip(
        "interlaced.mpg", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=50:d=1", "-vf", "interlace", "-c:v", "mpeg2video",
        "-flags", "+ilme+ildct",
    )  # fmt: skip
    info = probe(clip)
    assert info.interlaced
    assert sum(1 for _ in decode(info)) == len(times(clip))


def test_alpha_is_laid_on_white(make_clip: MakeClip, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    clip = make_clip(
        "alpha.webm", "-f", "lavfi", "-i", "color=red@0.5:s=64x48:d=0.2,format=yuva420p", "-c:v", "libvpx-vp9"
    )
    info = probe(clip)
    assert info.has_alpha
    pixel = next(iter(decode(info))).pixels[0, :, 24, 32]
    assert (pixel - torch.tensor([1.0, 0.5, 0.5])).abs().max() < 0.03


def test_to_tensor() -> None:
    assert to_tensor(np.full((2, 3, 3), 255, np.uint8)).eq(1).all()
    assert to_tensor(np.full((2, 3, 3), 65535, np.uint16)).shape == (1, 3, 2, 3)


def test_no_child_and_no_descriptor_stays(plain: Path) -> None:
    info = probe(plain)
    list(decode(info))
    assert not running_ffmpegs()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        list(decode(info))
        next(iter(decode(info)))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    assert not running_ffmpegs()


def test_frame_contract(plain: Path) -> None:
    assert all(isinstance(frame, Frame) for frame in decode(probe(plain), duration_seconds=0.1))
