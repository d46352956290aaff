"""What is found out about a clip, and every file that is not one."""

import struct
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_tools import MakeClip

from videostyle.errors import MediaError, UsageError, VideoStyleError
from videostyle.media import survey
from videostyle.media.probe import display_size, orientation, probe, start_of

TURNED = {  # display matrices a, b, c, d -> clockwise degrees, mirrored first
    (1, 0, 0, 1): (0, False),
    (0, 1, -1, 0): (90, False),
    (-1, 0, 0, -1): (180, False),
    (0, -1, 1, 0): (270, False),
    (-1, 0, 0, 1): (0, True),
    (1, 0, 0, -1): (180, True),
    (0, -1, -1, 0): (90, True),
    (0, 1, 1, 0): (270, True),
}


def test_plain(plain: Path) -> None:
    info = probe(plain)
    assert (info.width, info.height, info.frames) == (96, 64, 25)
    assert info.average_rate == 25
    assert info.duration_seconds is not None and abs(info.duration_seconds - 1) < Fraction(1, 10)
    assert [stream.kind for stream in info.streams] == ["audio"]
    assert info.color_matrix == "smpte170m" and not info.full_range
    assert any("BT.601 is assumed" in notice for notice in info.notices)


@pytest.mark.parametrize(("matrix", "expected"), TURNED.items())
def test_orientation(matrix: tuple[int, int, int, int], expected: tuple[int, bool]) -> None:
    a, b, c, d = (65536 * entry for entry in matrix)
    assert orientation([a, b, 0, c, d, 0, 0, 0, 1 << 30]) == expected


def test_display_size() -> None:
    assert display_size(176, 144, Fraction(128, 117), 0) == (193, 144)
    assert display_size(640, 360, Fraction(1), 90) == (360, 640)


@given(ticks=st.integers(-(10**9), 10**12), rate=st.integers(1, 10**9), later=st.integers(-(10**6), 10**6))
def test_the_start_is_never_after_the_first_frame(ticks: int, rate: int, later: int) -> None:
    """FFmpeg says the start in whole microseconds; one that is not before the first frame is exactly that one's."""
    time_base, moment = Fraction(1, rate), Fraction(ticks, rate)
    said = round(moment * 1_000_000) + later
    start = start_of({"start": said}, {"pts": ticks}, time_base)
    if later >= 0:
        assert start == moment
    if later < -1:
        assert start == Fraction(said, 1_000_000)
    assert start_of({"start": said}, {"pts": None}, time_base) == Fraction(said, 1_000_000)
    assert start_of({"start": None}, {"pts": ticks}, time_base) == moment


def stream(index: int, **fields: object) -> dict[str, object]:
    base = {"index": index, "kind": "video", "default": False, "attached_picture": False, "width": 10, "height": 10}
    return base | fields


def test_choice_of_stream() -> None:
    """Default flag, then pixels, then index; cover art never."""
    assert survey.choose_stream([stream(0), stream(1, width=20)], None) == 1
    assert survey.choose_stream([stream(0, default=True), stream(1, width=20)], None) == 0
    assert survey.choose_stream([stream(0), stream(1)], None) == 0
    assert survey.choose_stream([stream(0, attached_picture=True, default=True), stream(1)], None) == 1
    assert survey.choose_stream([stream(0, attached_picture=True), stream(1, kind="audio")], None) is None
    assert survey.choose_stream([stream(0), stream(1)], 1) == 1
    assert survey.choose_stream([stream(0), stream(1, kind="audio")], 1) is None


def test_stream_by_number(make_clip: MakeClip) -> None:
    small, large = ("-f", "lavfi", "-i", "testsrc2=s=32x32:d=0.2"), ("-f", "lavfi", "-i", "testsrc2=s=64x32:d=0.2")
    maps = ("-map", "0", "-map", "1", "-c:v", "mpeg4", "-disposition:v", "0")
    clip = make_clip("two.mkv", *small, *large, *maps)
    info = probe(clip)
    assert info.stream_index == 1 and info.width == 64
    assert any("several video streams" in notice for notice in info.notices)
    assert probe(clip, stream=0).width == 32
    with pytest.raises(UsageError, match="no video stream 7; its video streams are 0, 1"):
        probe(clip, stream=7)


def test_cover_art_is_no_clip(make_clip: MakeClip) -> None:
    picture = make_clip("cover.png", "-f", "lavfi", "-i", "testsrc2=s=32x32:d=0.1", "-frames:v", "1", "-update", "1")
    song = make_clip(
        "song.m4a", "-f", "lavfi", "-i", "sine=d=0.2", "-i", str(picture), "-map", "0", "-map", "1",
        "-c:a", "aac", "-c:v", "png", "-disposition:v", "attached_pic", "-f", "mp4",
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"no video stream \(it holds audio, cover art\)"):
        probe(song)


def _bad_files(folder: Path) -> dict[str, Path]:
    garbage, text, empty, cut, box = (
        folder / n for n in ("garbage.mp4", "text.mp4", "empty.mp4", "cut.mkv", "box.mp4")
    )
    garbage.write_bytes(bytes(range(256)) * 40)
    text.write_text("not a clip\n" * 100)
    empty.touch()
    cut.write_bytes(b"\x1aE\xdf\xa3")
    box.write_bytes(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 512) + struct.pack(">I4s", 8, b"mdat"))
    playlist = folder / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    concat = folder / "list.ffconcat"
    concat.write_text("ffconcat version 1.0\nfile other.mp4\n")
    missing = folder / "missing.mp4"
    return dict(
        garbage=garbage, text=text, empty=empty, cut=cut, box=box, playlist=playlist, concat=concat, missing=missing,
        folder=folder,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["garbage", "text", "empty", "cut", "box", "playlist", "concat", "missing", "folder"])
def test_bad_input_is_one_line(kind: str, tmp_path: Path) -> None:
    path = _bad_files(tmp_path)[kind]
    with pytest.raises(VideoStyleError) as raised:
        probe(path)
    message = str(raised.value)
    assert str(path) in message and "\n" not in message
    assert isinstance(raised.value, UsageError) == (kind in ("missing", "folder"))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_picture_is_no_clip(suffix: str, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / f"picture{suffix}"
    Image.new("RGB", (32, 32), "red").save(path)
    with pytest.raises(UsageError, match="is a picture; expected a clip"):
        probe(path)


def test_sound_is_no_clip(make_clip: MakeClip) -> None:
    with pytest.raises(UsageError, match="no video stream"):
        probe(make_clip("sound.wav", "-f", "lavfi", "-i", "sine=d=0.2"))


def test_absurd_size_is_refused(make_clip: MakeClip) -> None:
    """A header that claims 60000 x 60000 is not believed, and nothing of that size is allocated."""
    clip = make_clip(
        "small.avi", "-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.2", "-c:v", "rawvideo", "-pix_fmt", "bgr24"
    )
    data = bytearray(clip.read_bytes())
    position = data.index(b"strf") + 8 + 4  # BITMAPINFOHEADER: size, then width and height
    data[position : position + 8] = struct.pack("<ii", 60000, 60000)
    bomb = clip.with_name("bomb.avi")
    bomb.write_bytes(data)
    with pytest.raises(MediaError):
        probe(bomb)


def test_animated_webp_is_refused_by_name(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "moving.webp"
    pictures = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    with pytest.raises(UsageError, match=r"is an animated WebP.* convert it to \.gif or \.mp4"):
        probe(path)
