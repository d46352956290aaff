"""How far workers are, read from the folders that they write to; the time left, from all of them together."""

import os
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from videostyle.checkpoint.attempts import Piece
from videostyle.pipeline.progress import OnProgress, Progress

FRAME_LINE = b' {"frame":{'
WINDOW_SECONDS = 120.0  # over which the pace is measured
LEAST_SECONDS = 2.0
LOOKING_SHARE = 20  # times as long as a look took passes before the next one


@dataclass
class _Journal:
    inode: int = 0
    read: int = 0  # bytes
    frames: int = 0


class FrameCount:
    """Frames that are written in the attempts at pieces; every journal is read once, as it grows."""

    def __init__(self) -> None:
        self._journals: dict[Path, _Journal] = {}
        self._found: dict[tuple[Path, str], int] = {}
        self._due = 0.0

    def __call__(self, pieces: Iterable[Piece]) -> dict[tuple[Path, str], int]:
        """(folder, name) of these pieces -> frames of the attempt that is farthest; those of the last look where that
        took so long that looking again would be all that is done."""
        began = time.monotonic()
        if began >= self._due:
            names: dict[Path, set[str]] = {}
            for piece in pieces:
                names.setdefault(piece.folder, set()).add(piece.name)
            self._found = {}
            for folder, wanted in names.items():
                self._look(folder, wanted)
            self._due = time.monotonic() + LOOKING_SHARE * (time.monotonic() - began)
        return self._found

    def forget(self, piece: Piece) -> None:
        """Of a piece that is finished."""
        gone = [path for path in self._journals if path.parent.parent == piece.folder and _name_of(path) == piece.name]
        for path in gone:
            del self._journals[path]

    def _look(self, folder: Path, names: set[str]) -> None:
        with suppress(OSError):
            for entry in os.scandir(folder):  # once, however many attempts there are
                path = folder / entry.name / "journal"
                if entry.name.startswith(".") and (name := _name_of(path)) in names:
                    self._found[folder, name] = max(self._found.get((folder, name), 0), self._frames(path))

    def _frames(self, path: Path) -> int:
        known = self._journals.setdefault(path, _Journal())
        with suppress(OSError), path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if inode != known.inode:  # it was written anew
                known = self._journals[path] = _Journal(inode)
            file.seek(known.read)
            new = file.read()
            whole = new.rfind(b"\n") + 1
            known.read += whole
            known.frames += new.count(FRAME_LINE, 0, whole)
        return known.frames


def _name_of(journal: Path) -> str:
    """The piece that an attempt's journal belongs to."""
    return journal.parent.name[1:].partition(".")[0]


class SharedProgress:
    """Tells the frames of all workers and the time left. ``total``: all frames, None where it is not known.

    ``restored``: frames that earlier runs had finished.
    """

    def __init__(self, total: int | None, restored: int, on_progress: OnProgress | None) -> None:
        self.total, self.restored, self._on_progress = total, restored, on_progress
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), restored)])
        self._told = -1

    def tell(self, count: int) -> None:
        """``count``: frames that are there now, the restored ones among them."""
        now, count = time.monotonic(), max(count, self._told)  # a shot that is begun again takes nothing back
        self._seen.append((now, count))
        while now - self._seen[0][0] > WINDOW_SECONDS and len(self._seen) > 2:
            self._seen.popleft()
        self._told = count
        if self._on_progress is not None:
            left = self.seconds_left()
            self._on_progress(Progress("stylise", count, self.total, restored=self.restored, seconds_left=left))

    def seconds_left(self) -> float | None:
        """By the pace of the last minutes; None where there is none yet."""
        (began, before), (now, count) = self._seen[0], self._seen[-1]
        if self.total is None or count <= before or now - began < LEAST_SECONDS:
            return None
        return max(0.0, (self.total - count) * (now - began) / (count - before))
