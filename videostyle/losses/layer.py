"""What a loss on one layer's features is: content, a style statistic, another one. Its twin for pixels is `Prior`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from videostyle.networks.backbone import Backbone, LayerReference

# A loss's weight: one for all pictures of a batch, or one each, (N,).
Weight = float | torch.Tensor
# (features (N, M, C), gradient from above (N, M, C) or None) -> that gradient with the loss's own added, in place.
AddGradient = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]


@dataclass(frozen=True)
class LayerValue:
    """A loss at some features. ``loss`` and ``minimised``: (N,), without the weight.

    ``loss`` is reported. ``minimised`` is what the gradient belongs to: the same, unless the loss is anchored.
    ``add_gradient``: adds the gradient of weight times ``minimised``.
    """

    loss: torch.Tensor
    minimised: torch.Tensor
    add_gradient: AddGradient


class LayerLoss(Protocol):
    """A loss on the features of one layer. ``term``: the sum that it belongs to, "content", "style" or "region"."""

    @property
    def layer(self) -> str: ...

    @property
    def term(self) -> str: ...

    @property
    def weight(self) -> Weight: ...

    def evaluate(self, features: torch.Tensor) -> LayerValue:
        """Of ``features`` (N, C, H, W), channels-last, of the network itself (not the nominal ones)."""

    def tensors(self) -> list[torch.Tensor]:
        """Everything that changes from frame to frame, in a fixed order."""

    def clone(self) -> "LayerLoss":
        """The same on copies of its tensors."""


@dataclass(frozen=True)
class Layer:
    """A layer as losses see it: ``reference``: what its features stand for, ``metric``: Q of ``reference.metric()``."""

    name: str
    reference: LayerReference
    metric: torch.Tensor | None

    @classmethod
    def of(cls, backbone: Backbone, name: str, device: torch.device, dtype: torch.dtype) -> "Layer":
        """Ready for features in ``dtype`` on ``device``; the metric is float32 or better."""
        reference = backbone.references[name]
        metric = reference.metric()
        wide = torch.promote_types(dtype, torch.float32)
        return cls(name, reference, None if metric is None else metric.to(device, wide))

    def distance_gradient(self, difference: torch.Tensor) -> torch.Tensor:
        """Q D Q for differences D of Gram matrices (..., C, C): half the gradient of the nominal |D|^2."""
        return difference if self.metric is None else self.metric @ difference @ self.metric


def per_sample(weight: Weight) -> Weight:
    """A weight that multiplies (N, ., .)."""
    return weight.view(-1, 1, 1) if isinstance(weight, torch.Tensor) else weight
