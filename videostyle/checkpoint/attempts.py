"""Attempts at one piece of work, each in a run directory of its own; the first that is finished becomes the piece.

    folder/NAME                                  the piece, whole: there after one rename, or not at all
    folder/.NAME.HOST-PROCESS-TOKEN.videostyle   an attempt, in progress or left behind

A machine that was taken for dead may still write into its attempt, so another one never does: it copies what it can use
(`Piece.take_over`). Only an attempt whose process is known to be dead is gone on with in place.
"""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videostyle.checkpoint.journal import Journal
from videostyle.checkpoint.lock import Lock
from videostyle.checkpoint.run_directory import ENDING
from videostyle.files import host, sync_folder, write_json
from videostyle.processes import is_running

NOTE = "attempt.json"  # who finished the piece, and at what cost
IN_PROGRESS = re.compile(r"state-[01]\.safetensors|before-\d+(\.videostyle)?|lock|\..*")


@dataclass(frozen=True)
class Piece:
    """A piece of work called ``name`` in ``folder``."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Where it is when it is finished."""
        return self.folder / self.name

    def begin(self, suffix: str) -> Path:
        """The output, with this suffix, of a new attempt; its run directory is the attempt's folder."""
        return self.folder / f".{self.name}.{host()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}"

    def attempts(self) -> list[Path]:
        """The folders of all attempts that are there, those with the most frames first."""
        found = [path for path in self.folder.glob(f".{self.name}.*{ENDING}") if path.is_dir()]
        return sorted(found, key=lambda path: (-len(Journal(path).frames), path.name))

    def take_over(self, new: Path, fits: Callable[[dict[str, Any]], bool]) -> int:
        """Begin the attempt ``new`` with what another one left, whose provenance ``fits``; returns how many frames of
        others are of no use to it. Raises OSError."""
        lost = 0
        for old in self.attempts():
            journal = Journal(old)
            usable = journal.provenance is not None and fits(journal.provenance)
            if usable and not new.exists() and _adopt(old, new):
                continue
            lost += len(journal.frames)
        return lost

    def finish(self, attempt: Path, note: dict[str, Any]) -> Path:
        """Make an attempt the piece, with ``note`` beside its frames, unless another one was faster. Raises OSError."""
        for entry in attempt.iterdir():
            if IN_PROGRESS.fullmatch(entry.name):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        write_json(attempt / NOTE, note)
        try:
            attempt.rename(self.path)  # a folder that holds something is not replaced
        except OSError:
            if not self.path.is_dir():
                raise
        sync_folder(self.folder)
        for other in self.attempts():
            shutil.rmtree(other, ignore_errors=True)
        return self.path


def _adopt(old: Path, new: Path) -> bool:
    """Rename the attempt of a process that is dead, copy another one's; whether that could be done."""
    try:
        if _is_dead(old):
            old.rename(new)
        else:
            copy_run_directory(old, new)
    except (OSError, shutil.Error):  # it has been taken over or finished meanwhile
        shutil.rmtree(new, ignore_errors=True)
        return False
    return True


def _is_dead(attempt: Path) -> bool:
    """Whether nobody will write there any more: its process was one of this machine's, and is gone or this one."""
    found = re.search(rf"\.{host()}-(\d+)-[0-9a-f]{{8}}", attempt.name)
    if found is None or (int(found[1]) != os.getpid() and is_running(int(found[1]))):
        return False
    try:
        Lock(attempt / "lock").close()
    except OSError:
        return False
    return True


def copy_run_directory(old: Path, new: Path) -> None:
    """Copy a run directory that may be written to meanwhile: every line of the journal finds its bytes. Raises OSError.

    The journal goes first, and what it speaks of after it; what does not fit its checksum counts as not there.
    """
    new.mkdir()
    for name in ("journal", "frames", "state-0.safetensors", "state-1.safetensors"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(old / name, new / name)
    for inner in old.glob(f"before-*{ENDING}"):
        copy_run_directory(inner, new / inner.name)
