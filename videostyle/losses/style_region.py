"""The style loss of one region of the picture."""

from functools import partial

import torch
import torch.nn.functional as F

from videostyle.losses.gram import SecondOrder, positions_by_channels, sliced_product
from videostyle.losses.layer_loss import Collected, Layer, LayerLoss, LayerValue
from videostyle.losses.statistics import GramDistance
from videostyle.losses.style import StyleTarget
from videostyle.networks.tiles import Tile

# Weight of a region's style loss beside the picture's: its Gram matrix is noisy, and at 1 the rest of the picture pays.
REGION_WEIGHT = 0.1


class RegionStyleLoss(LayerLoss):
    """w_l E_l of the statistics of a soft mask's pixels, times REGION_WEIGHT and the mean of the mask.

    ``mask``: (1, 1, H, W) in [0, 1], of one picture. ``dense``: use all positions, not the region's alone: a GPU takes
    less time for it, a CUDA graph needs shapes that never change, and tiles are cut from all positions.
    """

    term = "region"

    def __init__(
        self,
        layer: Layer,
        style: StyleTarget,
        weight: float,
        layers: int,
        statistic: str,
        mask: torch.Tensor,
        dense: bool,
    ) -> None:
        self.layer, self.weight, self.share = layer.name, weight, REGION_WEIGHT / layers * mask.mean()
        self.stride = layer.stride
        self.distance = style.distance(layer, statistic)
        size = [side // self.stride for side in mask.shape[2:]]
        weights = F.interpolate(mask, size, mode="area").flatten()
        weights = weights / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
        self.index = None if dense else weights.nonzero().flatten()
        self.position_weights = weights if self.index is None else weights[self.index]

    def collect(self, features: torch.Tensor, tile: Tile) -> Collected:
        flat, index = positions_by_channels(features)[0], self.index
        if index is not None:
            flat = flat[index].to(self.position_weights.dtype)
        kept = self._weighted(flat, tile)
        weighted = kept[1]
        gram = weighted.T @ flat if index is not None else sliced_product(weighted[None], flat[None])[0]
        wide = torch.promote_types(flat.dtype, torch.float32)
        return Collected((weighted.sum(0, dtype=wide)[None], gram[None]), kept)

    def evaluate(self, collected: Collected) -> LayerValue:
        loss, slope = self.distance(SecondOrder(*collected.sums))
        loss = self.share * loss[0]
        return LayerValue(loss, loss, partial(self._add_gradient, slope, collected.kept))

    def _weighted(self, flat: torch.Tensor, tile: Tile) -> tuple[torch.Tensor, torch.Tensor]:
        """(weights (n, 1) of the region's positions in the core of ``tile``, their features (n, C) times them)."""
        weights = self.position_weights
        if self.index is None:
            weights = tile.owned(weights.view(tile.size(self.stride)), self.stride).flatten()
        weights = weights[:, None].to(flat.dtype)
        return weights, flat * weights

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
        gradient = weighted @ of_gram + weights * of_mean
        g = torch.zeros_like(flat) if g is None else g
        if self.index is None:
            return g.add_(gradient)
        g[0].index_add_(0, self.index, gradient.to(g.dtype))
        return g

    @property
    def fusible(self) -> bool:
        """Whether it is of Gram matrices of all positions, of a network without adapter, as the kernels need it."""
        return isinstance(self.distance, GramDistance) and self.distance.layer.metric is None and self.index is None

    def tensors(self) -> list[torch.Tensor]:
        index = [] if self.index is None else [self.index]
        return [*self.distance.tensors(), self.share, *index, self.position_weights]

    def clone(self) -> "RegionStyleLoss":
        made = super().clone()
        made.distance = self.distance.clone()
        return made
