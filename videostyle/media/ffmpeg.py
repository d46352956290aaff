"""Finding FFmpeg and running processes that neither hang nor outlive us.

Every child of the package goes through `Child` or `run`: its standard error is drained by a thread (a full pipe blocks
FFmpeg after a few hundred lines), it has a time limit wherever we wait for it, and it is killed when its owner closes,
on any exception, and when the interpreter ends.
"""

import atexit
import collections
import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from videostyle.errors import MediaError, StalledError
from videostyle.processes import DETACHED

OLDEST = (5, 1)  # -fps_mode, which keeps timestamps, exists since 5.1
OVERRIDE = "VIDEOSTYLE_FFMPEG"
STALL_SECONDS = 120.0  # a child that delivers nothing for so long while we wait is taken for hung
KEPT_LINES = 40


@dataclass(frozen=True)
class Ffmpeg:
    """A usable FFmpeg: its path and version."""

    path: str
    version: str
    number: tuple[int, int]


def find_ffmpeg() -> Ffmpeg:
    """The ffmpeg named by VIDEOSTYLE_FFMPEG, else the one on PATH if it is 5.1 or newer, else imageio-ffmpeg's.

    Raises MediaError if there is none.
    """
    return _find(os.environ.get(OVERRIDE), os.environ.get("PATH"))


@functools.lru_cache
def _find(override: str | None, path: str | None) -> Ffmpeg:
    if override:
        found = _examine(override)
        if found is None or found.number < OLDEST:
            raise MediaError(f"{OVERRIDE} is {override}, which is not an ffmpeg of version 5.1 or newer")
        return found
    for candidate in (shutil.which("ffmpeg", path=path), bundled()):
        found = _examine(candidate) if candidate else None
        if found and found.number >= OLDEST:
            return found
    raise MediaError("no ffmpeg of version 5.1 or newer was found; install FFmpeg, or `pip install imageio-ffmpeg`")


def bundled() -> str | None:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


def _examine(path: str) -> Ffmpeg | None:
    """What the binary says about itself; None if it does not run or is not ffmpeg."""
    with contextlib.suppress(OSError, MediaError):
        status, out, _ = run([path, "-version"], seconds=20)
        match = re.match(r"ffmpeg version (\S+)", out)
        if status == 0 and match:
            return Ffmpeg(path, match[1], version_number(match[1]))
    return None


def version_number(version: str) -> tuple[int, int]:
    """(major, minor) of FFmpeg's version text; a build from git ("N-1234-gabc") counts as newest."""
    match = re.match(r"n?(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (999, 0)


@functools.lru_cache
def has(ffmpeg: Ffmpeg, kind: str, name: str) -> bool:
    """Whether this build has the encoder (``kind`` "encoders") or filter ("filters") of that name, e.g. libx265."""
    _, out, _ = run([ffmpeg.path, "-hide_banner", f"-{kind}"], seconds=20)
    return re.search(rf"^ *[A-Z.|]{{2,6}} +{re.escape(name)} ", out, re.MULTILINE) is not None


def file_argument(path: Path) -> str:
    """A path as FFmpeg's options take it: absolute, and a file whatever it looks like (`http:x`, `concat:a|b`)."""
    return f"file:{path.absolute()}"


_living: "weakref.WeakSet[Child]" = weakref.WeakSet()


@atexit.register
def _kill_all() -> None:
    for child in list(_living):
        child.close()


class Child:
    """A running process. ``stdin`` and ``stdout`` say which of its pipes we hold; its stderr is always drained.

    ``reads``, ``writes``: open files that it has as its standard input and output instead.
    """

    def __init__(
        self,
        args: Sequence[str],
        *,
        stdin: bool = False,
        stdout: bool = False,
        reads: IO[bytes] | None = None,
        writes: IO[bytes] | None = None,
    ) -> None:
        pipe, none = subprocess.PIPE, subprocess.DEVNULL
        self.expired = False
        self.lines: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
        self.line_count = 0
        # Reading is unbuffered, so a frame is seen as soon as it is there; a raw pipe may write a part only, so
        # writing is buffered, unless both are held.
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            list(args),
            stdin=pipe if stdin else reads or none,
            stdout=pipe if stdout else writes or none,
            stderr=pipe,
            bufsize=-1 if stdin and not stdout else 0,
            **DETACHED,
        )
        for held in (self.process.stdin, self.process.stdout):
            _widen(held)
        _living.add(self)
        self._drain = threading.Thread(target=self._read_stderr, daemon=True)
        self._drain.start()

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            line = raw.decode("utf-8", "replace").strip()
            if line:
                self.lines.append(line)
                self.line_count += 1

    @property
    def last_words(self) -> str:
        """The last line of stderr, without the addresses that FFmpeg prints in front."""
        return clean(self.lines[-1]) if self.lines else "it said nothing"

    @property
    def summary(self) -> str:
        """The first of the last lines that name an error, with the last one: the cause, and what FFmpeg made of it."""
        cause = next((clean(line) for line in self.lines if "rror" in line or "nvalid" in line), self.last_words)
        return cause if cause == self.last_words else f"{cause}; {self.last_words}"

    @contextlib.contextmanager
    def deadline(self, seconds: float = STALL_SECONDS) -> Iterator[None]:
        """Kill the child if the body takes longer; the body then sees a closed pipe, and ``expired`` is set."""
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self.expired = True
        self.process.kill()

    def wait(self, seconds: float = STALL_SECONDS) -> int:
        """Exit status; killed (negative on POSIX, ``expired`` set) if it does not end in time."""
        with self.deadline(seconds):
            status = self.process.wait()
        self._drain.join(5)
        return status

    def close(self) -> None:
        """Kill the child if it still runs and let go of its pipes; may be called again."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._drain.join(5)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with contextlib.suppress(OSError):  # what was still to be flushed has no reader any more
                    pipe.close()
        _living.discard(self)


def _widen(pipe: object) -> None:
    """Give a pipe a megabyte instead of 64 KiB where the system lets us (Linux); a frame is about that size."""
    if pipe is not None and sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)  # type: ignore[call-overload]


def run(args: Sequence[str], *, seconds: float) -> tuple[int, str, str]:
    """Run to the end; (exit status, stdout, stderr). Raises StalledError when it takes longer than ``seconds``."""
    try:
        done = subprocess.run(
            list(args), stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, **DETACHED, check=False
        )
    except subprocess.TimeoutExpired:
        name = os.path.basename(args[0])
        raise StalledError(f"{name} did not finish within {seconds:.0f} s and was stopped") from None
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def clean(line: str) -> str:
    """A line of FFmpeg's log without the `[component @ 0x55d0]` in front."""
    return re.sub(r"^(\[[^]]*@ 0x[0-9a-f]+\] *)+", "", line).strip()
