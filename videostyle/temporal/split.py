"""Long shots in parts: where a picture is stillest, a part ends and the next one begins as a shot of its own."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from videostyle.frames import Frame
from videostyle.temporal.cuts import thumbnail

SHORTEST_SHARE = Fraction(1, 4)  # of the longest part that is allowed: no part is shorter


class Motion:
    """How much each frame of a clip differs from the one before, in grey levels, as the frames come."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None

    def of(self, frame: Frame) -> float:
        """0 for the first one."""
        now = thumbnail(frame.pixels).astype(np.int16)
        before, self._before = self._before, now
        return 0.0 if before is None else float(np.abs(now - before).mean())


def stillest_splits(times: Sequence[Fraction], motion: Sequence[float], longest_seconds: float) -> list[int]:
    """Where a shot with frames at these ``times`` (seconds) is split, as indices of frames that begin a part, so that
    none is longer than ``longest_seconds``, where its frames allow that. ``motion``: of each frame to the one before.
    """
    longest, splits = Fraction(longest_seconds), list[int]()
    waiting = [(0, len(times))]
    while waiting:
        first, end = waiting.pop()
        least = longest * SHORTEST_SHARE
        if times[end - 1] - times[first] < longest:
            continue
        begin, last = times[first] + least, times[end - 1] - least
        inside = [n for n in range(first + 1, end) if begin <= times[n] <= last]
        if inside:
            best = min(inside, key=lambda n: (motion[n], n))
            splits.append(best)
            waiting += [(first, best), (best, end)]
    return sorted(splits)
