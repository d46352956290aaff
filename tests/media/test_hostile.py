"""Damaged and malicious files: frames or one line, and never a hang, a crash or a child left behind."""

import random
from pathlib import Path

import pytest
from conftest import PICTURES, MakeClip
from test_still import mutated

from videostyle.errors import VideoStyleError
from videostyle.media import ffmpeg
from videostyle.media.decode import Decoder
from videostyle.media.probe import probe

KINDS = {
    "mp4": ("-c:v", "libx264"), "mkv": ("-c:v", "ffv1"), "webm": ("-c:v", "libvpx", "-deadline", "realtime"),
    "avi": ("-c:v", "mpeg4"), "ts": ("-c:v", "mpeg2video"), "mov": ("-c:v", "prores_ks"), "gif": (),
    "flv": ("-c:v", "flv"),
}  # fmt: skip


def read_all(path: Path) -> int | None:
    """Frames of the clip, None if it is refused; the refusal is one line."""
    try:
        with Decoder(probe(path), size=(32, 24)) as decoder:
            return sum(1 for _ in decoder)
    except VideoStyleError as error:
        assert "\n" not in str(error)
        return None


@pytest.mark.parametrize("each", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_mutated_clips(each: int, make_clip: MakeClip, tmp_path: Path) -> None:
    generator = random.Random(0)
    outcomes = []
    for suffix, options in KINDS.items():
        content = make_clip(f"to_mutate.{suffix}", *PICTURES, *options).read_bytes()
        for _ in range(each):
            path = tmp_path / f"mutated.{suffix}"
            path.write_bytes(mutated(content, generator))
            outcomes.append(read_all(path))
            assert not ffmpeg._living
    assert any(outcomes)


def test_metadata_that_is_no_utf8(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip("titled.avi", *PICTURES, "-c:v", "mpeg4", "-metadata", "title=abcdefgh")
    path = tmp_path / "latin.avi"
    path.write_bytes(clip.read_bytes().replace(b"abcdefgh", b"Gr\xfc\xdfe \xe9!"))
    assert read_all(path) == 25


def test_a_change_of_size_and_format_in_the_middle(make_clip: MakeClip, tmp_path: Path) -> None:
    small = make_clip("small.ts", "-f", "lavfi", "-i", "testsrc2=s=64x48:d=1", "-c:v", "mpeg2video")
    large = make_clip(
        "large.ts", "-f", "lavfi", "-i", "testsrc2=s=96x80:d=1", "-c:v", "mpeg2video", "-output_ts_offset", "1"
    )
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with Decoder(probe(both)) as decoder:
        assert {frame.size for frame in decoder} == {(64, 48)}
    assert decoder.frames >= 48
