"""Losses on the pixels themselves: the temporal loss and the mean colours, with their gradients."""

import copy
from dataclasses import dataclass

import torch

from videostyle.losses.definitions import colour_loss, outside, temporal_loss


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
