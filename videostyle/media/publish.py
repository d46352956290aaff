"""Outputs appear whole or not at all: written beside their place, made durable, moved in one step."""

import contextlib
import os
import re
import secrets
import shutil
from pathlib import Path

from videostyle.errors import MediaError, UsageError
from videostyle.files import host, sync_file, sync_folder
from videostyle.processes import is_running

TIMESTAMPS = "timestamps.json"
OURS = re.compile(rf"\d{{6,}}\.png|{re.escape(TIMESTAMPS)}")


def check_place(output: Path, *, overwrite: bool, source: Path | None = None) -> None:
    """Refuse an output that could not be moved into place later. Raises UsageError; creates and removes nothing."""
    folder = output.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; create it, or choose another place for {output.name}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be written to; choose another place for {output.name}")
    if source is not None and output.exists() and os.path.samefile(output, source):
        raise UsageError(f"{output} is the source itself; choose another name for the output")
    if output.is_dir():
        _check_folder(output, overwrite)
    elif (output.exists() or output.is_symlink()) and not overwrite:
        raise UsageError(f"{output} exists already; choose another name or say --overwrite")


def _check_folder(output: Path, overwrite: bool) -> None:
    """A folder is replaced as a whole, so only one that holds nothing but what we wrote may be."""
    names = [entry.name for entry in output.iterdir()]
    foreign = [name for name in names if not OURS.fullmatch(name)]
    if foreign:
        raise UsageError(f"{output} is a folder that holds other files ({foreign[0]}); choose another name")
    if names and not overwrite:
        raise UsageError(f"{output} exists already; choose another name or say --overwrite")


def part_name(output: Path) -> Path:
    """A hidden name beside the output, on the same disk, that no other run uses; it says whose it is."""
    return output.absolute().parent / f".{output.name}.{host()}-{os.getpid()}-{secrets.token_hex(4)}.part"


def remove_stale(output: Path) -> None:
    """Take away what runs for the same output left here when they were killed outright."""
    ours = re.compile(rf"\.{re.escape(output.name)}\.{host()}-(\d+)-[0-9a-f]{{8}}\.part")
    for entry in output.absolute().parent.iterdir():
        found = ours.fullmatch(entry.name)
        if found and not is_running(int(found[1])):
            with contextlib.suppress(OSError):
                remove(entry)


def check_space(output: Path, needed_bytes: int) -> None:
    """Refuse what will not fit on the disk. Raises MediaError."""
    free = shutil.disk_usage(output.absolute().parent).free
    if needed_bytes > free:
        raise MediaError(
            f"{output} needs about {needed_bytes / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free there; "
            "make room or choose another place"
        )


def publish(part: Path, output: Path, *, overwrite: bool) -> None:
    """Make ``part`` durable and move it to ``output``. Raises UsageError when the place was taken meanwhile."""
    check_place(output, overwrite=overwrite)
    try:
        if part.is_dir():
            _publish_folder(part, output)
        else:
            sync_file(part)
            os.replace(part, output)
        sync_folder(output.absolute().parent)
    except OSError as error:
        raise MediaError(f"{output} could not be written: {error.strerror or error}") from error


def _publish_folder(part: Path, output: Path) -> None:
    for entry in part.iterdir():
        sync_file(entry)
    sync_folder(part)
    old = part_name(output)
    if output.exists():
        os.rename(output, old)
    os.rename(part, output)
    remove(old)


def remove(part: Path) -> None:
    """Take an unfinished output away; no error if it is not there."""
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)
