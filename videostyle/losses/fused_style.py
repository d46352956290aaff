"""The style's losses by Triton kernels on a GPU: fewer passes over memory than PyTorch's operations take."""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from videostyle.kernels.loader import load_tested
from videostyle.losses.gram import positions_by_channels
from videostyle.losses.layer_loss import AddGradient, LayerLoss
from videostyle.losses.statistics import GramDistance
from videostyle.losses.style import StyleLoss
from videostyle.losses.style_region import RegionStyleLoss
from videostyle.networks.feature_extractor import Activations
from videostyle.networks.tiles import Tile

loaded_kernels = partial(load_tested, "videostyle.kernels.gram")


def can_fuse(losses: Sequence[LayerLoss], x: torch.Tensor, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernels can do all style losses: Gram matrices of one picture, in bf16, of a network
    without adapters."""
    style = [loss for loss in losses if loss.term != "content"]
    known = all(isinstance(loss, StyleLoss | RegionStyleLoss) and loss.fusible for loss in style)
    fits = len(x) == 1 and dtype == torch.bfloat16 and device.type == "cuda"
    return bool(style) and known and fits and loaded_kernels() is not None


def style_and_region(
    losses: Sequence[LayerLoss], activations: Activations
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, AddGradient]]:
    """(the style's minimised loss, its loss, the region's loss, each (1,); what adds the gradients, by layer)."""
    kernels, sums, added = loaded_kernels(), list[torch.Tensor](), dict[str, AddGradient]()
    assert kernels is not None
    regions: dict[str, RegionStyleLoss] = {loss.layer: loss for loss in losses if isinstance(loss, RegionStyleLoss)}
    for loss in losses:
        if not isinstance(loss, StyleLoss):
            continue
        assert isinstance(loss.distance, GramDistance)
        flat, k, whole = positions_by_channels(activations[loss.layer])[0], loss.anchor_gain, loss.distance.factor
        factor = whole * loss.share
        scales = loss.weight * k * factor / len(flat), k * factor / 4, factor / 4
        region = regions.get(loss.layer)
        weights = None if region is None else region.position_weights
        of_region = None if region is None else (weights, region.share, loss.weight * whole, whole / 4)
        wanted, offset = _anchored_target(loss)
        slopes, found = kernels.slope_and_loss(flat, wanted, loss.distance.gram[0], scales, of_region)
        found[0, 0] += offset * factor / 4
        add = partial(kernels.add_style_through_relu, flat=flat, slopes=slopes, weights=weights)
        added[loss.layer] = partial(_masked, add)
        sums.append(found)
    minimised, style, region_loss = torch.cat(sums).sum(0).split(1)
    return minimised, style, region_loss, added


def _anchored_target(loss: StyleLoss) -> tuple[torch.Tensor, torch.Tensor | float]:
    """(B, c) with |G - A|^2 + (k - 1) |G - G0|^2 = k |G - B|^2 + c, A the style's, G0 what is reached of it."""
    assert isinstance(loss.distance, GramDistance)
    style, k = loss.distance.gram[0], loss.anchor_gain
    if not isinstance(loss.held, GramDistance):
        return style, 0.0
    reached = loss.held.gram[0]
    return torch.lerp(reached, style, 1 / k), (1 - 1 / k) * (style - reached).square().sum()


def _masked(
    add: Callable[[torch.Tensor | None], torch.Tensor], _flat: torch.Tensor, g: torch.Tensor | None, _tile: Tile
) -> torch.Tensor:
    return add(None if g is None else g[0])[None]
