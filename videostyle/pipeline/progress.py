"""Where a run stands, and how long it will still take."""

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from videostyle.frames import Frame, StylisedFrame

LOG = logging.getLogger(__name__)
RECENT_FRAMES = 50  # from which the time left is told: a shot's slow first frame is averaged out


@dataclass(frozen=True)
class Progress:
    """Where a run stands. ``frames``: the container's own count, an estimate; None where it has none."""

    # mask (carried to other frames), carry back (from given frames), choose, restore, stylise, copy or pipe, frame by
    # frame; then encode, verify, publish
    stage: str
    frame: int  # frames finished
    frames: int | None
    evaluation: int = 0  # evaluations of the frame in progress; 0 when it has just been finished
    loss: float = 0.0
    finished: StylisedFrame | None = None
    restored: int = 0  # of the finished frames, those that an earlier run had made
    seconds_left: float | None = None  # until the last frame; None where it cannot be told (yet)
    for_frames: int | None = None  # of the clip that waits for a training

    def plain(self) -> dict[str, Any]:
        """The object that ``--progress json`` prints."""
        content = {name: getattr(self, name) for name in ("stage", "frame", "frames", "restored", "evaluation")}
        left = None if self.seconds_left is None else round(self.seconds_left, 1)
        return content | {"loss": self.loss or None, "seconds_left": left}


OnProgress = Callable[[Progress], None]


def log_notices(notices: Iterable[str]) -> None:
    """Tell programs that listen to the logger ``videostyle`` what a careful user wants to know."""
    for notice in notices:
        LOG.warning("%s", notice)


class Reporter:
    """Tells the caller where a run stands, and keeps what finished frames cost, with the pixels of the first alone.

    ``keep_all``: else only of frames that looked wrong.
    """

    def __init__(
        self,
        stage: str,
        frames: int | None,
        on_progress: OnProgress | None = None,
        restored: int = 0,
        keep_all: bool = True,
    ) -> None:
        self.stage, self.frames, self.on_progress, self.restored = stage, frames, on_progress, restored
        self.count, self._keep_all = 0, keep_all
        self.finished: list[StylisedFrame] = []
        self.first_pixels = torch.empty(0)
        self._seconds: deque[float] = deque(maxlen=RECENT_FRAMES)
        self._began = time.monotonic()

    def evaluation(self, _index: int, evaluation: int, loss: float) -> None:
        """The callback of ``stylise_frames``."""
        self._tell(self.stage, evaluation, loss)

    def frame(self, frame: Frame) -> None:
        """Take note of one more finished frame."""
        now = time.monotonic()
        self.count += 1
        if self.count > self.restored:
            self._seconds.append(now - self._began)
        self._began = now
        stylised = frame if isinstance(frame, StylisedFrame) else None
        if stylised is not None:
            if self.count == 1:
                self.first_pixels = stylised.pixels
            if stylised.problem:
                log_notices([f"frame {stylised.index}: {stylised.problem}"])
            if self._keep_all or stylised.problem:
                self.finished.append(stylised.without_pixels())
        stage = "restore" if self.count <= self.restored else self.stage
        self._tell(stage, 0, stylised.loss if stylised else 0.0, stylised)

    def closing(self, stage: str) -> None:
        """Tell that all frames are there and ``stage`` begins."""
        self._tell(stage, 0, 0.0)

    @property
    def notices(self) -> list[str]:
        """Frames that looked wrong."""
        return [f"frame {f.index}: {f.problem}" for f in self.finished if f.problem]

    def seconds_left(self) -> float | None:
        """By the mean of the last frames that were not restored, less what has been spent on the present one."""
        if self.frames is None or not self._seconds:
            return None
        mean = statistics.fmean(self._seconds)
        spent = min(time.monotonic() - self._began, mean)
        return max(0.0, mean * (self.frames - self.count) - spent)

    def _tell(self, stage: str, evaluation: int, loss: float, finished: StylisedFrame | None = None) -> None:
        if self.on_progress:
            count, left = self.count, self.seconds_left()
            self.on_progress(Progress(stage, count, self.frames, evaluation, loss, finished, self.restored, left))
