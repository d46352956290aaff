"""Progress from folders: journals that grow, attempts that are taken over, time left from all workers."""

from pathlib import Path

import pytest

from videostyle.checkpoint.append_log import Log, line_of, write_log
from videostyle.checkpoint.attempts import Piece
from videostyle.cluster import frame_count
from videostyle.cluster.frame_count import FrameCount, SharedProgress
from videostyle.pipeline.progress import Progress

FRAME = {"frame": {"offset": 0}}


def counted(count: FrameCount, piece: Piece) -> int:
    return count([piece]).get((piece.folder, piece.name), 0)


@pytest.fixture(autouse=True)
def _always_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_count, "LOOKING_SHARE", 0)


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
    assert counted(count, piece) == 0
    folder = attempt(piece, "a", 2)
    assert counted(count, piece) == 2
    log = Log(folder / "journal")
    log.append(FRAME)
    log.append({"state": {"frames": 3}})
    assert counted(count, piece) == 3
    with (folder / "journal").open("ab") as file:
        file.write(line_of(FRAME)[:-1])  # without its end
    assert counted(count, piece) == 3
    log.close()


def test_the_farthest_attempt_counts(piece: Piece) -> None:
    attempt(piece, "a", 2)
    attempt(piece, "b", 5)
    assert counted(FrameCount(), piece) == 5


def test_a_journal_that_is_written_anew_is_read_anew(piece: Piece) -> None:
    count, folder = FrameCount(), attempt(piece, "a", 5)
    assert counted(count, piece) == 5
    write_log(folder / "journal", [{"format": 1}, FRAME])
    assert counted(count, piece) == 1


def test_looking_takes_a_small_share_of_the_time(piece: Piece, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(frame_count, "LOOKING_SHARE", 20)
    monkeypatch.setattr(frame_count.time, "monotonic", lambda: now.append(now[-1] + 1) or now[-1])
    count, folder = FrameCount(), attempt(piece, "a", 2)
    assert counted(count, piece) == 2
    log = Log(folder / "journal")
    log.append(FRAME)
    log.close()
    assert counted(count, piece) == 2  # as it was: the last look took a second
    now.append(now[-1] + 60)
    assert counted(count, piece) == 3
    count.forget(piece)
    now.append(now[-1] + 60)
    assert counted(count, piece) == 3  # read anew


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
