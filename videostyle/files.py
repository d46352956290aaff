"""Whole files or none: the atomic writer, checksums, and what makes a write durable."""

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from videostyle.errors import MediaError


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON whole or not at all."""
    with _replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as e:
        raise MediaError(f"{path} could not be written: {e.strerror or e}") from e
    finally:
        temporary.unlink(missing_ok=True)


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
    with path.open("rb") as file:
        os.fsync(file.fileno())
