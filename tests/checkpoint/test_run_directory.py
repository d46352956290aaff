"""The run directory: what a run that was stopped finds again, whatever became of the disk."""

import errno
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from small_networks import picture

from videostyle.checkpoint.append_log import read_log, write_log
from videostyle.checkpoint.run_directory import RunDirectory, directory_of, is_published
from videostyle.checkpoint.state_store import StateKind
from videostyle.errors import MediaError, UsageError
from videostyle.frames import StylisedFrame
from videostyle.settings import RunSettings

SIZE = (20, 12)
PROVENANCE: dict[str, Any] = {"source": {"fingerprint": "1"}, "setting": {"seed": 0}, "environment": {"torch": "2"}}
SHOTS = (0, 0, 0, 1, 1, 1, 1, 2)  # of every frame


@dataclass(frozen=True)
class Spot:
    """What a painter would know after a frame."""

    index: int
    shot: int
    memory: torch.Tensor = field(default_factory=lambda: torch.zeros(0))


def frame(index: int) -> StylisedFrame:
    pixels = (picture(SIZE[1], SIZE[0], seed=index) * 255).round() / 255
    return StylisedFrame(pixels, pts=index * 10, index=index, shot=SHOTS[index], loss=0.1 * index, start="warped")


def opened(output: Path, provenance: dict[str, Any] | None = None, **settings: Any) -> RunDirectory[Spot]:
    states = StateKind((Spot,), torch.device("cpu"), lambda index, shot: Spot(index, shot))
    return RunDirectory(output, provenance or PROVENANCE, RunSettings(**settings), states=states, size=SIZE, depth=8)


def stopped(output: Path, frames: int, saves: tuple[int, ...] = (), **settings: Any) -> None:
    """A run that was killed after so many frames; states were written after those of ``saves``."""
    kept = opened(output, **settings)
    for index in range(len(kept.finished), frames):
        kept.keep(frame(index))
        if index + 1 in saves:
            kept.save(Spot(index + 1, SHOTS[index], torch.arange(index + 1.0)))
    kept.close()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.mp4"


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def indices(kept: RunDirectory[Spot]) -> list[int]:
    return [f.index for f in kept.finished]


def test_frames_and_state_come_back(output: Path) -> None:
    stopped(output, 3, saves=(1, 2, 3))
    kept = opened(output)
    assert (indices(kept), kept.redone, kept.published) == ([0, 1, 2], 0, False)
    assert kept.position.index == 3 and kept.position.memory.tolist() == [0, 1, 2]
    for index in range(3):
        again = kept.read(index)
        assert torch.equal(again.pixels, frame(index).pixels)
        assert again.without_pixels().pts == index * 10 and again.loss == 0.1 * index
    kept.close()


def test_what_is_kept_is_what_is_used(output: Path) -> None:
    exact = StylisedFrame(picture(SIZE[1], SIZE[0]), pts=1)
    kept = opened(output)
    used = kept.keep(exact)
    kept.save(Spot(1, 0))
    kept.close()
    assert not torch.equal(used.pixels, exact.pixels)
    kept = opened(output)
    assert torch.equal(kept.read(0).pixels, used.pixels)
    kept.close()


def test_frames_after_the_last_state_are_painted_again(output: Path) -> None:
    stopped(output, 3, saves=(1, 2))
    kept = opened(output)
    assert (indices(kept), kept.redone, kept.position.index) == ([0, 1], 1, 2)
    kept.keep(frame(2))
    kept.close()
    assert len(read_log(directory_of(output) / "journal")) == 2 + 3 + 1


def test_the_last_beginning_of_a_shot_needs_no_state(output: Path) -> None:
    stopped(output, 6, saves=(1, 2))
    kept = opened(output)
    assert (indices(kept), kept.redone) == ([0, 1, 2], 3)
    assert (kept.position.index, kept.position.shot) == (3, 0)
    kept.close()


def test_a_damaged_state_falls_back_to_the_one_before(output: Path) -> None:
    stopped(output, 7, saves=(5, 6))
    for number, expected in ((1, 5), (0, 3)):
        flip(directory_of(output) / f"state-{number}.safetensors", -1)
        kept = opened(output, partial=False)
        assert kept.position.index == expected
        kept.close()
        if number == 1:  # the directory was put in order: frames 6 and 7 are to come
            assert indices(kept) == [0, 1, 2, 3, 4]


def test_a_flipped_byte_in_a_frame_is_painted_again(output: Path) -> None:
    stopped(output, 7, saves=(4, 6))
    place = read_log(directory_of(output) / "journal")[2 + 5 + 1]["frame"]  # frame 5, behind the state after frame 4
    assert place["metadata"]["index"] == 5
    flip(directory_of(output) / "frames", place["offset"] + place["length"] // 2)
    kept = opened(output)
    assert (indices(kept), kept.redone, kept.position.index) == ([0, 1, 2, 3], 3, 4)
    kept.keep(frame(4))
    kept.close()


@pytest.mark.parametrize("name", ["frames", "state-0.safetensors", "state-1.safetensors", "journal"])
def test_whatever_is_damaged_nothing_wrong_is_taken(output: Path, name: str) -> None:
    """Any file cut anywhere, or with any byte flipped: the frames that are given back are right, or it is refused."""
    stopped(output, 7, saves=(4, 6))
    folder, chance = directory_of(output), random.Random(1)
    whole = {entry.name: entry.read_bytes() for entry in folder.iterdir()}
    for _ in range(60):
        for entry, data in whole.items():
            (folder / entry).write_bytes(data)
        damaged = bytearray(whole[name])
        if chance.random() < 0.4:
            del damaged[chance.randrange(len(damaged)) :]
        else:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        (folder / name).write_bytes(damaged)
        assert_sound(output)


def assert_sound(output: Path) -> None:
    """What the directory gives back is right, or it is refused in one line."""
    try:
        kept = opened(output)
    except UsageError as error:
        assert "--restart" in str(error)
        return
    assert indices(kept) == list(range(kept.position.index))
    for index in range(kept.position.index):
        assert torch.equal(kept.read(index).pixels, frame(index).pixels)
    if kept.position.memory.numel():
        assert torch.equal(kept.position.memory, torch.arange(float(kept.position.index)))
    kept.close()


def mutated(value: Any, chance: random.Random) -> Any:
    """A plain value with one part of it replaced, removed or doubled."""
    others = (None, -1, 1 << 70, 2.5, float("nan"), "x", [], {}, [1], {"tensor": "memory"}, True)
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        copy = dict(value)
        if chance.random() < 0.15:
            del copy[key]
        else:
            copy[key] = mutated(value[key], chance)
        return copy
    return chance.choice(others)


@pytest.mark.slow
def test_500_journals_whose_lines_say_something_else(output: Path) -> None:
    """Sound checksums, wrong words: no crash, and no frame that is not right."""
    stopped(output, 7, saves=(4, 6))
    folder, chance = directory_of(output), random.Random(2)
    whole = {entry.name: entry.read_bytes() for entry in folder.iterdir()}
    entries = read_log(folder / "journal")
    for _ in range(500):
        for entry, data in whole.items():
            (folder / entry).write_bytes(data)
        lines = list(entries)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(lines))
            lines[at] = mutated(lines[at], chance)
            lines[at] = lines[at] if isinstance(lines[at], dict) else {"x": lines[at]}
        if chance.random() < 0.2:
            chance.shuffle(lines)
        write_log(folder / "journal", lines)
        try:
            kept = opened(output)
        except (UsageError, MediaError) as error:
            assert "\n" not in str(error)
            continue
        for index in indices(kept):
            try:
                assert kept.read(index).pixels.shape == (1, 3, SIZE[1], SIZE[0])
            except MediaError as error:
                assert "--restart" in str(error)
        kept.close()


def test_another_source_is_refused_with_the_difference(output: Path) -> None:
    stopped(output, 2, saves=(2,))
    before = {p.name: p.read_bytes() for p in directory_of(output).iterdir()}
    other = PROVENANCE | {"source": {"fingerprint": "2"}, "setting": {"seed": 5}}
    with pytest.raises(UsageError) as refused:
        opened(output, other, resume_anyway=True)
    for words in ("2 frames", "source fingerprint was 1, is 2", "setting seed was 0, is 5", "--restart"):
        assert words in str(refused.value)
    assert {p.name: p.read_bytes() for p in directory_of(output).iterdir()} == before
    kept = opened(output, other, restart=True)
    assert indices(kept) == []
    kept.close(remove=True)


def test_other_versions_may_go_on_if_told(output: Path) -> None:
    stopped(output, 2, saves=(2,))
    other = PROVENANCE | {"environment": {"torch": "3"}}
    with pytest.raises(UsageError, match=r"torch was 2, is 3; say --resume-anyway, or --restart"):
        opened(output, other)
    kept = opened(output, other, resume_anyway=True)
    assert indices(kept) == [0, 1]
    kept.close()


def test_many_differences_are_shortened(output: Path) -> None:
    stopped(output, 1)
    with pytest.raises(UsageError, match="and 3 more"):
        opened(output, PROVENANCE | {"setting": {name: 1 for name in "abcdef"}})


def test_a_second_run_on_one_output_is_refused(output: Path) -> None:
    first = opened(output)
    code = "import sys; from videostyle.checkpoint.lock import Lock; from pathlib import Path; Lock(Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(directory_of(output) / "lock")]
    assert b"BlockingIOError" in subprocess.run(command, capture_output=True, timeout=60).stderr
    with pytest.raises(UsageError, match="another run is writing"):
        opened(output)
    first.close()
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    opened(output).close(remove=True)


def test_it_is_removed_when_done_or_when_it_holds_nothing(output: Path) -> None:
    with opened(output) as kept:
        kept.keep(frame(0))
    assert not directory_of(output).exists()
    with pytest.raises(KeyboardInterrupt), opened(output):
        raise KeyboardInterrupt
    assert not directory_of(output).exists()
    with pytest.raises(KeyboardInterrupt), opened(output) as kept:
        kept.keep(frame(0))
        raise KeyboardInterrupt
    assert directory_of(output).exists()
    with opened(output, keep=True) as kept:
        kept.keep(frame(0))
    assert directory_of(output).exists()


def test_what_was_being_written_when_a_run_was_killed_is_swept_away(output: Path) -> None:
    stopped(output, 2, saves=(1,))
    for name in (".state-0.safetensors.77.part", ".journal.77.part", ".tmpA1b2C3"):
        (directory_of(output) / name).write_bytes(b"half")
    kept = opened(output)
    assert sorted(os.listdir(kept.path)) == ["frames", "journal", "lock", "state-0.safetensors"]
    kept.close()


def test_files_of_others_are_left_alone(output: Path) -> None:
    directory_of(output).mkdir()
    (directory_of(output) / "mine.txt").write_text("precious")
    with opened(output, restart=True) as kept:
        kept.keep(frame(0))
    assert [p.name for p in directory_of(output).iterdir()] == ["mine.txt"]


def test_an_output_that_was_just_published_is_known(output: Path, tmp_path: Path) -> None:
    kept = opened(output)
    kept.keep(frame(0))
    part = tmp_path / "part"
    part.write_bytes(b"film")
    kept.publishing(part)
    kept.close()
    assert not is_published(output)
    part.replace(output)
    assert is_published(output) and opened_and_closed(output).published
    output.unlink()
    output.write_bytes(b"another")
    assert not is_published(output)


def opened_and_closed(output: Path) -> RunDirectory[Spot]:
    kept = opened(output)
    kept.close()
    return kept


def test_a_full_disk_is_said_in_one_line_and_loses_nothing(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = opened(output)
    kept.keep(frame(0))
    kept.save(Spot(1, 0, torch.arange(1.0)))
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(MediaError, match=r"No space left on device; 1 frames are finished: make room"):
        kept.keep(frame(1))
    monkeypatch.setattr(os, "write", real)
    kept.close()
    assert indices(opened_and_closed(output)) == [0]


def test_states_are_due_by_time_and_bounded_by_what_they_cost(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("videostyle.checkpoint.run_directory.time.monotonic", lambda: now[0])
    kept = opened(output, state_seconds=10)
    kept.keep(frame(0))
    assert not kept.state_is_due
    now[0] += 9.9
    assert not kept.state_is_due
    now[0] += 0.1
    assert kept.state_is_due

    def slow(descriptor: int) -> None:
        now[0] += 1.0

    monkeypatch.setattr(os, "fsync", slow)
    began = now[0]
    kept.save(Spot(1, 0))
    cost = now[0] - began
    assert cost >= 2  # frames and state at least
    now[0] += 99 * cost  # states take 1 % of the time, however long is asked for
    assert not kept.state_is_due
    now[0] += cost + 0.1
    assert kept.state_is_due
    kept.close()
