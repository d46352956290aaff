"""The journal's lines: what is damaged is left out, whatever the damage is."""

import random
import zlib
from pathlib import Path

import pytest

from videostyle.checkpoint.append_log import Log, line_of, read_log, write_log

ENTRIES = [{"frame": i, "words": "a\nb ż", "number": 0.1 * i, "not": float("inf")} for i in range(20)]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal"
    write_log(path, ENTRIES[:15])
    log = Log(path)
    for entry in ENTRIES[15:]:
        log.append(entry)
    log.sync()
    log.close()
    return path


def test_what_was_written_is_read(journal: Path) -> None:
    assert read_log(journal) == ENTRIES
    assert [p.name for p in journal.parent.iterdir()] == ["journal"]


def test_no_file_and_no_lines(tmp_path: Path) -> None:
    assert read_log(tmp_path / "journal") == []
    (tmp_path / "journal").touch()
    assert read_log(tmp_path / "journal") == []


def test_every_torn_tail_leaves_the_lines_before_it(journal: Path) -> None:
    whole = journal.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    for length in range(0, len(whole), 7):
        journal.write_bytes(whole[:length])
        assert read_log(journal) == ENTRIES[: sum(end <= length for end in ends)]


def test_a_flipped_byte_costs_its_own_line(journal: Path) -> None:
    whole, chance = journal.read_bytes(), random.Random(0)
    for _ in range(200):
        at = chance.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[at] ^= 1 << chance.randrange(8)
        journal.write_bytes(damaged)
        found = read_log(journal)
        assert all(entry in ENTRIES for entry in found)
        assert len(found) >= len(ENTRIES) - 2


def test_sound_lines_that_are_no_objects_are_left_out(tmp_path: Path) -> None:
    deep = b"[" * 100_000
    lines = [line_of({"a": 1}), b"00000000 {}\n", b"\n", b"x\n", _line(b"[1]"), _line(b"{"), _line(deep), line_of({})]
    (tmp_path / "journal").write_bytes(b"".join(lines))
    assert read_log(tmp_path / "journal") == [{"a": 1}, {}]


def _line(text: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(text), text)
