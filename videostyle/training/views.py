"""Moving views of still pictures: frames whose motion is known exactly, from pictures alone."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

# Copies of a picture at 1, 1/2 and 1/4 of its size: a view that shrinks it reads the nearest one.
LEVELS = 3


class Picture:
    """A picture (1, 3, H, W) float32 RGB in [0, 1], kept as bytes with its smaller copies."""

    def __init__(self, pixels: torch.Tensor) -> None:
        self.height, self.width = pixels.shape[2:]
        sizes = [(max(1, self.height >> k), max(1, self.width >> k)) for k in range(LEVELS)]
        self._levels = [F.interpolate(pixels, size, mode="area").mul(255).round().byte() for size in sizes]

    def level(self, scale: float) -> torch.Tensor:
        """The copy to read where neighbours are ``scale`` pixels apart, float32 in [0, 1]."""
        return self._levels[min(LEVELS - 1, round(math.log2(max(1.0, scale))))].float() / 255


@dataclass(frozen=True)
class Motion:
    """From one frame to the next: ``dx``, ``dy`` in pixels of the frame, ``zoom`` a factor, ``turn`` in radians."""

    dx: float = 0.0
    dy: float = 0.0
    zoom: float = 1.0
    turn: float = 0.0


@dataclass(frozen=True)
class View:
    """A square look at a picture: its pixel u, counted from the middle, shows (``x``, ``y``) + ``scale`` R u there.

    R turns by ``angle`` radians; ``mirrored``: left to right, before that.
    """

    x: float
    y: float
    scale: float
    angle: float = 0.0
    mirrored: bool = False

    @classmethod
    def random(cls, picture: Picture, side: int, rng: np.random.Generator) -> "View":
        """One of ``side`` pixels that shows between that many and all of the picture's shorter side."""
        shorter = min(picture.height, picture.width)
        extent = rng.uniform(min(side, shorter), shorter)
        x, y = (rng.uniform(extent / 2, length - extent / 2) - 0.5 for length in (picture.width, picture.height))
        return cls(x, y, extent / side, 0.0, bool(rng.random() < 0.5))

    def moved(self, motion: Motion) -> "View":
        """The view of the next frame."""
        x, y = self.x + motion.dx * self.scale, self.y + motion.dy * self.scale
        return replace(self, x=x, y=y, scale=self.scale * motion.zoom, angle=self.angle + motion.turn)

    def positions(self, side: int) -> torch.Tensor:
        """(2, side, side): the picture's (x, y) at each of the view's pixels."""
        across, down = _from_middle(side)
        across = -across if self.mirrored else across
        c, s = self.scale * math.cos(self.angle), self.scale * math.sin(self.angle)
        return torch.stack((self.x + c * across - s * down, self.y + s * across + c * down))

    def pixels_at(self, positions: torch.Tensor) -> torch.Tensor:
        """The inverse: from the picture's (x, y), (2, H, W), to the view's pixels, counted from its middle."""
        dx, dy = positions[0] - self.x, positions[1] - self.y
        c, s = math.cos(self.angle) / self.scale, math.sin(self.angle) / self.scale
        across, down = c * dx + s * dy, c * dy - s * dx
        return torch.stack((-across if self.mirrored else across, down))

    def flow_to(self, previous: "View", side: int) -> torch.Tensor:
        """Flow (1, 2, side, side) in pixels, from this view to ``previous``, as `temporal.warp` defines it."""
        return (previous.pixels_at(self.positions(side)) - _from_middle(side))[None]

    def of(self, picture: Picture, side: int) -> torch.Tensor:
        """What it shows, (1, 3, side, side) in [0, 1]; beyond its edges the picture is mirrored."""
        x, y = self.positions(side)
        grid = torch.stack(((2 * x + 1) / picture.width - 1, (2 * y + 1) / picture.height - 1), -1)[None]
        return F.grid_sample(picture.level(self.scale), grid, padding_mode="reflection", align_corners=False)


def _from_middle(side: int) -> torch.Tensor:
    """(2, side, side): (x, y) of every pixel, counted from the middle."""
    u = torch.arange(side) - (side - 1) / 2
    return torch.stack((u.view(1, -1).expand(side, side), u.view(-1, 1).expand(side, side)))
