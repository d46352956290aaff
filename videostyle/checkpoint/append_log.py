"""A text file that only grows: one JSON object a line, behind its CRC-32; torn or damaged lines are left out."""

import json
import os
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from videostyle.files import replacing, write_whole


class Log:
    """Appends entries to the file at ``path``. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def append(self, entry: dict[str, Any]) -> None:
        write_whole(self._file.fileno(), line_of(entry))

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def line_of(entry: dict[str, Any]) -> bytes:
    text = json.dumps(entry, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of every sound line; none where there is no file."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline was never finished
    except OSError:
        return []
    return [entry for line in lines if (entry := _entry(line)) is not None]


def _entry(line: bytes) -> dict[str, Any] | None:
    text = line[9:]
    with suppress(ValueError, RecursionError):
        if line[:9] == b"%08x " % zlib.crc32(text) and isinstance(entry := json.loads(text), dict):
            return entry
    return None


def write_log(path: Path, entries: Iterable[dict[str, Any]]) -> None:
    """Replace the file by one with these entries, in one step. Raises OSError."""
    with replacing(path, durable=True) as temporary:
        temporary.write_bytes(b"".join(map(line_of, entries)))
