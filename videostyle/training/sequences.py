"""What a style network is trained on: short sequences of frames, with the network's own last picture moved along."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from videostyle.stylise.network_painter import MOVED_TRUST
from videostyle.temporal.flow import inside
from videostyle.temporal.warp import warp
from videostyle.training.views import Motion, Picture, View

FIRST_SHARE = 0.5  # of the frames that are the first of a sequence
LONGEST = 12  # frames of a sequence
STILL_SHARE = 0.35  # of the sequences, in which nothing moves
SHIFT_PX, ZOOM, TURN = 2.5, 0.01, 0.012  # deviations of a motion, a frame: pixels, logarithm, radians
FLOW_NOISE_PX = 0.15  # deviation of what an estimated flow is off by
HOLES_SHARE = 0.5  # of the frames, in which something comes into view
HOLE_ABOVE = 0.8  # of a smooth field of deviation 1: a fifth of such a frame
CELLS = 5  # a side, of that field and of the flow's error
CAMERA_NOISE = 4 / 255  # the most deviation of the noise in a frame


@dataclass(frozen=True)
class Batch:
    """Frames (N, 3, S, S) in [0, 1], the last pictures at their pixels, and the trust (N, 1, S, S) in those."""

    frame: torch.Tensor
    previous: torch.Tensor
    trust: torch.Tensor


class _Sequence:
    """A view of one picture and its motion."""

    def __init__(self, picture: Picture, side: int, rng: np.random.Generator) -> None:
        self.picture, self.view, self.age = picture, View.random(picture, side, rng), 0
        dx, dy, zoom, turn = rng.normal(0, 1, 4) * bool(rng.random() >= STILL_SHARE)
        self.motion = Motion(SHIFT_PX * dx, SHIFT_PX * dy, float(np.exp(ZOOM * zoom)), TURN * turn)


class Sequences:
    """``count`` sequences of square frames of ``side`` pixels at a time; those that end are replaced.

    ``pictures``: at least one. Draws from ``rng`` and, for noise, from torch's own generator. ``first_share``: of the
    frames, in which nothing is known of another.
    """

    def __init__(self, pictures: Sequence[Picture], count: int, side: int, rng: np.random.Generator) -> None:
        self.pictures, self.side, self.rng = pictures, side, rng
        self.first_share = FIRST_SHARE
        self._running: list[_Sequence | None] = [None] * count
        self._painted = torch.zeros(count, 3, side, side)

    def next(self) -> Batch:
        """A frame of every sequence."""
        made = [self._begin(i) if self._ends(i) else self._follow(i) for i in range(len(self._running))]
        frame, previous, trust = (torch.cat(parts) for parts in zip(*made, strict=True))
        deviation = torch.from_numpy(self.rng.uniform(0, CAMERA_NOISE, len(made))).float().view(-1, 1, 1, 1)
        return Batch((frame + deviation * torch.randn_like(frame)).clamp(0, 1), previous, trust)

    def painted(self, pictures: torch.Tensor) -> None:
        """Take the pictures (N, 3, S, S) that were made of the last batch."""
        self._painted = pictures.detach().cpu()

    def _ends(self, i: int) -> bool:
        running = self._running[i]
        return running is None or running.age >= LONGEST or self.rng.random() < self.first_share

    def _begin(self, i: int) -> tuple[torch.Tensor, ...]:
        picture = self.pictures[int(self.rng.integers(len(self.pictures)))]
        self._running[i] = running = _Sequence(picture, self.side, self.rng)
        frame = running.view.of(picture, self.side)
        return frame, torch.zeros_like(frame), torch.zeros_like(frame[:, :1])

    def _follow(self, i: int) -> tuple[torch.Tensor, ...]:
        running = self._running[i]
        assert running is not None
        before, side = running.view, self.side
        running.view, running.age = before.moved(running.motion), running.age + 1
        frame = running.view.of(running.picture, side)
        if running.motion == Motion():
            previous, seen = self._painted[i : i + 1], torch.ones(1, 1, side, side)
        else:
            flow = running.view.flow_to(before, side)
            seen = MOVED_TRUST * inside(flow)
            previous = warp(self._painted[i : i + 1], flow + FLOW_NOISE_PX * _smooth_noise(2, side)).clamp(0, 1)
        if self.rng.random() < HOLES_SHARE:
            seen = seen * (_smooth_noise(1, side) < HOLE_ABOVE)
        return frame, previous, seen


def _smooth_noise(channels: int, side: int) -> torch.Tensor:
    """(1, channels, side, side) of deviation about 1, smooth over a cell."""
    return F.interpolate(torch.randn(1, channels, CELLS, CELLS), (side, side), mode="bicubic")
