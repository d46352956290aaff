"""Masks of a picture at a layer's positions (Gatys et al. 2017, "Controlling Perceptual Factors", section 4.1)."""

import torch
import torch.nn.functional as F

# Share of an area that its inside must have to stand for it: a thin area has no position that sees it alone.
LEAST_INSIDE = 0.25


def at_positions(mask: torch.Tensor, stride: int) -> torch.Tensor:
    """A mask (1, 1, H, W) in [0, 1] at a layer's positions, (h, w): the mean over the pixels of each."""
    return F.interpolate(mask, [side // stride for side in mask.shape[2:]], mode="area")[0, 0]


def inside(mask: torch.Tensor, stride: int) -> torch.Tensor:
    """The positions of a layer that see an area alone, (h, w) in [0, 1]: the guidance that the paper calls inside.

    In VGG-19 a position sees most of what is within one of its neighbours, at every layer. Departures: the border is
    soft, and an area that is too thin to have an inside stands for itself.
    """
    own = at_positions(mask, stride)
    around = F.avg_pool2d(F.pad(own[None, None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0, 0]
    eroded = torch.minimum(own, (2 * around - 1).clamp_min(0))
    return torch.where(eroded.sum() < LEAST_INSIDE * own.sum(), own, eroded)


def normalised(weights: torch.Tensor) -> torch.Tensor:
    """Weights >= 0 of positions, made to sum to 1; those of nothing stay 0."""
    return weights / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)


def position_weights(mask: torch.Tensor, stride: int) -> torch.Tensor:
    """The weights of a layer's positions in the statistics of an area, (h, w), which sum to 1."""
    return normalised(inside(mask, stride))
