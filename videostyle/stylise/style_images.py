"""What is wanted: the pictures whose style is taken, and how much of each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from videostyle.errors import UsageError


@dataclass(frozen=True)
class StyleImage:
    """One picture of a style. Several are blended: the weighted mean of their statistics.

    ``picture``: (1, 3, H, W) float32 RGB in [0, 1], at any size. ``weight``: relative to the others'. ``scale``: longer
    side relative to the output's, times ``Settings.style_scale``; larger gives broader strokes.
    """

    picture: torch.Tensor
    weight: float = 1.0
    scale: float = 1.0


# A style: at least one picture.
Style = tuple[StyleImage, ...]


def as_style(style: torch.Tensor | Sequence[StyleImage]) -> Style:
    """One picture as a style of its own; weights sum to 1. Raises UsageError for no picture or no weight."""
    images = (StyleImage(style),) if isinstance(style, torch.Tensor) else tuple(style)
    total = sum(image.weight for image in images)
    if not images or not all(0 <= image.weight < math.inf for image in images) or total == 0:
        raise UsageError(
            f"a style of {len(images)} pictures and total weight {total:g}; expected weights >= 0 and their sum above 0"
        )
    return tuple(StyleImage(image.picture, image.weight / total, image.scale) for image in images)
