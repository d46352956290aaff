"""Colours from frame to frame: where what comes into view begins, and what keeps a shot from drifting."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from videostyle.temporal import box_filter
from videostyle.temporal.scales import NOISE, stroke_radius_px
from videostyle.temporal.warp import Warp

# Steepest slope of a colour fit: the contrast of a dark frame is mostly noise.
MOST_CONTRAST = 2.0
# Half the width of the window in which neighbours are looked for, in half widths of a stroke.
NEIGHBOURS = 4
# Deviation of colours, of [0, 1], below which they are one thing; share of a window's pixels that must be known.
LEAST_CONTRAST, LEAST_KNOWN = 0.05, 0.02


def initial_image(
    stylised: torch.Tensor,
    source: torch.Tensor,
    content: torch.Tensor,
    warp: Warp,
    reference: torch.Tensor,
    update_mask: torch.Tensor,
) -> torch.Tensor:
    """The previous stylised frame moved along the flow; what was not visible starts from the content's fitted colours.

    ``source``: the frame that ``stylised`` was painted from. ``reference``: the source as it was when each pixel was
    last painted; where ``update_mask`` (1, 1, H, W) is 1, the change of light since then is added. The others are
    (1, 3, H, W) in [0, 1].
    """
    slope, offset = colour_fit(stylised, source)
    moved = warp(stylised) + update_mask * slope * local_colour_shift(content, reference, warp.visible)
    return torch.lerp(slope * content + offset, moved, warp.visible).clamp(0, 1)


def colour_fit(stylised: torch.Tensor, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(slope, offset), both (1, 3, 1, 1): the line from each channel of the source to the picture, by least squares.

    Departure from Reinhard et al. 2001, who take the ratio of deviations: that takes strokes for contrast.
    """
    mean, wanted = source.mean((2, 3), keepdim=True), stylised.mean((2, 3), keepdim=True)
    centred = source - mean
    covariance = (centred * (stylised - wanted)).mean((2, 3), keepdim=True)
    slope = covariance / (centred.square().mean((2, 3), keepdim=True) + (NOISE / 2) ** 2)
    slope = slope.clamp(-MOST_CONTRAST, MOST_CONTRAST)
    return slope, wanted - slope * mean


def like_neighbours(
    fresh: torch.Tensor, content: torch.Tensor, painted: torch.Tensor, visible: torch.Tensor
) -> torch.Tensor:
    """``fresh``, a first guess of what comes into view, in the colours that things of its kind have beside it.

    The guess's error where the paint is known is fitted to the content, a linear map of colours in a window around
    every pixel (the guided filter of He, Sun and Tang 2010, eq. 19), and taken off where it is not. The maps are fitted
    at half the size and enlarged (He and Sun 2015). ``content``: the source; ``painted``: the paint of ``visible``
    pixels, (1, 1, H, W) in [0, 1]; the others (1, 3, H, W) in [0, 1].
    """
    half, error, seen = (F.avg_pool2d(x, 2, ceil_mode=True) for x in (content, painted - fresh, visible))
    slopes, offset, share = _fit_of_neighbours(half, error, seen, NEIGHBOURS * stroke_radius_px(content) // 2)
    maps = torch.cat((slopes.flatten(1, 2), offset, share), 1)
    maps = F.interpolate(maps, content.shape[2:], mode="bilinear")
    slopes, offset, share = maps[:, :9].unflatten(1, (3, 3)), maps[:, 9:12], maps[:, 12:]
    error = (content[:, :, None] * slopes).sum(1) + offset
    return (fresh + error * (share > LEAST_KNOWN)).clamp(0, 1)


def _fit_of_neighbours(
    content: torch.Tensor, error: torch.Tensor, visible: torch.Tensor, radius: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(slopes (1, 3, 3, H, W) and offset (1, 3, H, W) of the ``error`` as a function of the content's colours, the
    share of a window's pixels that are known)."""
    known = (visible > 0.5).to(content.dtype)
    one = torch.cat((torch.ones_like(known), content), 1) * known
    products = one[:, :, None] * torch.cat((torch.ones_like(known), content, error), 1)[:, None]
    means = box_filter.mean(products.flatten(1, 2), radius).unflatten(1, (4, 7))
    share = means[:, 0, 0].clamp_min(torch.finfo(content.dtype).tiny)
    mean = means[:, 0] / share[:, None]
    of_content, of_error = mean[:, 1:4], mean[:, 4:]
    covariance = means[:, 1:, 1:4] / share[:, None, None] - of_content[:, :, None] * of_content[:, None]
    together = means[:, 1:, 4:] / share[:, None, None] - of_content[:, :, None] * of_error[:, None]
    ridge = LEAST_CONTRAST**2 * torch.eye(3, dtype=content.dtype, device=content.device).view(1, 3, 3, 1, 1)
    slopes = torch.linalg.solve(*((m.movedim((1, 2), (3, 4))) for m in (covariance + ridge, together)))
    slopes = slopes.movedim((3, 4), (1, 2))
    return slopes, of_error - (of_content[:, :, None] * slopes).sum(1), means[:, :1, 0]


@dataclass(frozen=True)
class ColourAnchor:
    """Mean colours of the shot's first frame. Later frames are bounded by them, so drift cannot accumulate.

    ``source``, ``stylised``: means over the frame. ``slope``: of its colour fit. All (1, 3, 1, 1).
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
        """(lowest, highest) mean colours that the picture of ``content`` may have, both (1, 3, 1, 1).

        Those of the first frame plus the source's change since then, seen through the colour fit: at most all of it, at
        least as much of it as twice the noise. How far a style goes with a larger change is for the other losses.
        """
        change = content.mean((2, 3), keepdim=True) - self.source
        whole, least = (self.stylised + self.slope * c for c in (change, change.clamp(-2 * NOISE, 2 * NOISE)))
        return torch.minimum(whole, least), torch.maximum(whole, least)


def local_colour_shift(content: torch.Tensor, before: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Change of every channel since ``before``, (1, 3, H, W): the mean over the ``visible`` pixels within a stroke.

    The losses hardly ask for it: what was painted by night would stay dark through the morning, beside new paint.
    """
    radius, tiny = stroke_radius_px(content), torch.finfo(content.dtype).tiny
    return box_filter.mean((content - before) * visible, radius) / box_filter.mean(visible, radius).clamp_min(tiny)
