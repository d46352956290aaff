"""Losses on the pixels themselves: temporal, mean colours, total variation, with their gradients."""

import copy
from dataclasses import dataclass

import torch

from videostyle.losses.definitions import (
    colour_loss,
    divergence,
    outside,
    temporal_loss,
    total_variation,
    total_variation_gradient,
)
from videostyle.losses.layer import Weight
from videostyle.losses.style import LEAST_VARIATION, StyleTarget


@dataclass(frozen=True)
class Prior:
    """What is wanted of the pixels themselves, whatever the network sees in them: ``weight`` times ``value``."""

    weight: float

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """Of ``x`` (N, 3, H, W), (N,)."""
        raise NotImplementedError

    def add_gradient(self, x: torch.Tensor, g: torch.Tensor) -> None:
        """Add the gradient of ``weight * value(x)`` to ``g``, shaped like ``x``."""
        raise NotImplementedError

    def tensors(self) -> list[torch.Tensor]:
        """Its own tensors, in a fixed order."""
        return [t for t in vars(self).values() if torch.is_tensor(t)]

    def clone(self) -> "Prior":
        """The same on copies of them."""
        made = copy.copy(self)
        vars(made).update({name: t.clone() for name, t in vars(self).items() if torch.is_tensor(t)})
        return made


@dataclass(frozen=True)
class TemporalPrior(Prior):
    """Where the world held still, so should the picture (see temporal_loss).

    ``target``: (N, 3, H, W) in [0, 1]. ``mask``: (N, 1, H, W) in [0, 1]; a zero mask switches the prior off.
    """

    target: torch.Tensor
    mask: torch.Tensor

    def value(self, x: torch.Tensor) -> torch.Tensor:
        return temporal_loss(x, self.target, self.mask)

    def add_gradient(self, x: torch.Tensor, g: torch.Tensor) -> None:
        g.add_(self.mask * (x - self.target), alpha=2 * self.weight / x[0].numel())


@dataclass(frozen=True)
class ColourPrior(Prior):
    """The mean colour of the picture should lie from ``low`` to ``high``, (N or 1, 3, 1, 1) (see colour_loss)."""

    low: torch.Tensor
    high: torch.Tensor

    def value(self, x: torch.Tensor) -> torch.Tensor:
        return colour_loss(x, self.low, self.high)

    def add_gradient(self, x: torch.Tensor, g: torch.Tensor) -> None:
        g.add_(outside(x.mean((2, 3), keepdim=True), self.low, self.high), alpha=2 * self.weight / x[0].numel())


@dataclass(frozen=True)
class VariationLoss:
    """``smoothing`` V + ``weight`` D(V, style's) of the total variation V, D being `definitions.divergence`.

    Where the style is anchored, k D(V, k-th part of the way from the anchor to the style's) is minimised.
    """

    smoothing: Weight
    weight: Weight
    style: StyleTarget

    def evaluate(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(loss, what is minimised of it, the latter's slope in V), each (N,)."""
        v, k, style = total_variation(x), self.style.anchor_gain, self.style
        loss = minimised = self.smoothing * v
        slope = torch.ones_like(v) * self.smoothing
        if isinstance(self.weight, torch.Tensor) or self.weight:
            rough = v.clamp_min(LEAST_VARIATION)
            loss = loss + self.weight * divergence(rough, style.variation)
            minimised = minimised + k * self.weight * divergence(rough, style.minimised_variation)
            slope = slope + k * self.weight * (rough / style.minimised_variation).log()
        return loss, minimised, slope

    @staticmethod
    def add_gradient(x: torch.Tensor, g: torch.Tensor, slope: torch.Tensor) -> None:
        g.add_(total_variation_gradient(x) * slope.view(-1, 1, 1, 1))
