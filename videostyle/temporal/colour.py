"""Colours from frame to frame: where what comes into view begins, and what keeps a shot from drifting."""

from dataclasses import dataclass

import torch

from videostyle.temporal import box_filter
from videostyle.temporal.warp import Warp

# Half the width of what light is averaged over, as a share of the picture's longer side: three times as much lets the
# rocks of a mountain run into its snow. The steepest slope of a palette, and what is nothing but noise in a source.
LIGHT_RADIUS, SEEN_LEAST = 1 / 64, 1e-3
MOST_CONTRAST, LEAST_DEVIATION = 2.0, 1 / 255
# So much of a change of the source's mean colour is sure to be followed. With none of it a webcam clip whose exposure
# settles runs by +0.38 and -0.27 % in two styles, where the source runs by +0.28 (``temporal_drift.py``; 0.25 and 0.24
# with this much); were all of it followed, a clip that gets three times as light would leave the style's own colours.
SHIFT_FOLLOWED = 4 / 255


def initial_image(
    stylised: torch.Tensor,
    source: torch.Tensor,
    content: torch.Tensor,
    warp: Warp,
    reference: torch.Tensor,
    update_mask: torch.Tensor,
) -> torch.Tensor:
    """The previous stylised frame moved along the flow; what was not seen before begins in its palette.

    ``source``: the frame that ``stylised`` was painted from. ``reference``: what every pixel of ``content`` looked like
    when it was last painted; where ``update_mask``, a mask (1, 1, H, W) of what is to be painted, the light follows.
    The others are (1, 3, H, W).
    """
    slope, offset = colour_fit(stylised, source)
    moved = warp(stylised) + update_mask * slope * local_colour_shift(content, reference, warp.visible)
    return torch.lerp(slope * content + offset, moved, warp.visible).clamp(0, 1)


def colour_fit(stylised: torch.Tensor, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(slope, offset), both (1, 3, 1, 1): the line from every channel of the source to the picture, by least squares.

    The ratio of their deviations instead of the slope (Reinhard et al. 2001) takes the strokes for contrast: what comes
    into view begins too dark or too bright, and a clip darkens.
    """
    mean, wanted = source.mean((2, 3), keepdim=True), stylised.mean((2, 3), keepdim=True)
    centred = source - mean
    covariance = (centred * (stylised - wanted)).mean((2, 3), keepdim=True)
    slope = covariance / (centred.square().mean((2, 3), keepdim=True) + LEAST_DEVIATION**2)
    slope = slope.clamp(-MOST_CONTRAST, MOST_CONTRAST)
    return slope, wanted - slope * mean


@dataclass(frozen=True)
class ColourAnchor:
    """The mean colours of a shot's first frame, which the others keep to: what is measured once cannot run away.

    What comes into view is painted again and again, and the style makes it a little paler or darker every time.
    ``source``, ``stylised``: means over the frame. ``slope``: of its palette. All (1, 3, 1, 1).
    """

    source: torch.Tensor
    stylised: torch.Tensor
    slope: torch.Tensor

    @classmethod
    def of(cls, stylised: torch.Tensor, source: torch.Tensor) -> "ColourAnchor":
        """``stylised``: the picture, ``source``: what it was painted from, both (1, 3, H, W)."""
        of_source, of_picture = (picture.mean((2, 3), keepdim=True) for picture in (source, stylised))
        return cls(of_source, of_picture, colour_fit(stylised, source)[0])

    def between(self, content: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the mean colours of the picture of ``content`` may lie between, (1, 3, 1, 1) twice.

        Those of the first frame with what has changed in the source added in its palette: all of it, or no more than
        FOLLOWED. A style has its own colours, and how far they go with the source's is for the other losses to say.
        """
        change = content.mean((2, 3), keepdim=True) - self.source
        whole, least = (self.stylised + self.slope * c for c in (change, change.clamp(-SHIFT_FOLLOWED, SHIFT_FOLLOWED)))
        return torch.minimum(whole, least), torch.maximum(whole, least)


def local_colour_shift(content: torch.Tensor, before: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """How much lighter every channel has become since ``before``, (1, 3, H, W).

    The losses hardly ask for it: what was painted by night would stay dark through the morning, beside new paint in the
    new light. Averaged over what was seen before around every pixel, so that what moves leaves no trace of its edges.
    """
    radius = round(max(content.shape[2:]) * LIGHT_RADIUS)
    return box_filter.mean((content - before) * seen, radius) / box_filter.mean(seen, radius).clamp_min(SEEN_LEAST)
