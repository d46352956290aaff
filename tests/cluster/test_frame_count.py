"""Progress from folders: journals that grow, attempts that are taken over, time left from all workers."""

from pathlib import Path

import pytest

from videostyle.checkpoint.append_log import Log, line_of, write_log
from videostyle.checkpoint.attempts import Piece
from videostyle.cluster import frame_count
from videostyle.cluster.frame_count import FrameCount, SharedProgress
from videostyle.pipeline.progress import Progress

FRAME = {"frame": {"offset": 0}}


@pytest.fixture
def piece(tmp_path: Path) -> Piece:
    return Piece(tmp_path, "shot-00000")


def attempt(piece: Piece, name: str, frames: int) -> Path:
    folder = piece.folder / f".{piece.name}.{name}.videostyle"
    folder.mkdir()
    write_log(folder / "journal", [{"format": 1}, *[FRAME] * frames])
    return folder


def test_frames_are_counted_as_they_come(piece: Piece) -> None:
    count = FrameCount()
    assert count(piece) == 0
    folder = attempt(piece, "a", 2)
    assert count(piece) == 2
    log = Log(folder / "journal")
    log.append(FRAME)
    log.append({"state": {"frames": 3}})
    assert count(piece) == 3
    with (folder / "journal").open("ab") as file:
        file.write(line_of(FRAME)[:-1])  # without its end
    assert count(piece) == 3
    log.close()


def test_the_farthest_attempt_counts(piece: Piece) -> None:
    attempt(piece, "a", 2)
    attempt(piece, "b", 5)
    assert FrameCount()(piece) == 5


def test_a_journal_that_is_written_anew_is_read_anew(piece: Piece) -> None:
    count, folder = FrameCount(), attempt(piece, "a", 5)
    assert count(piece) == 5
    write_log(folder / "journal", [{"format": 1}, FRAME])
    assert count(piece) == 1


def test_time_left_is_that_of_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = [100.0], list[Progress]()
    monkeypatch.setattr(frame_count.time, "monotonic", lambda: now[0])
    progress = SharedProgress(100, 20, told.append)
    progress.tell(20)
    assert told[-1].seconds_left is None
    now[0] += 10
    progress.tell(40)
    assert (told[-1].frame, told[-1].restored, told[-1].seconds_left) == (40, 20, pytest.approx(30))
    now[0] += 1
    progress.tell(38)  # a shot was begun again elsewhere: nothing is taken back
    assert told[-1].frame == 40


def test_the_pace_is_that_of_the_last_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(frame_count.time, "monotonic", lambda: now[0])
    progress = SharedProgress(1000, 0, None)
    for count in range(1, 400):
        now[0] += 1.0 if count > 150 else 0.1
        progress.tell(count)
    assert progress.seconds_left() == pytest.approx(601, rel=0.02)
