"""Which size a machine can paint at the frame rate that is asked for."""

import math

STEP_PX = 32  # of the longer side
SMALLEST_PX = 160
USED = 0.9  # of a frame's time that painting may take
GROWS_BELOW = 0.75  # of that: a size that only just fits would be left again
FRAMES = 12  # between two changes: the first ones at a new size take longer
MEMORY = 0.8  # share of what was known of a frame's time that is kept with each new one


class SizeControl:
    """The longer side, in pixels, at most ``largest``, of the next frame. ``rate``: frames a second; None: as large as
    may be."""

    def __init__(self, largest: int, rate: float | None) -> None:
        self.largest, self.size = largest, largest
        self._budget = USED / rate if rate else None
        self._seconds: float | None = None
        self._frames = 0

    def took(self, seconds: float) -> None:
        """Take note of what a frame cost."""
        self._frames += 1
        if self._frames <= FRAMES // 2:  # of this size: the first ones choose kernels
            return
        self._seconds = seconds if self._seconds is None else MEMORY * self._seconds + (1 - MEMORY) * seconds
        if self._frames >= FRAMES:
            self._choose()

    def _choose(self) -> None:
        """The largest size whose cost, in proportion to its pixels, fits."""
        if self._budget is None or self._seconds is None:
            return
        fits = self.size * math.sqrt(self._budget / max(self._seconds, 1e-6))
        grown = fits * math.sqrt(GROWS_BELOW)
        if fits >= self.size and grown < self.size + STEP_PX:
            return
        wanted = fits if fits < self.size else grown
        size = int(min(self.largest, max(SMALLEST_PX, wanted // STEP_PX * STEP_PX)))
        if size != self.size:
            self.size, self._seconds, self._frames = size, None, 0
