"""Where a run stands, and how long it will still take."""

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch

from videostyle.frames import Frame, StylisedFrame

# The time left is told from so many frames: enough to level out where a shot begins, few enough to follow the clip.
RECENT_FRAMES = 50


@dataclass(frozen=True)
class Progress:
    """Where a run stands. ``frames`` is the container's own count, an estimate, or None where it does not say."""

    stage: str  # restore, stylise or copy, frame by frame; then encode, verify and publish
    frame: int  # frames finished
    frames: int | None
    evaluation: int = 0  # evaluations of the frame in progress; 0 when it has just been finished
    loss: float = 0.0
    finished: StylisedFrame | None = None
    restored: int = 0  # of the finished frames, those that an earlier run had made
    seconds_left: float | None = None  # until the last frame; None where it cannot be told (yet)


OnProgress = Callable[[Progress], None]


class Reporter:
    """Tells the caller where a run stands, and keeps what finished frames cost (not their pixels, save the first's)."""

    def __init__(
        self, stage: str, frames: int | None, on_progress: OnProgress | None = None, restored: int = 0
    ) -> None:
        self.stage, self.frames, self.on_progress, self.restored = stage, frames, on_progress, restored
        self.count = 0
        self.finished: list[StylisedFrame] = []
        self.first_pixels = torch.empty(0)
        self._seconds: deque[float] = deque(maxlen=RECENT_FRAMES)
        self._began = time.monotonic()

    def evaluation(self, _index: int, evaluation: int, loss: float) -> None:
        """The callback of ``stylise_frames``."""
        self._tell(self.stage, evaluation, loss)

    def frame(self, frame: Frame) -> None:
        """One more is finished."""
        now = time.monotonic()
        self.count += 1
        if self.count > self.restored:
            self._seconds.append(now - self._began)
        self._began = now
        stylised = frame if isinstance(frame, StylisedFrame) else None
        if stylised is not None:
            if self.count == 1:
                self.first_pixels = stylised.pixels
            self.finished.append(stylised.without_pixels())
        stage = "restore" if self.count <= self.restored else self.stage
        self._tell(stage, 0, stylised.loss if stylised else 0.0, stylised)

    def closing(self, stage: str) -> None:
        """All frames are there; what comes now is ``stage``."""
        self._tell(stage, 0, 0.0)

    @property
    def notices(self) -> list[str]:
        """Frames that looked wrong."""
        return [f"frame {f.index}: {f.problem}" for f in self.finished if f.problem]

    def seconds_left(self) -> float | None:
        """By what the last frames took that were painted now; what has been spent on the present one is taken off."""
        if self.frames is None or not self._seconds:
            return None
        mean = statistics.fmean(self._seconds)
        spent = min(time.monotonic() - self._began, mean)
        return max(0.0, mean * (self.frames - self.count) - spent)

    def _tell(self, stage: str, evaluation: int, loss: float, finished: StylisedFrame | None = None) -> None:
        if self.on_progress:
            self.on_progress(
                Progress(stage, self.count, self.frames, evaluation, loss, finished, self.restored, self.seconds_left())
            )
