"""A process that paints for another one, which needs no torch then, and keeps its networks warm.

Messages are lines of JSON. In: ``number``, ``do`` and what that needs. Out: the same ``number`` with ``event``s, then
one ``result`` or ``error``. It ends when its input does, as soon as the frame in progress is kept.
"""

import json
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from videostyle.checkpoint.lock import Lock
from videostyle.device import keep_freed_memory
from videostyle.errors import StoppedError, VideoStyleError
from videostyle.media.still import shrink, write_glimpse
from videostyle.pipeline.facts import facts_of, frame_at
from videostyle.pipeline.preview_painter import QUICK_EVALUATIONS, FrameRequest, PreviewPainter
from videostyle.pipeline.progress import Progress
from videostyle.pipeline.request import Callbacks, Request
from videostyle.pipeline.run import run
from videostyle.settings import MediaSettings, RunSettings, Settings
from videostyle.settings.look_file import from_plain

SHOW_SECONDS, TELL_SECONDS = 0.15, 1.0  # between two pictures of a preview, between two objects about one frame
LAST_SECONDS = 30.0  # that a frame in progress may take when the server is gone
SHOWN_SIZE = 960  # longer side of the pictures that are only looked at, in pixels


class SupersededError(Exception):
    """Another preview is wanted."""


class Worker:
    """Carries out messages: previews and runs in the main thread, a preview within a run's evaluations."""

    def __init__(self, folder: Path, out: Any) -> None:
        self._folder, self._out, self._writing = folder, out, threading.Lock()
        self._wake, self._ended, self._stopped = threading.Condition(), False, -1
        self._preview: dict[str, Any] | None = None
        self._runs: deque[dict[str, Any]] = deque()
        self._aside: queue.Queue[dict[str, Any]] = queue.Queue()
        self._painter = PreviewPainter()
        self._lock: Lock | None = None

    def say(self, number: int, **content: Any) -> None:
        with self._writing:
            self._out.write(json.dumps({"number": number} | content) + "\n")
            self._out.flush()

    def read(self, lines: Iterable[str]) -> None:
        """Take messages until there are no more: then nobody is left to paint for."""
        for line in lines:
            message = json.loads(line)
            with self._wake:
                match message["do"]:
                    case "preview":
                        superseded, self._preview = self._preview, message
                        if superseded is not None:
                            self.say(superseded["number"], result={"superseded": True})
                    case "run":
                        self._runs.append(message)
                    case "stop":
                        self._stopped = message["run"]
                    case _:
                        self._aside.put(message)
                self._wake.notify()
        with self._wake:
            self._ended = True
            self._wake.notify()
        threading.Timer(LAST_SECONDS, os._exit, [1]).start()

    def look_aside(self) -> None:
        """Answer what needs no painting, beside it."""
        while True:
            asked = self._aside.get()
            path = Path(asked["path"])
            try:
                if asked["do"] == "facts":
                    self.say(asked["number"], result=facts_of(path))
                else:
                    frame = frame_at(path, asked["at"], asked["size"])
                    write_glimpse(Path(asked["to"]), frame.pixels)
                    self.say(asked["number"], result={"seconds": float(frame.time_seconds)})
            except Exception as error:
                self._fail(asked, error)

    def work(self) -> None:
        """Paint whatever is asked for, previews first, until the input ends."""
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._preview or self._runs or self._ended)
                if self._ended:
                    return
                asked = None if self._preview else self._runs.popleft()
            if asked is None:
                self._paint_preview(quick_only=False)
            else:
                self._run(asked)

    def _paint_preview(self, quick_only: bool) -> None:
        with self._wake:
            asked, self._preview = self._preview, None
        assert asked is not None
        try:
            look, settings = from_plain(asked["look"])
            named = Path(asked["path"]), asked["at"], asked["size"]
            request = FrameRequest(*named, look, Settings(**settings))
            self._show_passes(asked, request, [True] if quick_only or asked.get("quick") else [True, False])
            self.say(asked["number"], result={})
        except SupersededError:
            self.say(asked["number"], result={"superseded": True})
        except Exception as error:
            self._fail(asked, error)

    def _show_passes(self, asked: dict[str, Any], request: FrameRequest, passes: list[bool]) -> None:
        """A quick painting, then the one that a run makes, which is shown once it has gone further."""
        shown, last = 0, 0.0

        def show(pixels: torch.Tensor, stage: str) -> None:
            nonlocal shown, last
            write_glimpse(Path(asked["to"]), pixels.cpu().clamp(0, 1))
            shown, last = shown + 1, time.monotonic()
            self.say(asked["number"], event={"picture": shown, "stage": stage})

        def go_on() -> None:
            if self._preview is not None or self._ended:
                raise SupersededError

        def on_mask(done: int, _total: int | None) -> None:
            nonlocal last
            go_on()
            if time.monotonic() - last >= TELL_SECONDS:
                last = time.monotonic()
                self.say(asked["number"], event={"stage": "mask", "frame": done})

        for quick in passes:
            full = 0

            def on_picture(pixels: torch.Tensor, quick: bool = quick) -> None:
                nonlocal full
                go_on()
                full += max(pixels.shape[2:]) >= min(request.size, SHOWN_SIZE)
                if time.monotonic() - last >= SHOW_SECONDS and (quick or full > QUICK_EVALUATIONS):
                    show(pixels, "emerging")

            frame = self._painter.paint(request, on_picture, on_mask, quick=quick)
            show(frame.pixels, "quick" if quick else "finished")

    def _run(self, asked: dict[str, Any]) -> None:
        number, told, stage = asked["number"], -TELL_SECONDS, ""

        def on_progress(progress: Progress) -> None:
            nonlocal told, stage
            if self._preview is not None:
                self._paint_preview(quick_only=True)
            now, frame = time.monotonic(), progress.finished
            if frame is None and progress.stage == stage and now - told < TELL_SECONDS:
                return
            told, stage = now, progress.stage
            picture = frame is not None and stage != "restore"
            if frame is not None and picture:
                write_glimpse(Path(asked["shown"]), shrink(frame.pixels.cpu(), SHOWN_SIZE))
            at = None if frame is None else float(frame.time_seconds)
            self.say(number, event=progress.plain() | {"picture": picture, "at": at})

        try:
            self._lock = self._lock or self._only_one()
            look, settings = from_plain(asked["look"])
            media = MediaSettings.from_mapping(asked["media"] | {"overwrite": True})
            given = Settings(**settings), media, RunSettings(partial=asked["partial"], resume_anyway=True)
            request = Request(asked["kind"], asked["path"], look, asked["output"], *given, asked["record"])
            callbacks = Callbacks(on_progress, should_stop=lambda: self._ended or self._stopped == number)
            result = run(request, callbacks)
            self.say(number, result={"frames": result.frames, "notices": result.notices})
        except StoppedError:
            self.say(number, result={"stopped": True})
        except Exception as error:
            self._fail(asked, error)

    def _only_one(self) -> Lock:
        """Held by the worker that runs; one whose server is gone keeps its last frame first."""
        while True:
            try:
                return Lock(self._folder / "worker.lock")
            except BlockingIOError:
                time.sleep(0.2)

    def _fail(self, asked: dict[str, Any], error: Exception) -> None:
        """``spoken`` in a message: what is said in the place of paths that its reader has never seen."""
        expected = isinstance(error, VideoStyleError)
        words = str(error) if expected else f"{type(error).__name__}: {error}"
        for path, name in asked.get("spoken", {}).items():
            words = words.replace(path, name)
        self.say(asked["number"], error=" ".join(words.split()), expected=expected)


def main() -> None:
    """Serve the process that started this one. Whatever a library prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    keep_freed_memory()
    worker = Worker(Path(sys.argv[1]), out)
    for work in (lambda: worker.read(sys.stdin), worker.look_aside):
        threading.Thread(target=work, daemon=True).start()
    worker.work()
    os._exit(0)  # helpers in threads have nothing left to do


if __name__ == "__main__":
    main()
