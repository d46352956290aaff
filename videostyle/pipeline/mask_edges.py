"""The edges of masks at the output's size: resized, redrawn from a smaller mask, made soft."""

import math

import torch
import torch.nn.functional as F

# Standard deviations of a Gaussian between 0.01 and 0.99 of the edge that it has blurred.
EDGE_DEVIATIONS = 2 * 2.3263
# Deviation of the blur that takes the stairs out of a smaller mask's outline, in that mask's pixels.
STAIRS_DEVIATION = 1.0


def resized(mask: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """``mask`` (1, 1, H, W) at ``size`` (width, height): bilinear, averaged where it gets smaller."""
    if mask.shape[2:] == size[::-1]:
        return mask
    return F.interpolate(mask, size[::-1], mode="bilinear", antialias=True).clamp_(0, 1)


def refined(mask: torch.Tensor, size: tuple[int, int], peak: float) -> torch.Tensor:
    """The same, but an outline of a smaller mask is drawn anew: smooth, and one pixel wide at the new size.

    ``peak``: the value inside.
    """
    scale = size[0] / mask.shape[3]
    if scale <= 1 or not peak:
        return resized(mask, size)
    outline = F.interpolate(gaussian(mask / peak, STAIRS_DEVIATION), size[::-1], mode="bicubic")
    # A pixel's own width and the blur's: what a step's steepness is by now, in the new pixels
    steepness = 1 / (math.sqrt(2 * math.pi * (STAIRS_DEVIATION**2 + 1 / 12)) * scale)
    return ((outline - 0.5) / steepness + 0.5).clamp_(0, 1) * peak


def feathered(mask: torch.Tensor, feather: float) -> torch.Tensor:
    """``mask`` with edges that take ``feather`` pixels from 0.99 to 0.01, half of them on either side.

    Edges that are as wide already stay, and those of half that width are blurred in full.
    """
    if feather <= 1:
        return mask
    width = edge_width(mask)
    share = min(1.0, max(0.0, 2 - 2 * width / feather))
    variance = (feather / EDGE_DEVIATIONS) ** 2 - width**2 / 12  # variances add, and the edge has one of its own
    if not share or variance <= 0:
        return mask
    return torch.lerp(mask, gaussian(mask, math.sqrt(variance)), share)


def edge_width(mask: torch.Tensor) -> float:
    """Pixels that the mask's edges take from bottom to top, by the median steepness half-way up; endless where none."""
    half = float(mask.max()) / 2
    across, down = (torch.diff(mask, dim=dim, append=mask.narrow(dim, -1, 1)) for dim in (3, 2))
    inside = mask > half
    crossed = [torch.diff(inside, dim=dim, append=inside.narrow(dim, -1, 1)) for dim in (3, 2)]
    steepness = (across.square() + down.square()).sqrt()[crossed[0] | crossed[1]]
    return max(1.0, 2 * half / float(steepness.median())) if len(steepness) else math.inf


def gaussian(mask: torch.Tensor, deviation: float) -> torch.Tensor:
    """Gaussian blur, (1, 1, H, W); the border repeats."""
    radius = math.ceil(3 * deviation)
    at = torch.arange(-radius, radius + 1.0)
    kernel = torch.exp(-at.square() / (2 * deviation**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    across = F.conv2d(F.pad(mask, (radius, radius, 0, 0), mode="replicate"), kernel)
    return F.conv2d(F.pad(across, (0, 0, radius, radius), mode="replicate"), kernel.transpose(2, 3))
