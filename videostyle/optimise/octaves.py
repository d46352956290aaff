"""Octaves of a picture: each has half the size of the one before it (Burt and Adelson 1983)."""

import torch
import torch.nn.functional as F

# Binomial filter of an even number of taps: the smaller picture's pixels lie in the middle of four.
TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)


def halved(x: torch.Tensor) -> torch.Tensor:
    """The next octave of ``x``, (N, 3, H, W) -> (N, 3, H // 2, W // 2); the border is repeated."""
    taps = torch.tensor(TAPS, dtype=x.dtype, device=x.device)
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, stride=2, groups=x.shape[1])


def with_large_forms(picture: torch.Tensor, painted: torch.Tensor) -> torch.Tensor:
    """``picture`` with the forms of ``painted``, which is of the next octave: its own detail stays (as in a multigrid
    method). Both (1, 3, H, W) in [0, 1]."""
    change = painted - halved(picture)
    return (picture + enlarged(change, picture.shape[2], picture.shape[3])).clamp(0, 1)


def enlarged(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A picture, or a change of one, at the size of the octave before."""
    return F.interpolate(x, (height, width), mode="bicubic", align_corners=False)
