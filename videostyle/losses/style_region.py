"""The style loss of one region of the picture: an area that has a style of its own, or pixels that lack paint."""

from functools import partial

import torch

from videostyle.losses.gram import SecondOrder, positions_by_channels, weighted_sums
from videostyle.losses.layer_loss import Collected, Layer, LayerLoss, LayerValue
from videostyle.losses.statistics import GramDistance
from videostyle.losses.style import StyleTarget, anchored
from videostyle.networks.tiles import Tile

# Weight of a repaired region's style loss beside the picture's: its Gram matrix is noisy, and at 1 the rest of the
# picture pays.
REGION_WEIGHT = 0.1


class RegionStyleLoss(LayerLoss):
    """w_l E_l of the statistics of a soft mask's pixels, times ``share`` and the mean of the mask, anchored if
    ``style`` is; w_l = 1 / ``layers``.

    ``position_weights``: (M,), of the layer's positions, which sum to 1. ``term``: "style" for an area that has this
    style alone, "region" for pixels with a loss beside the picture's. ``dense``: use all positions, not the region's
    alone: a GPU takes less time for it, a CUDA graph needs shapes that never change, and tiles are cut from all
    positions.
    """

    def __init__(
        self,
        layer: Layer,
        style: StyleTarget,
        weight: float,
        layers: int,
        statistic: str,
        position_weights: torch.Tensor,
        dense: bool,
        *,
        term: str = "region",
        share: float | torch.Tensor = REGION_WEIGHT,
    ) -> None:
        self.layer, self.weight, self.term = layer.name, weight, term
        self.share, self.anchor_gain = position_weights.new_tensor(1 / layers) * share, style.anchor_gain
        self.stride = layer.stride
        self.distance = style.distance(layer, statistic)
        reached = style.reached if term == "style" else None
        self.held = None if reached is None else reached.distance(layer, statistic, style)
        self.index = None if dense else position_weights.nonzero().flatten()
        self.position_weights = position_weights if self.index is None else position_weights[self.index]

    def collect(self, features: torch.Tensor, tile: Tile) -> Collected:
        flat, few = positions_by_channels(features)[0], self.index is not None and self.term == "region"
        if self.index is not None:
            flat = flat.index_select(0, self.index)  # a quarter of the time that flat[index] takes
        if few:  # so few that float32 costs nothing
            flat = flat.to(self.position_weights.dtype)
        kept = self._weighted(flat, tile)
        found = weighted_sums(flat, kept[1], sliced=not few)
        return Collected((found.mean, found.gram), kept)

    def evaluate(self, collected: Collected) -> LayerValue:
        found = SecondOrder(*collected.sums)
        loss, minimised, slope = anchored(found, self.distance, self.held, self.anchor_gain)
        return LayerValue(self.share * loss, self.share * minimised, partial(self._add_gradient, slope, collected.kept))

    def _weighted(self, flat: torch.Tensor, tile: Tile) -> tuple[torch.Tensor, torch.Tensor]:
        """(weights (n, 1) of the region's positions in the core of ``tile``, their features (n, C) times them)."""
        weights = self.position_weights
        if self.index is None:
            weights = tile.owned(weights.view(tile.size(self.stride)), self.stride).flatten()
        weights = weights[:, None].to(flat.dtype)
        return weights, flat * (weights @ weights.new_ones(1, flat.shape[1]))  # a CPU is slow to repeat along channels

    def _add_gradient(
        self,
        slope: SecondOrder,
        kept: tuple[torch.Tensor, ...] | None,
        flat: torch.Tensor,
        g: torch.Tensor | None,
        tile: Tile,
    ) -> torch.Tensor:
        weights, weighted = kept or self._weighted(flat[0], tile)
        factor, dtype = self.weight * self.share, weighted.dtype
        of_gram, of_mean = (slope.gram[0] * (2 * factor)).to(dtype), (slope.mean * factor).to(dtype)
        gradient = (weighted @ of_gram).add_(weights @ of_mean)
        g = torch.zeros_like(flat) if g is None else g
        if self.index is None:
            return g.add_(gradient)
        g[0].index_add_(0, self.index, gradient.to(g.dtype))
        return g

    @property
    def fusible(self) -> bool:
        """Whether it is of Gram matrices of all positions, of a network without adapter, beside the picture's own
        loss, as the kernels need it."""
        plain = isinstance(self.distance, GramDistance) and self.distance.layer.metric is None
        return plain and self.index is None and self.term == "region"

    def tensors(self) -> list[torch.Tensor]:
        index = [] if self.index is None else [self.index]
        held = [] if self.held is None else self.held.tensors()
        return [*self.distance.tensors(), *held, self.share, *index, self.position_weights]

    def clone(self) -> "RegionStyleLoss":
        made = super().clone()
        made.distance, made.held = self.distance.clone(), None if self.held is None else self.held.clone()
        return made
