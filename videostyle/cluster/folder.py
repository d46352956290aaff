"""The folder of a run in shots, ``OUT.videostyle/`` beside an output OUT; all machines must see it.

lock                  held by the process that hands the shots out
plan.json             what the shots are made from, and where each of them is in the clip
shots/                finished shots, and attempts at others (`checkpoint.attempts`)
logs/                 what workers and tasks said
network.safetensors   the style's network, where it has one: the same for all workers
token-XXXXXXXX        there as long as the run goes on: a worker that misses it stops
"""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from videostyle.checkpoint.append_log import Log
from videostyle.checkpoint.journal import Journal
from videostyle.checkpoint.lock import Lock
from videostyle.checkpoint.run_directory import (
    ENVIRONMENT,
    PLAN,
    differences,
    directory_of,
    identity,
    shortened,
    wipe,
)
from videostyle.errors import MediaError, UsageError
from videostyle.files import fingerprint, write_json
from videostyle.pipeline.request import Request
from videostyle.pipeline.shot import Shot
from videostyle.settings import RunSettings
from videostyle.settings.look import as_look
from videostyle.settings.look_file import to_plain

FORMAT = 1


class BusyError(UsageError):
    """Another run holds the folder."""


class ShotsFolder:
    """A context manager that holds the folder of ``output`` for one run.

    ``provenance``: everything that the frames depend on (`run_record.provenance`); UsageError names what differs from
    a plan that is there. ``longest_seconds``: of a shot, where longer ones are split. The folder is removed when the
    body ends without an exception, unless ``settings`` keep it. Raises MediaError too.
    """

    def __init__(
        self,
        output: Path,
        provenance: Mapping[str, Any],
        settings: RunSettings,
        longest_seconds: float | None = None,
    ) -> None:
        self._longest = longest_seconds
        self.path, self.output, self._settings = directory_of(output), output, settings
        self._provenance = _comparable(provenance, longest_seconds)
        self.shots, self.logs = self.path / "shots", self.path / "logs"
        try:
            self._lock = Lock(self.path / "lock")
        except BlockingIOError:
            raise BusyError(f"another run is writing {output}; wait for it, or choose another name") from None
        except OSError as error:
            raise UsageError(f"{self.path} cannot be made ({error.strerror or error}); choose another place") from error
        try:
            self._open()
        except OSError as error:
            self._lock.close()
            raise MediaError(f"{self.path} could not be written: {error.strerror or error}; make room") from error
        except BaseException:
            self._lock.close()
            raise

    def _open(self) -> None:
        if self._settings.restart:
            wipe(self.path)
        journal = Journal(self.path)
        if journal.provenance is not None:
            words = f"{self.path} holds {len(journal.frames)} frames of a run without --workers"
            raise UsageError(f"{words}; leave --workers and --ray out to go on with them, or say --restart")
        self.plan = self._read_plan()
        for old in self.path.glob("token-*"):  # of a run that was killed: its workers, if any are left, stop
            old.unlink()
        self.shots.mkdir(exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        self.token = self.path / f"token-{secrets.token_hex(4)}"
        self.token.write_text(self.token.name, encoding="ascii")

    def _read_plan(self) -> list[Shot] | None:
        found = read_plan(self.output)
        if found is None:
            return None
        refuse_other(self.path, found["provenance"], self._provenance)
        return shots_in(found)

    def keep_plan(self, shots: Sequence[Shot], request: Request, fixed: Request) -> None:
        """Store where the shots are in the clip, what was asked for, and what of it was fixed for workers."""
        self.plan = list(shots)
        content = {"format": FORMAT, "provenance": self._provenance, "asked": asked(request, self._longest)}
        content |= {"settings": asdict(fixed.settings), "media": asdict(fixed.media)}
        write_json(self.path / PLAN, content | {"shots": [_entry(shot) for shot in shots]})

    def stop(self) -> None:
        """Let workers end after the frame that they are at."""
        self.token.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.release(keep=kind is not None or self._settings.keep or self._settings.partial)

    def release(self, *, keep: bool) -> None:
        """Let workers end, and give the folder up; it is removed unless it is to be kept and something is in it."""
        with suppress(OSError):
            self.stop()
            if not (keep and (self.path / PLAN).exists()):
                wipe(self.path)
                (self.path / "lock").unlink()
                self.path.rmdir()
        self._lock.close()


def note_publishing(folder: Path, part: Path) -> None:
    """Note in ``folder``, the output's, that ``part`` is about to become the output: a run that is killed right after
    that has nothing left to do. Raises MediaError."""
    try:
        log = Log(folder / "journal")
        log.append({"published": identity(part)})
        log.sync()
        log.close()
    except OSError as error:
        raise MediaError(f"{folder} could not be written: {error.strerror or error}; make room") from error


def is_visible(path: Path) -> bool:
    """Whether a file is there, also where a file system of the network remembers that it was not."""
    with suppress(OSError):
        return path.exists() or path.name in os.listdir(path.parent)
    return False


def read_plan(output: str | Path) -> dict[str, Any] | None:
    """What `ShotsFolder.keep_plan` stored; None where nothing is. Raises UsageError for a damaged file."""
    path = directory_of(output) / PLAN
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        shots_in(content)
        return content
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error}); say --restart") from error


def shots_in(plan: Mapping[str, Any]) -> list[Shot]:
    """The shots of a plan; none where the clip is painted as a whole."""
    return [_shot(entry) for entry in plan["shots"]]


def is_planned(output: str | Path) -> bool:
    """Whether an earlier run has begun this output shot by shot."""
    plan = read_plan(output)
    return plan is not None and bool(plan["shots"])


def asked(request: Request, longest_seconds: float | None = None) -> dict[str, dict[str, Any]]:
    """A request as it was given, as JSON gives it back. Raises OSError."""
    look = as_look(request.style).with_paths(lambda path: f"{Path(path).name} {fingerprint(Path(path))}")
    settings = {name: value for name, value in asdict(request.settings.with_quality()).items() if name != "memory"}
    media = {name: value for name, value in asdict(request.media).items() if name != "overwrite"}
    source = {"fingerprint": fingerprint(Path(request.source))}
    told = {"source": source, "look": to_plain(look), "setting": settings, "media": media} | _split(longest_seconds)
    return json.loads(json.dumps(told))


def refuse_other(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises UsageError, which names what is not the same."""
    if words := [words for _, words in differences(found, wanted)]:
        there = f"{folder} holds shots of a run that was stopped, made from something else"
        raise UsageError(f"{there}: {shortened(words)}; give the same again, or --restart")


def _comparable(provenance: Mapping[str, Any], longest_seconds: float | None) -> dict[str, Any]:
    """What must be the same on every machine, as JSON gives it back."""
    groups = {group: values for group, values in provenance.items() if group != ENVIRONMENT}
    groups["network"] = {name: value for name, value in groups["network"].items() if name != "precision"}
    return json.loads(json.dumps(groups | _split(longest_seconds)))


def _split(longest_seconds: float | None) -> dict[str, dict[str, float | None]]:
    return {"longest": {"shot": longest_seconds}}


def _entry(shot: Shot) -> list[Any]:
    end = None if shot.end_seconds is None else str(shot.end_seconds)
    return [shot.number, shot.first, shot.frames, str(shot.start_seconds), end, shot.checksum]


def _shot(entry: Sequence[Any]) -> Shot:
    number, first, frames, start, end, checksum = entry
    return Shot(number, first, frames, Fraction(start), None if end is None else Fraction(end), checksum)
