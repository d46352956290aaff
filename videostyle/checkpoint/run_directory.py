"""The run directory ``OUT.videostyle/`` of an output OUT, from which a stopped run resumes.

    lock                      held while a run writes here
    journal                   what the frames were made from, then a line for every frame and every state (`Journal`)
    frames                    the finished frames, one after the other (`FrameStore`)
    state-{0,1}.safetensors   what the next frame needs of those before it, twice: one is always whole (`StateStore`)
    before-N.videostyle/      run directories of what is painted first (`inside`); before-N: its scratch

A frame or a state counts when its line is in the journal and its bytes fit the checksum there. Frames after the last
state, and damaged ones, are painted again: from that state, or from the beginning of their shot.
"""

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Self

import safetensors

from videostyle.checkpoint.append_log import Log, write_log
from videostyle.checkpoint.directory_name import ENDING as ENDING
from videostyle.checkpoint.directory_name import directory_of as directory_of
from videostyle.checkpoint.frame_store import FrameStore
from videostyle.checkpoint.journal import FORMAT, Journal, StoredFrame
from videostyle.checkpoint.lock import Lock
from videostyle.checkpoint.state_store import State, StateKind, StateStore
from videostyle.errors import MediaError, UsageError
from videostyle.frames import NO_PIXELS, StylisedFrame
from videostyle.settings import RunSettings

PLAN = "plan.json"  # of a run in shots (`cluster.folder`), which lies here instead
OURS = re.compile(
    rf"journal|frames|state-[01]\.safetensors|before-\d+(\.videostyle)?|{re.escape(PLAN)}|shots|logs|token-\w+"
    r"|network\.safetensors"
)
UNFINISHED = re.compile(r"\.(journal|state-[01]\.safetensors)\.\d+\.part|\.tmp\w+")  # of ours and of safetensors
STATE_SHARE = 0.01  # the most of a run's time that goes into states, however slow the disk is
ENVIRONMENT = "environment"  # the group that may differ with --resume-anyway: it should not change the frames


class RunDirectory(Generic[State]):
    """A context manager that holds the run directory of ``output`` for one run.

    ``provenance``: everything that the frames depend on, as plain values by group; UsageError names what differs from
    a directory that is there, unless that is in the group ``environment`` and ``settings.resume_anyway`` is set.
    ``size``: (width, height) of the frames, kept in ``depth`` bits (8 or 16) per channel.

    ``finished``: the frames that are there, without pixels. ``position``: the state after them. ``redone``: how many
    more were there and must be painted again. ``published``: nothing is left to do. The directory is removed when the
    body ends without an exception, unless ``settings.keep``, and when no frame was finished. Raises MediaError too.
    """

    def __init__(
        self,
        output: Path,
        provenance: Mapping[str, Any],
        settings: RunSettings,
        *,
        states: StateKind[State],
        size: tuple[int, int],
        depth: int,
    ) -> None:
        self.path, self.output = directory_of(output), output
        self._provenance = json.loads(json.dumps(provenance))  # as the journal gives it back
        self._settings = settings
        self._frames, self._states = FrameStore(self.path / "frames", size, depth), StateStore(self.path, states)
        self._stored: list[StoredFrame] = []
        self._newest_state: dict[str, Any] | None = None
        self._log: Log
        self.redone = 0
        try:
            self._lock = Lock(self.path / "lock")
        except BlockingIOError:
            raise UsageError(f"another run is writing {self.output}; wait for it, or choose another name") from None
        except OSError as error:
            raise UsageError(f"{self.path} cannot be made ({error.strerror or error}); choose another place") from error
        self._files = contextlib.ExitStack()
        self._files.callback(self._frames.close)
        try:
            with self._writing():
                self._open()
        except BaseException:
            self.close()
            raise

    def inside(self, number: int) -> Path:
        """An output whose run directory lies inside of this one and goes with it."""
        return self.path / f"before-{number}"

    @property
    def finished(self) -> list[StylisedFrame]:
        return [stored.frame(NO_PIXELS) for stored in self._stored]

    def _open(self) -> None:
        if self._settings.restart:
            wipe(self.path)
        if (self.path / PLAN).exists():
            raise UsageError(f"{self.path} holds shots of a run on many workers; say --workers 1, or --restart")
        journal = Journal(self.path)
        if journal.provenance is not None:
            self._compare(journal)
        elif (self.path / "frames").exists():
            raise UsageError(f"{self.path} is damaged: nothing says what its frames were made from; say --restart")
        self.published = _is_same(self.output, journal.published)
        self._stored = journal.frames if self.published else list(self._frames.sound(journal.frames))
        self.position = self._states.kind.beginning(0, 0)
        if not (self._settings.partial or self.published):
            self._go_back(journal)
            self._tidy()
        if self._stored and not self.published:
            self._frames.open_for_reading()
        self._last_saved, self._cost = time.monotonic(), 0.0

    def _compare(self, journal: Journal) -> None:
        """Refuse to go on with frames of another kind."""
        assert journal.provenance is not None
        found = list(differences(journal.provenance, self._provenance))
        strict = [words for group, words in found if group != ENVIRONMENT]
        there = f"{self.path} holds {len(journal.frames)} frames of a run that was stopped"
        if strict:
            words = shortened(strict)
            raise UsageError(f"{there}, made from something else: {words}; give the same again, or --restart")
        if found and not self._settings.resume_anyway:
            words = shortened([words for _, words in found])
            raise UsageError(f"{there}, made with something else: {words}; say --resume-anyway, or --restart")

    def _go_back(self, journal: Journal) -> None:
        """To the last state, or the last beginning of a shot: every frame after it can be painted again."""
        there = self._stored
        shots = [n for n in range(1, len(there)) if there[n].metadata["shot"] != there[n - 1].metadata["shot"]]
        index = shots[-1] if shots else 0
        position = self._states.kind.beginning(index, there[index - 1].metadata["shot"] if index else 0)
        for entry in reversed(journal.states):
            if index < entry["frames"] <= len(there) and (found := self._states.read(entry)) is not None:
                index, position, self._newest_state = entry["frames"], found, entry
                break
        self.redone = len(journal.frames) - index
        self._stored, self.position = there[:index], position

    def _tidy(self) -> None:
        """Rewrite the journal without what will be done again; open both files for more."""
        _remove(self.path, UNFINISHED)
        heading = {"format": FORMAT, "provenance": self._provenance}
        frames = [{"frame": vars(frame)} for frame in self._stored]
        states = [{"state": self._newest_state}] if self._newest_state else []
        write_log(self.path / "journal", [heading, heading, *frames, *states])  # twice: every frame depends on it
        self._log = Log(self.path / "journal")
        self._files.callback(self._log.close)
        self._frames.open_for_writing(self._stored)

    def read(self, index: int) -> StylisedFrame:
        """A frame that is there."""
        return self._frames.read(self._stored[index])

    def keep(self, frame: StylisedFrame) -> StylisedFrame:
        """Store the next frame; returns it as it will be read, so that a resumed run encodes the same."""
        with self._writing():
            stored, as_read = self._frames.append(frame)
            self._log.append({"frame": vars(stored)})
        self._stored.append(stored)
        return as_read

    @property
    def state_is_due(self) -> bool:
        since, wanted = time.monotonic() - self._last_saved, self._settings.state_seconds
        return since >= (max(wanted, self._cost / STATE_SHARE) if wanted else 0)

    def save(self, position: State) -> None:
        """Make the frames so far, and the state after them, durable."""
        if not self._stored:
            return
        began = time.monotonic()
        with self._writing():
            self._frames.sync()
            self._log.sync()
            self._newest_state = self._states.write(position, len(self._stored), self._newest_state)
            self._log.append({"state": self._newest_state})
            self._log.sync()
        self._last_saved = time.monotonic()
        self._cost = self._last_saved - began

    def publishing(self, part: Path) -> None:
        """Note that ``part`` is about to become the output: a run killed right after that has nothing left to do."""
        entry = {"published": identity(part)}
        with self._writing():
            self._log.append(entry)
            self._log.sync()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turns what a full or missing disk raises into a MediaError."""
        try:
            yield
        except (OSError, safetensors.SafetensorError) as error:
            words = f"{getattr(error, 'strerror', None) or error}; {len(self._stored)} frames are finished"
            again = "make room, and give the same command again"
            raise MediaError(f"{self.path} could not be written: {words}: {again}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        done = kind is None and not self._settings.keep and not self._settings.partial
        begun = self._stored or any(self.path.glob(f"*{ENDING}"))
        self.close(remove=done or not begun)

    def close(self, *, remove: bool = False) -> None:
        """Close the files, and remove the directory if it is not needed any more."""
        self._files.close()
        if remove:
            try:
                wipe(self.path)
            except OSError:  # what cannot be removed stays, and so does the lock's file beside it
                remove = False
        self._lock.close(remove=remove)


def wipe(folder: Path) -> None:
    """Remove all of ours, the journal last: as long as it is there, it says what became of the run. Raises OSError."""
    _remove(folder, OURS)
    _remove(folder, UNFINISHED)


def _remove(folder: Path, names: re.Pattern[str]) -> None:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == "journal"):
        if names.fullmatch(entry.name):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(group, what was and what is) for every value that is not the same."""
    for group in dict.fromkeys((*before, *now)):
        old, new = before.get(group), now.get(group)
        if isinstance(old, dict) and isinstance(new, dict):
            for name in dict.fromkeys((*old, *new)):
                if old.get(name) != new.get(name):
                    yield group, f"{group} {name} was {old.get(name)}, is {new.get(name)}"
        elif old != new:
            yield group, f"{group} was {old}, is {new}"


def shortened(words: Sequence[str], most: int = 4) -> str:
    """The first ``most`` of them, and how many more there are."""
    more = f", and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def is_published(output: str | Path) -> bool:
    """Whether a run that was killed before it could remove its run directory has published the output."""
    return _is_same(Path(output), Journal(directory_of(output)).published)


def _is_same(output: Path, published: Mapping[str, Any] | None) -> bool:
    with contextlib.suppress(OSError):
        return published == identity(output)
    return False


def identity(path: Path) -> dict[str, int]:
    """What a file keeps when it is moved into place."""
    status = path.stat()
    return {"inode": status.st_ino, "modified": status.st_mtime_ns}
