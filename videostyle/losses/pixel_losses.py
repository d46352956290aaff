"""Losses on the pixels themselves: temporal, mean colours, total variation, with their gradients."""

from dataclasses import dataclass

import torch

from videostyle.losses import formulas
from videostyle.losses.layer_loss import with_own_tensors
from videostyle.losses.style import LEAST_GRAIN


@dataclass(frozen=True)
class Prior:
    """A loss on the pixels themselves: ``weight`` times ``value``."""

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
        """A copy with tensors of its own."""
        return with_own_tensors(self)


@dataclass(frozen=True)
class TemporalPrior(Prior):
    """`formulas.temporal_loss`. ``target``: (N, 3, H, W) in [0, 1]; ``mask``: (N, 1, H, W) in [0, 1], 0 switches it
    off."""

    target: torch.Tensor
    mask: torch.Tensor

    def value(self, x: torch.Tensor) -> torch.Tensor:
        return formulas.temporal_loss(x, self.target, self.mask)

    def add_gradient(self, x: torch.Tensor, g: torch.Tensor) -> None:
        g.add_(self.mask * (x - self.target), alpha=2 * self.weight / x[0].numel())


@dataclass(frozen=True)
class ColourPrior(Prior):
    """`formulas.colour_loss`: the mean colour should lie between ``low`` and ``high``, (N or 1, 3, 1, 1)."""

    low: torch.Tensor
    high: torch.Tensor

    def value(self, x: torch.Tensor) -> torch.Tensor:
        return formulas.colour_loss(x, self.low, self.high)

    def add_gradient(self, x: torch.Tensor, g: torch.Tensor) -> None:
        away = formulas.outside(x.mean((2, 3), keepdim=True), self.low, self.high)
        g.add_(away, alpha=2 * self.weight / x[0].numel())


@dataclass(frozen=True)
class GrainPrior(Prior):
    """`formulas.grain_loss`: no more grain than ``most``, (N or 1, 3), the style's own, in brightness or in colour.

    Features hardly see colour that changes from pixel to pixel: the optimiser's steps leave it behind.
    """

    most: torch.Tensor

    def value(self, x: torch.Tensor) -> torch.Tensor:
        return formulas.grain_loss(formulas.grain(x).clamp_min(LEAST_GRAIN), self.most)

    def add_gradient(self, x: torch.Tensor, g: torch.Tensor) -> None:
        there = formulas.grain(x).clamp_min(LEAST_GRAIN)
        slope = 2 * (there / self.most).log().clamp_min(0) / there / formulas.reference_positions(1)
        of_colours = formulas.total_variation_gradient(formulas.opponent(x)) * slope[:, :, None, None]
        g.add_(formulas.from_opponent(of_colours), alpha=self.weight)


@dataclass(frozen=True)
class VariationPrior(Prior):
    """`formulas.total_variation`."""

    def value(self, x: torch.Tensor) -> torch.Tensor:
        return formulas.total_variation(x)

    def add_gradient(self, x: torch.Tensor, g: torch.Tensor) -> None:
        g.add_(formulas.total_variation_gradient(x), alpha=self.weight)
