"""A picture in tiles: the pixels that each owns, and those that it must see for the features of its own.

The features of a tile's core are those of the whole picture: what zero padding does at the tile's inner edges does not
reach them, and where the picture ends the tile ends too.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch


@dataclass(frozen=True)
class Span:
    """One side of a tile, in pixels of a picture's side ``whole``: it owns ``begin`` to ``end``, its core, and sees
    ``first`` to ``last``, the core with its halo."""

    first: int
    begin: int
    end: int
    last: int
    whole: int

    def owned(self, stride: int = 1) -> slice:
        """The core's positions of a layer of the whole picture."""
        return slice(self.begin // stride, self.end // stride)

    def core(self, stride: int = 1) -> slice:
        """The same positions of that layer of the tile."""
        return slice((self.begin - self.first) // stride, (self.end - self.first) // stride)

    def share(self, stride: int) -> float:
        """That of the core among the positions of a layer of the whole picture."""
        owned = self.owned(stride)
        return (owned.stop - owned.start) / (self.whole // stride)


@dataclass(frozen=True)
class Tile:
    """A rectangle of a picture. ``stride``: that of the layer whose features (N, C, h, w) are meant, 1 for pixels."""

    rows: Span
    columns: Span

    @property
    def is_whole(self) -> bool:
        """Whether it is the only one."""
        return all(span.begin == 0 and span.end == span.whole for span in (self.rows, self.columns))

    def seen(self, picture: torch.Tensor) -> torch.Tensor:
        """The pixels that go through the network, a view of the picture (N, C, H, W)."""
        return picture[..., self.rows.first : self.rows.last, self.columns.first : self.columns.last]

    def owned(self, features: torch.Tensor, stride: int = 1) -> torch.Tensor:
        """The core's part of the whole picture's features, a view."""
        return features[..., self.rows.owned(stride), self.columns.owned(stride)]

    def core(self, features: torch.Tensor, stride: int = 1) -> torch.Tensor:
        """The core's part of the tile's features, a view."""
        return features[..., self.rows.core(stride), self.columns.core(stride)]

    def core_features(self, features: torch.Tensor, stride: int) -> torch.Tensor:
        """The core's part of the tile's features, channels-last: the features themselves where it is all of them."""
        return self.core(features, stride).contiguous(memory_format=torch.channels_last)

    def size(self, stride: int) -> tuple[int, int]:
        """(h, w) of the whole picture's layer."""
        return self.rows.whole // stride, self.columns.whole // stride

    def positions(self, stride: int) -> int:
        """Those of the whole picture's layer."""
        return math.prod(self.size(stride))

    def share(self, stride: int) -> float:
        """That of the core among them."""
        return self.rows.share(stride) * self.columns.share(stride)


def tiles(height: int, width: int, side: int, stride: int, halo: int) -> list[Tile]:
    """Tiles whose cores cover a picture, each once, all but the last of a row or column of the same size.

    ``side``: of a core, in pixels, at most; the last may have ``stride`` - 1 pixels more, where the layers have no
    position. ``stride``: the deepest layer's, which divides where cores begin; ``halo`` is a multiple of it.
    """
    rows, columns = (_spans(length, side, stride, halo) for length in (height, width))
    return [Tile(of_rows, of_columns) for of_rows in rows for of_columns in columns]


def _spans(whole: int, side: int, stride: int, halo: int) -> list[Span]:
    """As equal as multiples of ``stride`` can be."""
    positions = whole // stride
    count = -(-positions // max(1, side // stride))
    step = -(-positions // count) * stride
    edges = [*range(0, positions * stride, step), whole]
    return [Span(max(0, a - halo), a, b, min(whole, b + halo), whole) for a, b in pairwise(edges)]
