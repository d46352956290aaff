"""A shot or a clip as a task: plain values in, a finished shot on disk out. Runs in any process of any machine."""

import os
import platform
import re
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from videostyle.cluster.folder import is_visible, note_publishing
from videostyle.device import choose_machine, keep_freed_memory, use_cores
from videostyle.errors import MediaError, StoppedError, UsageError, VideoStyleError
from videostyle.pipeline import run_record
from videostyle.pipeline.job import open_job, open_stylizer
from videostyle.pipeline.join import join_shots, parts_of
from videostyle.pipeline.request import Request, Result
from videostyle.pipeline.shot import Shot, WholeClip, stylise_shot
from videostyle.settings import Settings
from videostyle.settings.look import as_look
from videostyle.stylise.memory import GIB, memory_bytes
from videostyle.temporal.flow import use_threads


@dataclass(frozen=True)
class Told:
    """What the run record says of a request that was fixed for the workers (`prepare.fixed`)."""

    settings: dict[str, Any]
    media: dict[str, Any]
    backbone: dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A shot of a request's clip, or all of it. Paths are absolute, on a folder that all machines see.

    ``told``: of a whole clip, which is encoded too. ``threads``: of torch, OpenCV and FFmpeg; None: as they are.
    ``memory_gib``: what this task may take, where the settings do not say; None: ``memory_share`` of what one process
    could take on its device. ``parent``: the process on the same machine that the task ends with.
    """

    shot: Shot
    request: Request
    shots: Path
    logs: Path
    token: Path
    told: Told | None = None
    threads: int | None = None
    memory_gib: float | None = None
    memory_share: float = 1.0
    parent: int | None = None

    @property
    def label(self) -> str:
        """In words."""
        clip, begin = Path(self.request.source).name, float(self.shot.start_seconds)
        return clip if isinstance(self.shot, WholeClip) else f"shot {self.shot.number} of {clip} (from {begin:.2f} s)"

    @property
    def log(self) -> Path:
        """Where a failure is told in full."""
        return self.logs / f"{self.shot.name}.log"

    def should_stop(self) -> bool:
        return not self.token.exists() or (self.parent is not None and os.getppid() != self.parent)


@dataclass(frozen=True)
class Outcome:
    """What became of a task: nothing to say, or a problem in words. ``again``: another attempt may do better."""

    node: str
    problem: str = ""
    again: bool = False
    stopped: bool = False
    result: Result | None = None  # of a whole clip


def node_name() -> str:
    """This machine's, for people."""
    return platform.node() or "this machine"


def carry_out(task: Task, node: str | None = None) -> Outcome:
    """Paint what the task says; it is on the disk then, or the outcome tells why not. Raises nothing of its own."""
    node = node or node_name()
    try:
        check_folder(task.token)
        check_files(task.request)
        _write_log(task, f"begun on {node}, process {os.getpid()}")
        return Outcome(node, result=_paint(task, node))
    except StoppedError:
        return Outcome(node, stopped=True)
    except Exception as error:
        known = isinstance(error, VideoStyleError)
        _write_log(task, f"failed on {node}\n{traceback.format_exc()}")
        words = str(error) if known else f"{type(error).__name__}: {error}".splitlines()[0]
        return Outcome(node, words, again=not isinstance(error, UsageError))


def check_folder(token: Path) -> None:
    """Raises StoppedError for a run that has ended, MediaError where this machine does not see the run's folder."""
    if not token.parent.is_dir():
        raise MediaError(
            f"{token.parent} is not there on {node_name()}; name an output in a folder that all nodes share"
        )
    if not is_visible(token):
        raise StoppedError("the run has ended")


def files_of(request: Request) -> list[str]:
    """Absolute paths of the files, and folders of files, that a request is painted from."""
    settings = request.settings
    named = [str(request.source), *as_look(request.style).paths, *settings.start_pictures]
    named += [path for path in (settings.weights, settings.network) if path is not None]
    return list(dict.fromkeys(str(Path(path).absolute()) for path in named))


def unseen(files: Iterable[str]) -> str:
    """The first of these files that is not there, empty where all are."""
    return next((file for file in files if not is_visible(Path(file))), "")


def check_files(request: Request) -> None:
    """Raises MediaError where this machine does not see what a request is painted from: another one may."""
    if file := unseen(files_of(request)):
        raise MediaError(f"{file} is not there on {node_name()}; put it in a folder that all nodes share")


def _paint(task: Task, node: str) -> Result | None:
    began = time.perf_counter()
    keep_freed_memory()
    if task.threads is not None:  # workers are reused, and Ray sets OMP_NUM_THREADS for the first task alone
        use_cores(task.threads)
        use_threads(task.threads)
    request = replace(task.request, settings=_with_memory(task))
    stylise_shot(task.shot, request, task.shots, task.should_stop, node)
    return None if task.told is None else _encode(task, request, task.told, began)


def _with_memory(task: Task) -> Settings:
    settings, gib = task.request.settings, task.memory_gib
    if gib is None:
        allowed = memory_bytes(settings, choose_machine(settings).device)
        gib = None if allowed is None else task.memory_share * allowed / GIB
    return settings if settings.memory is not None else settings.replace(memory=gib)


def _encode(task: Task, request: Request, told: Told, began: float) -> Result:
    """The output of a whole clip."""
    job = open_job(request)
    known = job.size, None, job.info, job.media, job.expected_frames
    stylizer = open_stylizer(request.style, request.settings, *known)
    look = as_look(request.style)
    heading = run_record.heading(stylizer, job.media, source=job.info.path.name, look=look)
    told_backbone = heading["backbone"] | told.backbone
    heading |= {"settings": told.settings, "media": told.media, "backbone": told_backbone}
    parts = parts_of([task.shot], task.shots)
    device = choose_machine(request.settings).device
    return join_shots(job, request, device, heading, parts, None, partial(note_publishing, task.shots.parent), began)


def _write_log(task: Task, words: str) -> None:
    with suppress(OSError), task.log.open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%F %T')} {task.label} {words}\n")


def last_node(task: Task) -> str:
    """Where a task was begun the last time, by its log: nothing else is left of a machine that has died."""
    with suppress(OSError):
        found = re.findall(r" begun on (.+), process \d+$", task.log.read_text(encoding="utf-8"), re.M)
        return found[-1] if found else ""
    return ""
