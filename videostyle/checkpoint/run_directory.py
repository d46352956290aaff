"""The run directory ``OUT.videostyle/`` of an output OUT: what a run that was stopped goes on from.

    lock                   held while a run writes here
    journal                a `log` of what it was made from, a line for every frame and every state
    frames                 the finished frames, one after the other (`pictures`)
    state-0.safetensors    what the next frame needs of those before it, as it was at one moment (`snapshot`),
    state-1.safetensors    and at the moment before: one of them is whole whatever happens

A frame counts when its line is in the journal and its bytes fit the checksum there; so does a state. Frames after the
last state, and what a disk has damaged, are painted again: from that state, or from the beginning of their shot.
"""

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self

import safetensors

from videostyle.checkpoint.differences import differences, plain, shortened
from videostyle.checkpoint.frame_store import FrameStore
from videostyle.checkpoint.journal import FORMAT, Journal, StoredFrame
from videostyle.checkpoint.lock import Lock
from videostyle.checkpoint.log import Log, write_log
from videostyle.checkpoint.state_store import State, StateKind, StateStore
from videostyle.errors import MediaError, UsageError
from videostyle.frames import NO_PIXELS, StylisedFrame
from videostyle.settings import RunSettings

ENDING = ".videostyle"
OURS = re.compile(r"journal|frames|state-[01]\.safetensors")
UNFINISHED = re.compile(r"\.(journal|state-[01]\.safetensors)\.\d+\.part|\.tmp\w+")  # of ours and of safetensors
# No more than this share of the time goes into states, however slow the disk is.
STATE_SHARE = 0.01
# What may differ where somebody says that it may: the frames to come may differ a little from those there are.
ENVIRONMENT = "environment"


class RunDirectory(Generic[State]):
    """A context manager that holds the run directory of ``output`` for one run.

    ``provenance``: everything that the frames depend on, as plain values by group; a directory that was made from
    something else is refused with a UsageError that names the difference, except in the group ``environment`` where
    ``settings.resume_anyway`` allows it. ``size``: (width, height) of the frames, kept in ``depth`` bits (8 or 16) per
    channel.

    ``finished``: the frames that are there, without their pixels, ``position``: the state after them, ``redone``: how
    many were there and must be painted again. ``published``: there is nothing left to do. Where the body ends without
    an exception the directory is removed, unless ``settings.keep``; so it is where not one frame was finished. Raises
    UsageError and MediaError.
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
        self._provenance = plain(provenance)
        self._settings = settings
        self._frames, self._states = FrameStore(self.path / "frames", size, depth), StateStore(self.path, states)
        self._stored: list[StoredFrame] = []
        self._newest_state: dict[str, Any] | None = None
        self.published, self.redone = False, 0
        self._log: Log | None = None
        self._lock = self._locked()
        try:
            with self._writing():
                self._open()
        except BaseException:
            self.close()
            raise

    @property
    def finished(self) -> list[StylisedFrame]:
        return [stored.frame(NO_PIXELS) for stored in self._stored]

    def _locked(self) -> Lock:
        try:
            return Lock(self.path / "lock")
        except BlockingIOError:
            raise UsageError(f"another run is writing {self.output}; wait for it, or choose another name") from None
        except OSError as error:
            raise UsageError(f"{self.path} cannot be made ({error.strerror or error}); choose another place") from error

    def _open(self) -> None:
        if self._settings.restart:
            self._wipe()
        journal = Journal(self.path)
        if journal.provenance is not None:
            self._compare(journal)
        elif (self.path / "frames").exists():
            raise UsageError(f"{self.path} is damaged: nothing says what its frames were made from; say --restart")
        self.published = journal.published is not None and _is_same(self.output, journal.published)
        self._stored = journal.frames if self.published else list(self._frames.sound(journal.frames))
        self.position = self._states.kind.beginning(0, 0)
        if not (self._settings.partial or self.published):
            self._go_back(journal)
            self._tidy()
        if self._stored and not self.published:
            self._frames.open_for_reading()
        self._last_saved, self._cost = time.monotonic(), 0.0

    def _wipe(self) -> None:
        """The journal goes last: as long as it is there, it says what became of the run."""
        for entry in sorted(self.path.iterdir(), key=lambda entry: entry.name == "journal"):
            if OURS.fullmatch(entry.name):
                entry.unlink()
        self._sweep()

    def _sweep(self) -> None:
        """Take away what was being written when a run was killed."""
        for entry in self.path.iterdir():
            if UNFINISHED.fullmatch(entry.name):
                entry.unlink()

    def _compare(self, journal: Journal) -> None:
        """Refuse to go on with frames of another kind."""
        assert journal.provenance is not None
        found = list(differences(journal.provenance, self._provenance))
        strict = [words for group, words in found if group != ENVIRONMENT]
        there = f"{self.path} holds {len(journal.frames)} frames of a run that was stopped"
        if strict:
            raise UsageError(
                f"{there}, made from something else: {shortened(strict)}; give the same again, or --restart"
            )
        if found and not self._settings.resume_anyway:
            words = shortened([words for _, words in found])
            raise UsageError(f"{there}, made with something else: {words}; say --resume-anyway, or --restart")

    def _go_back(self, journal: Journal) -> None:
        """To the last state, or the last beginning of a shot, after which every frame can be painted again."""
        there = self._stored
        shots = [n for n in range(1, len(there)) if there[n].metadata["shot"] != there[n - 1].metadata["shot"]]
        index = shots[-1] if shots else 0
        position = self._states.kind.beginning(index, there[index - 1].metadata["shot"] if index else 0)
        for entry in reversed(journal.states):
            found = self._states.read(entry) if index < entry["frames"] <= len(there) else None
            if found is not None:
                index, position, self._newest_state = entry["frames"], found, entry
                break
        self.redone = len(journal.frames) - index
        self._stored, self.position = there[:index], position

    def _tidy(self) -> None:
        """The journal without what will be done again, and both files ready for more."""
        self._sweep()
        heading = {"format": FORMAT, "provenance": self._provenance}
        lines: list[dict[str, Any]] = [heading, heading]  # twice: without it every frame would be lost
        lines += [{"frame": frame.as_line()} for frame in self._stored]
        lines += [{"state": self._newest_state}] if self._newest_state else []
        write_log(self.path / "journal", lines)
        self._log = Log(self.path / "journal")
        self._frames.open_for_writing(self._stored)

    def read(self, index: int) -> StylisedFrame:
        """A frame that is there."""
        return self._frames.read(self._stored[index])

    def keep(self, frame: StylisedFrame) -> StylisedFrame:
        """Store the next frame. Returns it as it will be read: what is encoded now is what would be encoded then."""
        assert self._log is not None
        with self._writing():
            stored, as_read = self._frames.append(frame)
            self._log.append({"frame": stored.as_line()})
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
        assert self._log is not None
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
        """``part`` is about to become the output: a run that is killed right after it has nothing left to do."""
        assert self._log is not None
        status = part.stat()
        with self._writing():
            self._log.append({"published": {"inode": status.st_ino, "modified": status.st_mtime_ns}})
            self._log.sync()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A disk that is full or gone, in one line."""
        try:
            yield
        except (OSError, safetensors.SafetensorError) as error:
            words = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise MediaError(
                f"{self.path} could not be written: {words}; {len(self._stored)} frames are finished: make room, and "
                "give the same command again"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        done = kind is None and not self._settings.keep and not self._settings.partial
        self.close(remove=done or not self._stored)

    def close(self, *, remove: bool = False) -> None:
        """Let go of the files, and of the directory itself if it is not needed any more."""
        if self._log is not None:
            self._log.close()
        self._frames.close()
        if remove:
            with contextlib.suppress(OSError):
                self._wipe()
                (self.path / "lock").unlink()
                self.path.rmdir()
        self._lock.close()


def directory_of(output: str | Path) -> Path:
    """``OUT.videostyle``, beside the output."""
    path = Path(output)
    return path.with_name(path.name + ENDING)


def is_published(output: str | Path) -> bool:
    """Whether the output is there, put there by a run that could not take its run directory away any more."""
    published = Journal(directory_of(output)).published
    return published is not None and _is_same(Path(output), published)


def _is_same(output: Path, published: Mapping[str, Any]) -> bool:
    """Moving a file into place leaves its number and its time."""
    try:
        status = output.stat()
    except OSError:
        return False
    return published == {"inode": status.st_ino, "modified": status.st_mtime_ns}
