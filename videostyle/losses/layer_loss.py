"""The interface of a loss on one layer's features; that of a loss on pixels is `Prior`."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeVar

import torch

from videostyle.losses.gram import SecondOrder
from videostyle.networks.backbone import Backbone, LayerReference, layer_stride
from videostyle.networks.tiles import Tile

T = TypeVar("T")
# A loss's weight: one for all pictures of a batch, or (N,).
Weight = float | torch.Tensor
# (features (N, M, C) of a tile's core, gradient from above (N, M, C) or None, the tile) -> that gradient with that of
# the loss added, in place.
AddGradient = Callable[[torch.Tensor, torch.Tensor | None, Tile], torch.Tensor]


@dataclass(frozen=True)
class Collected:
    """What a loss needs of the features of one tile, or of all. ``sums``: add up over the tiles. ``kept``: what its
    gradient needs too, None where it must be computed again, tile by tile."""

    sums: tuple[torch.Tensor, ...]
    kept: tuple[torch.Tensor, ...] | None = None

    def plus(self, other: "Collected") -> "Collected":
        """Of the tiles of both."""
        return Collected(tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)))


@dataclass(frozen=True)
class LayerValue:
    """A loss at given features. ``loss``, reported, and ``minimised``, which differs from it where the loss is
    anchored: (N,), without the weight. ``add_gradient``: adds the gradient of weight times ``minimised``."""

    loss: torch.Tensor
    minimised: torch.Tensor
    add_gradient: AddGradient


class LayerLoss(ABC):
    """A loss on the features of one layer. ``term``: the sum that it belongs to, "content", "style" or "region"."""

    layer: str
    term: str
    weight: Weight

    @abstractmethod
    def collect(self, features: torch.Tensor, tile: Tile) -> Collected:
        """From the network's own ``features`` (N, C, h, w) of the core of ``tile``, channels-last, without scale and
        adapter."""

    @abstractmethod
    def evaluate(self, collected: Collected) -> LayerValue:
        """Of the whole picture, of which all tiles are ``collected``."""

    @abstractmethod
    def tensors(self) -> list[torch.Tensor]:
        """Its tensors that change from frame to frame, in a fixed order."""

    def clone(self) -> Self:
        """A copy with tensors of its own."""
        return with_own_tensors(self)


@dataclass(frozen=True)
class Layer:
    """A layer as losses see it. ``metric``, ``adapter``: the reference's on the device, float32 or better."""

    name: str
    reference: LayerReference
    metric: torch.Tensor | None
    adapter: torch.Tensor | None

    @property
    def stride(self) -> int:
        """Pixels between neighbouring positions."""
        return layer_stride(self.name)

    @classmethod
    def of(cls, backbone: Backbone, name: str, device: torch.device, dtype: torch.dtype) -> "Layer":
        """For features in ``dtype`` on ``device``."""
        reference = backbone.references[name]
        wide = torch.promote_types(dtype, torch.float32)
        both = (None if t is None else t.to(device, wide) for t in (reference.metric(), reference.adapter))
        return cls(name, reference, *both)

    def distance_gradient(self, difference: torch.Tensor) -> torch.Tensor:
        """Q D Q for differences D of Gram matrices, (..., C, C): half the gradient of |A D A'|^2 (`LayerReference`)."""
        return difference if self.metric is None else self.metric @ difference @ self.metric

    def pulled(self, vectors: torch.Tensor) -> torch.Tensor:
        """Q d for differences d of means, (N, C): half the gradient of |A d|^2."""
        return vectors if self.metric is None else vectors @ self.metric

    def adapted(self, statistics: SecondOrder) -> SecondOrder:
        """Those of the reference features s A F, from those of F."""
        a, s = self.adapter, self.reference.scale
        if a is None:
            return SecondOrder(s * statistics.mean, s**2 * statistics.gram)
        return SecondOrder(s * statistics.mean @ a.T, s**2 * (a @ statistics.gram @ a.T))

    def unit(self, like: torch.Tensor) -> torch.Tensor:
        """s^2 A'A, (C, C), which is 1 in the reference features; C as in ``like`` (N, C)."""
        own = torch.eye(like.shape[1], dtype=like.dtype, device=like.device) if self.metric is None else self.metric
        return self.reference.scale**2 * own

    def directions(self, rows: torch.Tensor) -> torch.Tensor:
        """Directions (N, ., C') of the reference features s A F as directions (N, ., C) of F."""
        return self.reference.scale * (rows if self.adapter is None else rows @ self.adapter)


def with_own_tensors(loss: T) -> T:
    """A copy of a loss whose attributes that are tensors are copies too."""
    made = copy.copy(loss)
    vars(made).update({name: t.clone() for name, t in vars(loss).items() if torch.is_tensor(t)})
    return made


def per_sample(weight: Weight, dimensions: int = 2) -> Weight:
    """A weight that multiplies (N, ., .), or as many other ``dimensions``."""
    return weight.view(-1, *[1] * dimensions) if isinstance(weight, torch.Tensor) else weight
