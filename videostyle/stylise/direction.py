"""What is wanted of one frame: settings, areas with styles, colours; and what says so, frame by frame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from videostyle.errors import UsageError
from videostyle.frames import Frame
from videostyle.settings import Settings
from videostyle.stylise.palette import Moments
from videostyle.stylise.style_images import Style


@dataclass(frozen=True)
class Area:
    """A part of the picture with a style.

    ``mask``: (1, 1, H, W) in [0, 1], at any size; None: everywhere. ``weight``: multiplies beta.
    """

    style: Style
    mask: torch.Tensor | None = None
    weight: float = 1.0

    def mask_at(self, height: int, width: int) -> torch.Tensor | None:
        return None if self.mask is None else mask_at(self.mask, height, width)


@dataclass(frozen=True)
class Colours:
    """Whose colours the picture has, by so much ``share`` in [0, 1]: the rest are the style's.

    ``palette``: another picture's. ``of_source``: the source's own instead.
    """

    share: float = 0.0
    palette: Moments | None = None
    of_source: bool = False


@dataclass(frozen=True)
class Moment:
    """How one frame is painted.

    ``areas``: at least one, the clip's own style first, as many in every frame of a clip. ``kept``: (1, 1, H, W) in
    [0, 1], where the source stays; None: nowhere. ``look``: equal for frames that are painted alike, whatever their
    masks are.
    """

    settings: Settings
    areas: tuple[Area, ...]
    kept: torch.Tensor | None = None
    colours: Colours = field(default_factory=Colours)
    look: str = ""


# What is wanted of a frame. It has (1, 3, H, W) pixels at the output's size.
Direction = Callable[[Frame], Moment]


def mask_at(mask: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A mask (1, 1, H, W) at another size: the mean of the pixels where it gets smaller, bilinear where larger."""
    if mask.shape[2:] == (height, width):
        return mask
    if mask.shape[2] >= height:
        return F.interpolate(mask, (height, width), mode="area")
    return F.interpolate(mask, (height, width), mode="bilinear")


def layered(masks: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What can be seen of masks that lie on one another, the last on top: of the ground below them first.

    (1, 1, H, W) each, of one size; what is returned sums to 1.
    """
    if not masks:
        raise UsageError("no mask was given; expected at least one")
    free, seen = torch.ones_like(masks[0]), list[torch.Tensor]()
    for mask in reversed(masks):
        seen.insert(0, free * mask)
        free = free * (1 - mask)
    return [free, *seen]
