"""Whole files or none: the atomic writer, checksums, and what makes a write durable."""

import errno
import hashlib
import json
import logging
import os
import platform
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from videostyle.errors import MediaError, NoRoomError

LOG = logging.getLogger(__name__)

WHOLE_BYTES, PIECES, PIECE_BYTES = 64 << 20, 64, 1 << 20
MOVES, MOVE_SECONDS = 20, 0.05  # tries to replace a file that is being read, and the time between them


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A file beside ``path`` that replaces it in one step at the end, on the disk if ``durable``. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        if durable:
            sync_file(temporary)
        _move(temporary, path)
        if durable:
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _move(part: Path, path: Path) -> None:
    """Put ``part`` in the place of ``path``. Windows refuses while somebody reads that: it is tried for a second."""
    for _ in range(MOVES if os.name == "nt" else 0):
        try:
            part.replace(path)
            return
        except PermissionError:
            time.sleep(MOVE_SECONDS)
    part.replace(path)


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a text whole or not at all; ``durable``: a power cut leaves it too. Raises MediaError."""
    with wording_failures(str(path)), replacing(path, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def wording_failures(name: str) -> Iterator[None]:
    """Raises NoRoomError or MediaError in the place of an OSError, in words: ``name`` could not be written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoomError(f"{name} could not be written: the disk is full; make room on it") from error
        words = f"{error.strerror or error}; name a file in a folder that exists"
        raise MediaError(f"{name} could not be written: {words}") from error


def write_json(path: Path, content: Mapping[str, Any], *, durable: bool = False) -> None:
    """Write JSON whole or not at all; ``durable``: a power cut leaves it too. Raises MediaError."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n", durable=durable)


def read_record(path: Path, needed: Iterable[str] = ()) -> dict[str, Any] | None:
    """The JSON object in a file, None where there is none.

    One that is damaged, or lacks a ``needed`` key, is set aside as ``NAME.damaged``, and the log says so.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.keys() >= set(needed):
            return content
    except FileNotFoundError:
        return None
    except ValueError:  # no JSON, no text
        pass
    aside = path.with_name(f"{path.name}.damaged")
    _move(path, aside)
    LOG.warning("%s is damaged; it was set aside as %s", path, aside.name)
    return None


def fingerprint(path: Path) -> str:
    """16 hex digits of a file's size and content; above 64 MiB, of 64 pieces spread evenly. Raises OSError.

    Of a folder: of its files, by name.
    """
    if path.is_dir():
        files = (f"{file.name} {fingerprint(file)}" for file in sorted(path.iterdir()) if file.is_file())
        return hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= WHOLE_BYTES:
            digest.update(file.read())
        else:
            for piece in range(PIECES):
                file.seek(piece * (size - PIECE_BYTES) // (PIECES - 1))
                digest.update(file.read(PIECE_BYTES))
    return digest.hexdigest()[:16]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(path: Path) -> int:
    """CRC-32 of a file. Raises OSError."""
    total = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            total = zlib.crc32(chunk, total)
    return total


def sync_file(path: Path) -> None:
    with path.open("r+b") as file:  # Windows syncs no file that is open for reading alone
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the system knows how."""
    with suppress(PermissionError):  # Windows opens no folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_whole(descriptor: int, data: bytes) -> None:
    """All of it: a single write may take a part only."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def host() -> str:
    """This machine, in eight digits: a process number means nothing on another one that shares the disk."""
    return f"{zlib.crc32(platform.node().encode()):08x}"
