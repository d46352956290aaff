"""Attempts: what can be used is taken over, who may still live is left alone, the first one that is finished wins."""

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from videostyle.checkpoint.append_log import line_of
from videostyle.checkpoint.attempts import NOTE, Piece
from videostyle.checkpoint.frame_store import FrameStore
from videostyle.checkpoint.journal import FORMAT, Journal
from videostyle.checkpoint.lock import Lock
from videostyle.files import host
from videostyle.frames import StylisedFrame

MADE_FROM = {"setting": {"iterations": 3}}


def left_behind(piece: Piece, frames: int, process: str = "1-00000000", machine: str = "", **provenance) -> Path:
    """An attempt with so many frames; by default of process 1 of this machine, which lives."""
    folder = piece.folder / f".{piece.name}.{machine or host()}-{process}.mp4.videostyle"
    folder.mkdir()
    store = FrameStore(folder / "frames", (16, 16), 8)
    store.open_for_writing([])
    lines = [{"format": FORMAT, "provenance": provenance or MADE_FROM}]
    for index in range(frames):
        frame = StylisedFrame(torch.full((1, 3, 16, 16), index / 10), index, Fraction(1, 25), index=index)
        lines.append({"frame": vars(store.append(frame)[0])})
    store.close()
    (folder / "journal").write_bytes(b"".join(map(line_of, lines)))
    (folder / "lock").touch()
    return folder


def new_attempt(piece: Piece) -> Path:
    output = piece.begin(".mp4")
    return output.with_name(output.name + ".videostyle")


def fits(provenance: dict) -> bool:
    return provenance == MADE_FROM


@pytest.fixture
def piece(tmp_path: Path) -> Piece:
    return Piece(tmp_path, "shot-00003")


def test_every_attempt_has_a_folder_of_its_own(piece: Piece) -> None:
    names = {piece.begin(".mp4").name for _ in range(20)}
    assert len(names) == 20 and all(name.startswith(f".shot-00003.{host()}-{os.getpid()}-") for name in names)


def test_the_attempt_of_a_process_that_may_live_is_copied(piece: Piece) -> None:
    old, new = left_behind(piece, 3, machine="0badcafe"), new_attempt(piece)
    assert piece.take_over(new, fits) == 0
    assert old.is_dir() and len(Journal(new).frames) == 3
    assert (new / "frames").read_bytes() == (old / "frames").read_bytes()
    assert not os.path.samefile(new / "frames", old / "frames")  # what is still written there does not come here


def test_the_attempt_of_a_dead_process_is_gone_on_with_in_place(piece: Piece) -> None:
    old, new = left_behind(piece, 3, process="99999999-00000000"), new_attempt(piece)
    assert piece.take_over(new, fits) == 0
    assert not old.exists() and len(Journal(new).frames) == 3


def test_a_lock_that_is_held_tells_that_a_process_lives(piece: Piece) -> None:
    old, new = left_behind(piece, 2, process="99999999-00000000"), new_attempt(piece)
    lock = Lock(old / "lock")
    piece.take_over(new, fits)
    lock.close()
    assert old.is_dir() and len(Journal(new).frames) == 2


def test_frames_of_another_kind_are_of_no_use(piece: Piece) -> None:
    left_behind(piece, 5, machine="0badcafe", setting={"iterations": 4})
    old, new = left_behind(piece, 3, machine="0badcaff"), new_attempt(piece)
    assert piece.take_over(new, fits) == 5
    assert len(Journal(new).frames) == 3 and old.is_dir()


def test_the_attempt_with_the_most_frames_is_taken(piece: Piece) -> None:
    for machine, frames in (("00000001", 2), ("00000002", 4), ("00000003", 1)):
        left_behind(piece, frames, machine=machine)
    new = new_attempt(piece)
    assert piece.take_over(new, fits) == 3 and len(Journal(new).frames) == 4


def test_the_first_one_finished_wins(piece: Piece) -> None:
    first, second = left_behind(piece, 3, machine="00000001"), left_behind(piece, 2, machine="00000002")
    assert piece.finish(first, {"node": "a"}) == piece.path
    assert not second.exists()  # what it still writes goes nowhere
    late = left_behind(piece, 3, machine="00000002")
    assert piece.finish(late, {"node": "b"}) == piece.path
    assert json.loads((piece.path / NOTE).read_text()) == {"node": "a"} and not piece.attempts()


def test_what_only_going_on_needs_is_not_kept(piece: Piece) -> None:
    attempt = left_behind(piece, 1)
    (attempt / "state-0.safetensors").touch()
    (attempt / "before-3.videostyle").mkdir()
    (attempt / "before-0").touch()
    piece.finish(attempt, {})
    assert {entry.name for entry in piece.path.iterdir()} == {"journal", "frames", NOTE}


def test_a_folder_that_cannot_be_written_to_is_an_error(piece: Piece, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = left_behind(piece, 1)

    def no_room(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", no_room)
    with pytest.raises(OSError, match="No space"):
        piece.finish(attempt, {})
