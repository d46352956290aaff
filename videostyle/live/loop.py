"""The loop of a live session: paint what arrives, show it, hold the rate, measure."""

import statistics
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import torch

from videostyle.frames import Frame, to_array
from videostyle.live.newest import Arrived
from videostyle.live.painter import LivePainter, resized
from videostyle.live.size_control import SizeControl
from videostyle.live.viewers import CLOSED, ESCAPE, Viewer
from videostyle.pipeline.progress import Reporter
from videostyle.pipeline.request import Callbacks

NEXT_KEYS, END_KEYS = (ord("n"), ord(" ")), (ord("q"), ESCAPE, CLOSED)


class Loop:
    """Paints what arrives, shows it to the ``viewers``, and measures. ``frames``: how many will come, if that is known.
    ``seconds``: of frames, after which it ends."""

    def __init__(
        self, painter: LivePainter, callbacks: Callbacks, frames: int | None, seconds: float | None = None
    ) -> None:
        self.painter, self.callbacks = painter, callbacks
        self.device = painter.painters[0].machine.device
        self.viewers: list[Viewer] = []
        self._seconds = seconds
        self._report = Reporter("stylise", frames, callbacks.on_progress)
        self._latencies: list[float] = []
        self._sizes: dict[str, int] = {}
        self._began = self._ended = 0.0

    def run(self, arriving: Iterable[Arrived[Frame]], rate: float | None) -> Iterator[tuple[Frame, torch.Tensor]]:
        """The frames with their pictures, at the frames' own size."""
        control: SizeControl | None = None
        first: Fraction | None = None
        for arrived in arriving:
            began = time.monotonic()
            frame = arrived.item
            first = frame.time_seconds if first is None else first
            control = control or SizeControl(max(frame.size), rate)
            picture = self._paint(frame, control.size, began)
            yield frame, picture
            ends = self._show(picture)
            self._ended = time.monotonic()
            self._began = self._began or began
            self._latencies.append(self._ended - arrived.seconds)
            control.took(self._ended - began)
            self._report.frame(frame)
            over = self._seconds is not None and frame.time_seconds - first >= self._seconds
            if ends or over or (self.callbacks.should_stop and self.callbacks.should_stop()):
                break

    def totals(self, dropped: int) -> dict[str, Any]:
        """What was measured."""
        frames, seconds = len(self._latencies), max(self._ended - self._began, 1e-9)
        ordered = sorted(self._latencies) or [0.0]
        return {
            "frames": frames,
            "seconds": round(seconds, 3),
            "frames_per_second": round(frames / seconds, 2),
            "latency_ms": round(1e3 * statistics.median(ordered), 1),
            "latency_ms_95": round(1e3 * ordered[int(0.95 * (len(ordered) - 1))], 1),
            "dropped": dropped,
            "sizes": self._sizes,
        }

    def _paint(self, frame: Frame, longest: int, now: float) -> torch.Tensor:
        width, height = frame.size
        scale = min(1.0, longest / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        self._sizes[f"{size[0]}x{size[1]}"] = self._sizes.get(f"{size[0]}x{size[1]}", 0) + 1
        pixels = frame.pixels.to(self.device)
        picture = self.painter.paint(resized(pixels, size), now)
        return resized(picture, (width, height)).cpu()

    def _show(self, picture: torch.Tensor) -> bool:
        """Whether a key, or the window that was closed, ends the session."""
        if not self.viewers:
            return False
        array = to_array(picture)
        keys = [viewer.show(array) for viewer in self.viewers]
        for key in keys:
            if key in NEXT_KEYS:
                self.painter.choose((self.painter.current + 1) % len(self.painter.painters), time.monotonic())
            elif ord("1") <= key <= ord("9"):
                self.painter.choose(key - ord("1"), time.monotonic())
        return any(key in END_KEYS for key in keys)
