"""The style loss of one region of the picture."""

from functools import partial

import torch
import torch.nn.functional as F

from videostyle.losses.gram import positions_by_channels, sliced_product
from videostyle.losses.layer_loss import Layer, LayerLoss, LayerValue
from videostyle.losses.style import StyleTarget, style_factor
from videostyle.networks.backbone import layer_stride

# Weight of a region's style loss beside the picture's: its Gram matrix is noisy, and at 1 the rest of the picture pays.
REGION_WEIGHT = 0.1


class RegionGramLoss(LayerLoss):
    """w_l E_l of the mean Gram matrix of a soft mask's pixels, times REGION_WEIGHT and the mean of the mask.

    ``mask``: (1, 1, H, W) in [0, 1], of one picture. ``dense``: use all positions, not the region's alone: a GPU takes
    less time for it, and a CUDA graph needs shapes that never change.
    """

    term = "region"

    def __init__(
        self, layer: Layer, style: StyleTarget, weight: float, layers: int, mask: torch.Tensor, dense: bool
    ) -> None:
        self.layer, self.weight, self._layer, self.target = layer.name, weight, layer, style.grams[layer.name]
        self.factor, self.share = style_factor(layer, layers), REGION_WEIGHT * mask.mean()
        size = [side // layer_stride(layer.name) for side in mask.shape[2:]]
        weights = F.interpolate(mask, size, mode="area").flatten()
        weights = weights / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
        self.index = None if dense else weights.nonzero().flatten()
        self.position_weights = weights if self.index is None else weights[self.index]

    def evaluate(self, features: torch.Tensor) -> LayerValue:
        flat, index = positions_by_channels(features)[0], self.index
        if index is not None:
            flat = flat[index].to(self.position_weights.dtype)
        weighted = flat * self.position_weights[:, None].to(flat.dtype)
        gram = weighted.T @ flat if index is not None else sliced_product(weighted[None], flat[None])[0]
        difference = gram - self.target[0]
        toward = self._layer.distance_gradient(difference)
        slope = toward * (self.weight * self.factor * self.share)
        loss = self.factor / 4 * self.share * (difference * toward).sum()
        return LayerValue(loss, loss, partial(_add_rows, index, weighted @ slope.to(weighted.dtype)))

    @property
    def plain(self) -> bool:
        """Whether the network has no adapter and all positions are used, as the kernels need it."""
        return self._layer.metric is None and self.index is None

    def tensors(self) -> list[torch.Tensor]:
        index = [] if self.index is None else [self.index]
        return [self.target, self.share, *index, self.position_weights]


def _add_rows(
    index: torch.Tensor | None, gradient: torch.Tensor, flat: torch.Tensor, g: torch.Tensor | None
) -> torch.Tensor:
    """Add ``gradient`` (n, C) at the positions ``index`` (n,); None: at all."""
    g = torch.zeros_like(flat) if g is None else g
    if index is None:
        return g.add_(gradient)
    g[0].index_add_(0, index, gradient.to(g.dtype))
    return g
