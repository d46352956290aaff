"""The pictures of the frames that are worth painting: their names, their size, what is refused."""

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from small_networks import picture

from videostyle import PickedFrame, pick_keyframes
from videostyle.errors import MediaError, StoppedError, UsageError
from videostyle.frames import to_array
from videostyle.media.decode import Decoder
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.pipeline.pick_frames import default_folder, picture_name
from videostyle.settings import MediaSettings

SIZE, RATE, FRAMES = (96, 64), 30, 10  # of each of two shots
CUTS = (FRAMES / RATE,)
MEDIA = MediaSettings(cuts=CUTS)


def scene(seed: int) -> np.ndarray:
    spots = picture(17, 25, seed=seed)
    return to_array(F.interpolate(spots, (SIZE[1], SIZE[0]), mode="bicubic", align_corners=False))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lossless clip of two still shots whose frames differ by a dot, so that they can be told apart."""
    path = tmp_path_factory.mktemp("picked") / "two shots.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "bgr0"
        for number in range(2 * FRAMES):
            array = scene(number // FRAMES).copy()
            array[:2, :2] = 10 * number
            for packet in stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_the_pictures_are_the_frames_at_the_times_of_their_names(clip: Path, tmp_path: Path):
    picked = pick_keyframes(clip, tmp_path / "new" / "keys", media=MEDIA)
    assert names(tmp_path / "new" / "keys") == ["two shots-0000.000s.png", "two shots-0000.333s.png"]
    assert [p.time_seconds for p in picked] == [0, pytest.approx(Fraction(1, 3), abs=0.001)]
    info = probe(clip)
    for frame in picked:
        seconds = float(frame.path.stem.rpartition("-")[2].removesuffix("s"))
        with Decoder(info, start_seconds=seconds) as decoder:
            first = next(iter(decoder))
        assert torch.equal(first.pixels, read_picture(frame.path)) and first.time_seconds == frame.time_seconds
        assert frame.newly_shown == pytest.approx(1, abs=0.02)


def test_times_count_from_the_clips_beginning(clip: Path, tmp_path: Path):
    part = MEDIA.replace(start_seconds=0.2, duration_seconds=0.3)
    picked = pick_keyframes(clip, tmp_path / "keys", media=part)
    assert [p.path.name for p in picked] == ["two shots-0000.200s.png", "two shots-0000.333s.png"]
    alone = pick_keyframes(clip, tmp_path / "one", media=MediaSettings(start_seconds=0.4, no_shots=True))
    assert [p.path.name for p in alone] == ["two shots-0000.400s.png"]


@pytest.mark.parametrize(("size", "expected"), [(None, (96, 64)), (50, (50, 34)), (33, (32, 22))])
def test_the_size_is_that_of_the_painted_clip(clip: Path, tmp_path: Path, size, expected):
    first, _ = pick_keyframes(clip, tmp_path / "keys", media=MEDIA.replace(size=size))
    assert read_picture(first.path).shape[:1:-1] == expected


@given(st.fractions(0, 9999).map(lambda t: t.limit_denominator(90_000)), st.integers(1, 10**6))
def test_names_sort_by_time_and_give_it_to_a_millisecond(time: Fraction, ticks: int):
    later = time + Fraction(ticks, 90_000) + Fraction(1, 1000)
    here, there = (picture_name("a/clip.mov", t) for t in (time, later))
    assert here < there or later >= 10_000
    seconds = Fraction(here.removeprefix("clip-").removesuffix("s.png"))
    assert 0 <= time - seconds < Fraction(1, 1000)
    assert picture_name("clip.mp4", Fraction(38, 15)) == "clip-0002.533s.png"


def test_progress_is_told_for_every_frame(clip: Path, tmp_path: Path):
    told = []
    pick_keyframes(clip, tmp_path / "keys", media=MEDIA, on_progress=told.append)
    assert [p.frame for p in told] == list(range(1, 2 * FRAMES + 1)) and {p.stage for p in told} == {"choose"}


def test_a_stop_leaves_whole_pictures_and_begins_again_on_request(clip: Path, tmp_path: Path):
    asked = iter([False] * 15 + [True] * 9)
    folder = tmp_path / "keys"
    with pytest.raises(StoppedError, match=r"1 of the pictures are in .*keys.*--overwrite"):
        pick_keyframes(clip, folder, media=MEDIA, should_stop=lambda: next(asked))
    assert names(folder) == ["two shots-0000.000s.png"]
    read_picture(folder / "two shots-0000.000s.png")
    assert len(pick_keyframes(clip, folder, media=MEDIA.replace(overwrite=True))) == 2


def test_painted_pictures_are_not_replaced_unasked(clip: Path, tmp_path: Path):
    painted = tmp_path / "two shots-0000.000s.png"
    painted.write_bytes(b"a week's work")
    with pytest.raises(UsageError, match=r"holds files already \(two shots-0000.000s.png\).*--overwrite"):
        pick_keyframes(clip, tmp_path, media=MEDIA)
    assert painted.read_bytes() == b"a week's work" and names(tmp_path) == [painted.name]
    (tmp_path / "notes.txt").write_text("kept")
    assert len(pick_keyframes(clip, tmp_path, media=MEDIA.replace(overwrite=True))) == 2
    assert read_picture(painted).shape[2:] == (64, 96) and (tmp_path / "notes.txt").read_text() == "kept"


def a_file(folder: Path) -> Path:
    (folder / "file").write_text("no folder")
    return folder / "file"


def a_link_to_nothing(folder: Path) -> Path:
    (folder / "link").symlink_to(folder / "nothing")
    return folder / "link"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (a_file, "is not a folder"),
        (a_link_to_nothing, "is not a folder"),
        (lambda folder: a_file(folder) / "keys", "cannot be written to"),
    ],
)
def test_a_place_that_cannot_be_is_refused(clip: Path, tmp_path: Path, place: Callable[[Path], Path], words: str):
    with pytest.raises(UsageError, match=words):
        pick_keyframes(clip, place(tmp_path), media=MEDIA)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(clip: Path, tmp_path: Path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UsageError, match="cannot be written to"):
            pick_keyframes(clip, tmp_path / "keys", media=MEDIA)
    finally:
        tmp_path.chmod(0o700)


def test_what_is_no_clip_is_refused_and_leaves_no_folder(clip: Path, tmp_path: Path):
    (tmp_path / "text.mp4").write_text("no clip\n" * 200)
    for name in ("missing.mp4", "text.mp4"):
        with pytest.raises((UsageError, MediaError)):
            pick_keyframes(tmp_path / name, tmp_path / "keys")
    with pytest.raises(UsageError, match="begin earlier"):
        pick_keyframes(clip, tmp_path / "keys", media=MEDIA.replace(start_seconds=99.0))
    assert not (tmp_path / "keys").exists()


def test_the_folder_has_a_default_name(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert default_folder(clip) == Path("two shots-keyframes")
    (first, _) = pick_keyframes(clip, media=MEDIA)
    assert isinstance(first, PickedFrame) and first.path.parent == Path("two shots-keyframes") and first.path.is_file()
