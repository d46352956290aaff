"""The content loss: features of the picture against those of the content."""

from functools import partial

import torch

from videostyle.losses.formulas import reference_positions
from videostyle.losses.gram import dot, positions_by_channels, square
from videostyle.losses.layer_loss import Collected, Layer, LayerLoss, LayerValue, Weight, per_sample
from videostyle.networks.backbone import layer_stride
from videostyle.networks.feature_extractor import Activations, FeatureExtractor
from videostyle.networks.tiles import Tile


class ContentTarget:
    """Features of a content picture, (N, C, H, W) by layer: computed once per frame.

    ``activations``: the picture's, if known.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        picture: torch.Tensor,
        layers: tuple[str, ...],
        activations: Activations | None = None,
    ) -> None:
        self.features: dict[str, torch.Tensor] = {}
        for tile in extractor.tiles(picture.shape[2:]):
            self._take(activations or extractor.forward(tile.seen(picture), layers), layers, tile)

    def _take(self, activations: Activations, layers: tuple[str, ...], tile: Tile) -> None:
        """The features of one tile."""
        for name in layers:
            stride, of_tile = layer_stride(name), activations[name]
            if tile.is_whole:
                self.features[name] = of_tile
                continue
            if name not in self.features:
                whole = of_tile.new_empty(*of_tile.shape[:2], *tile.size(stride))
                self.features[name] = whole.contiguous(memory_format=torch.channels_last)
            tile.owned(self.features[name], stride).copy_(tile.core(of_tile, stride))

    @classmethod
    def of(cls, features: dict[str, torch.Tensor]) -> "ContentTarget":
        """From the features themselves."""
        target = cls.__new__(cls)
        target.features = features
        return target


class ContentLoss(LayerLoss):
    """``formulas.content_loss`` of one layer; ``target``: P, (N, C, H, W). Collects 1/2 |F - P|^2 and keeps F - P."""

    term = "content"

    def __init__(self, layer: Layer, target: torch.Tensor, weight: Weight) -> None:
        self.layer, self.weight, self.target, self._layer = layer.name, weight, target, layer
        positions = target.shape[2] * target.shape[3]
        self._factor = layer.reference.scale**2 * reference_positions(layer.stride) / positions

    def collect(self, features: torch.Tensor, tile: Tile) -> Collected:
        flat, slope = self._away(positions_by_channels(features), tile)
        loss = 0.5 * self._factor * (square(flat) if self._layer.metric is None else dot(flat, slope))
        return Collected((loss,), (slope,))

    def evaluate(self, collected: Collected) -> LayerValue:
        (loss,) = collected.sums
        return LayerValue(loss, loss, partial(self._add_gradient, collected.kept))

    def _away(self, flat: torch.Tensor, tile: Tile) -> tuple[torch.Tensor, torch.Tensor]:
        """(F - P, the slope of its square's half) for the features (N, M, C) of the core of ``tile``."""
        away = flat - positions_by_channels(tile.owned(self.target, self._layer.stride))
        q = self._layer.metric
        return away, away if q is None else away @ q.to(flat.dtype)

    def _add_gradient(
        self, kept: tuple[torch.Tensor, ...] | None, flat: torch.Tensor, g: torch.Tensor | None, tile: Tile
    ) -> torch.Tensor:
        slope = self._away(flat, tile)[1] if kept is None else kept[0]
        factor: Weight = self.weight * self._factor
        if isinstance(factor, torch.Tensor):
            slope, factor = (slope * per_sample(factor)).to(slope.dtype), 1.0
        return slope * factor if g is None else g.add_(slope, alpha=factor)

    def tensors(self) -> list[torch.Tensor]:
        return [self.target]
