"""Pictures that a frame starts from or is compared with: noise, resizing, the style at its size."""

import torch
import torch.nn.functional as F

# White Gaussian noise as a start: mid-grey, with most of [0, 1] in reach.
NOISE_MEAN, NOISE_DEVIATION = 0.5, 0.25


def noise(like: torch.Tensor, seed: int) -> torch.Tensor:
    """White Gaussian noise of the same shape, the same on every device: drawn on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(like.shape, generator=generator) * NOISE_DEVIATION + NOISE_MEAN
    return drawn.to(like.device)


def resized(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A picture (1, 3, H, W) at ``size`` = (height, width), antialiased, in [0, 1]."""
    if tuple(picture.shape[2:]) == size:
        return picture
    return F.interpolate(picture, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def fit_style(style: torch.Tensor, longest: float, smallest: int) -> torch.Tensor:
    """The style with its longer side at ``longest`` pixels, aspect kept, no side below ``smallest``."""
    height, width = style.shape[2:]
    scale = longest / max(height, width)
    return resized(style, (max(smallest, round(height * scale)), max(smallest, round(width * scale))))
