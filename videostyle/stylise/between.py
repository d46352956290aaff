"""A frame between two painted ones: both moved along the motion, each by how well it explains the source."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from videostyle.losses.pixel_losses import TemporalPrior
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.octaves import enlarged
from videostyle.optimise.outcome import OptimisedImage
from videostyle.stylise.following import carried
from videostyle.stylise.frame_tasks import temporal_weight
from videostyle.stylise.state import ShotState
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal import box_filter, colour
from videostyle.temporal.scales import NEAR_PX, stroke_radius_px
from videostyle.temporal.trust import HELD_MOVING, with_photometric_confidence
from videostyle.temporal.warp import Warp, sample

# Least weight of a side that does not explain the source, so that the two always sum to something.
LEAST_TRUST = 1e-3
# The most that fine strokes are strengthened by, where averaging has weakened them.
MOST_GAIN = 2.0


@dataclass(frozen=True)
class Neighbour:
    """A painted frame beside the one that is made, and the motion from that to it. (1, 3, H, W) in [0, 1] each:
    ``source`` at the painted octave, ``stylised`` there and ``finished`` at the finest."""

    source: torch.Tensor
    stylised: torch.Tensor
    finished: torch.Tensor
    warp: Warp

    @classmethod
    def of(cls, state: ShotState, warp: Warp) -> "Neighbour":
        finest = state.finer[-1].stylised if state.finer else state.stylised
        return cls(state.source, state.stylised, finest, warp)

    def moved(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(the finest picture moved along, its local variance before that): resampling takes some of it."""
        warp = self.warp.resized(self.finished.shape[2], self.finished.shape[3])
        before = variance(self.finished, NEAR_PX)
        before = torch.where(warp.static > 0, before, sample(before, warp.flow, mode="bilinear"))
        return warp(self.finished).clamp(0, 1), before


def between(
    stylizer: Stylizer, content: torch.Tensor, sides: tuple[Neighbour, Neighbour], share: float
) -> torch.Tensor:
    """The picture of ``content``, the source at the painted octave, at ``share`` in (0, 1) of the way from the first
    to the second; at the finest octave.

    Weights are linear in time and in the trust in each side. What neither shows takes its neighbours' colours. Fine
    strokes keep the variance that the two sides have: a picture that is moved, and an average of two, has less.
    """
    trusts = [with_photometric_confidence(s.warp, content, s.source).visible for s in sides]
    weights = [t * (trust + LEAST_TRUST) for t, trust in zip((1 - share, share), trusts, strict=True)]
    second = weights[1] / (weights[0] + weights[1])
    size = sides[0].finished.shape[2], sides[0].finished.shape[3]
    (first, of_first), (last, of_last) = (side.moved() for side in sides)
    second = F.interpolate(second, size, mode="bilinear")
    mixed = with_variance(torch.lerp(first, last, second), torch.lerp(of_first, of_last, second), NEAR_PX)
    known = torch.maximum(*trusts)
    if bool((known >= 0.5).all()):
        return mixed
    small = F.interpolate(mixed, content.shape[2:], mode="area")
    guess = colour.like_neighbours(stylizer.start("palette", content), content, small, known)
    unknown = 1 - known.clamp(0, 1)
    return (mixed + enlarged((guess - small) * unknown, *size)).clamp(0, 1)


def touched_up(
    stylizer: Stylizer,
    content: torch.Tensor,
    picture: torch.Tensor,
    sides: tuple[Neighbour, Neighbour],
    before: ShotState,
) -> tuple[torch.Tensor, OptimisedImage]:
    """``picture``, a frame between two others at the finest octave, after ``touch_up`` evaluations at the painted one,
    held to what both neighbours show there; and how that went. ``before``: what the earlier of them left."""
    settings, size = stylizer.settings, (picture.shape[2], picture.shape[3])
    start = F.interpolate(picture, content.shape[2:], mode="area")
    warps = [with_photometric_confidence(side.warp, content, side.source) for side in sides]
    firm = [warp.comparable * warp.static.clamp_min(HELD_MOVING * before.temporal_gain) for warp in warps]
    task = FrameTask(
        "touched up",
        start,
        history=carried(before.history, warps[0], warps[0].visible),
        priors=(TemporalPrior(temporal_weight(settings), start, torch.maximum(*firm)),),
        styles=before.styles if stylizer.look == before.look else None,
        min_evaluations=settings.touch_up,
        max_evaluations=settings.touch_up,
    )
    image, _ = stylizer.optimise(content, task)
    return (picture + enlarged(image.pixels - start, *size)).clamp(0, 1), image


def with_variance_of(a: torch.Tensor, b: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """The mean of two pictures (1, 3, H, W) by ``share`` (1, 1, H, W) of the second, the variance of its strokes made
    theirs."""
    radius = stroke_radius_px(a)
    return with_variance(torch.lerp(a, b, share), torch.lerp(variance(a, radius), variance(b, radius), share), radius)


def with_variance(picture: torch.Tensor, wanted: torch.Tensor, radius: int) -> torch.Tensor:
    """``picture`` (1, 3, H, W), a mean of others, with the local variance that they have, `variance` of this radius.

    Not more than MOST_GAIN times what it is: where strokes meet it has theirs already.
    """
    mean, tiny = box_filter.mean(picture, radius), 1 / 255**2
    gain = ((wanted + tiny) / (variance(picture, radius) + tiny)).sqrt().clamp(1, MOST_GAIN)
    return (mean + gain * (picture - mean)).clamp(0, 1)


def variance(picture: torch.Tensor, radius: int) -> torch.Tensor:
    """Around every pixel, over a window of 2 radius + 1 pixels a side: (1, 3, H, W) of the same."""
    return box_filter.mean((picture - box_filter.mean(picture, radius)).square(), radius)
