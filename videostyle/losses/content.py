"""The content loss: features of the picture against those of the content."""

from functools import partial

import torch

from videostyle.losses.formulas import reference_positions
from videostyle.losses.gram import dot, positions_by_channels, square
from videostyle.losses.layer_loss import Layer, LayerLoss, LayerValue, Weight, per_sample
from videostyle.networks.backbone import layer_stride
from videostyle.networks.feature_extractor import FeatureExtractor


class ContentTarget:
    """Features of a content picture, (N, C, H, W) by layer: computed once per frame."""

    def __init__(self, extractor: FeatureExtractor, picture: torch.Tensor, layers: tuple[str, ...]) -> None:
        activations = extractor.forward(picture, layers)
        self.features = {name: activations[name] for name in layers}

    @classmethod
    def of(cls, features: dict[str, torch.Tensor]) -> "ContentTarget":
        """From the features themselves."""
        target = cls.__new__(cls)
        target.features = features
        return target


class ContentLoss(LayerLoss):
    """``formulas.content_loss`` of one layer; ``target``: P, (N, C, H, W)."""

    term = "content"

    def __init__(self, layer: Layer, target: torch.Tensor, weight: Weight) -> None:
        self.layer, self.weight, self.target, self._layer = layer.name, weight, target, layer
        self._factor = layer.reference.scale**2 * reference_positions(layer_stride(layer.name))

    def evaluate(self, features: torch.Tensor) -> LayerValue:
        factor = self._factor / (features.shape[2] * features.shape[3])
        flat, q = positions_by_channels(features - self.target), self._layer.metric
        slope = flat if q is None else flat @ q.to(flat.dtype)
        loss = 0.5 * factor * (square(flat) if q is None else dot(flat, slope))
        return LayerValue(loss, loss, partial(_add, slope, self.weight * factor))

    def tensors(self) -> list[torch.Tensor]:
        return [self.target]


def _add(slope: torch.Tensor, factor: Weight, _flat: torch.Tensor, g: torch.Tensor | None) -> torch.Tensor:
    """g + factor (F - P)."""
    if isinstance(factor, torch.Tensor):
        slope, factor = (slope * per_sample(factor)).to(slope.dtype), 1.0
    return slope * factor if g is None else g.add_(slope, alpha=factor)
