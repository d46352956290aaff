"""Octaves of a picture: each has half the size of the one before it (Burt and Adelson 1983)."""

from functools import cache

import torch
import torch.nn.functional as F

# Binomial filter of an even number of taps: the smaller picture's pixels lie in the middle of four.
TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)


def halved(x: torch.Tensor) -> torch.Tensor:
    """The next octave of ``x``, (N, 3, H, W) -> (N, 3, H // 2, W // 2); the border is repeated."""
    return F.conv2d(
        F.pad(x, (1, 1, 1, 1), mode="replicate"), _kernel(x.shape[1], x.dtype, x.device), stride=2, groups=x.shape[1]
    )


def enlarged(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A picture, or a change of one, at the size of the octave before."""
    return F.interpolate(x, (height, width), mode="bicubic", align_corners=False)


@cache  # a recorded CUDA graph may not copy from the host
def _kernel(channels: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    taps = torch.tensor(TAPS, dtype=dtype, device=device)
    return torch.outer(taps, taps).expand(channels, 1, -1, -1)
