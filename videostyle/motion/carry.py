"""What a stylised frame leaves to the next one: where that one starts, what it keeps to, and what stays untouched.

Three ideas, each a pure function of pictures:

- the previous stylised frame, moved along the flow, is the start, and the temporal loss holds the picture to it where
  the flow can be trusted (Ruder, Dosovitskiy and Brox 2016, section 4);
- what comes into view begins as the content, its colours moved to those of the picture being painted: neither grey nor
  a ghost of what was there before;
- what stands still, is finished, and looks the same as when it was painted is left alone. However small its steps, an
  optimiser that is run for a thousand frames crawls and sharpens; a pixel that nothing has happened to must not change.
"""

import math
from dataclasses import dataclass, replace

import torch

from videostyle.frame import luma
from videostyle.motion import window
from videostyle.motion.flow import CAMERA_SHARE, REST_FLOOR
from videostyle.motion.warp import Warp, sample, shorter

# What a pixel lacks of its paint falls by the factor e in this many evaluations. On a webcam clip the style loss of the
# last of 300 frames over the 30th's is 0.972, 0.992 and 1.024 in three styles (``temporal_drift.py``). With 60 it was
# 0.984, 0.997 and 1.031 for up to 7 % more evaluations, and 0.972, 0.997 and 1.023 with 45, before colours were held.
EVALUATIONS_TO_PAINT = 45.0
# A pixel that lacks less than this is finished.
FINISHED = 0.1
# What stood still may lag this far behind a motion before it follows, as a share of the picture's longer side.
LONGEST_LAG = 1 / 400
# Half the width of a brush stroke, over which stretching is averaged; motion that DIS finds in noise. In pixels.
STROKE, FLOW_NOISE = 8, 1.0
# A pixel has changed if the mean of the 5 x 5 pixels around it did since it was painted, in luma by more than CHANGE or
# in any channel by more than CHANGE_OF_CHANNEL. Noise of sigma 2/255 moves that mean by 0.6/255; but codecs are coarse
# with colour: in a webcam's dark board a tenth of the pixels is off by 3/255 in some channel, and none in luma.
CHANGE, CHANGE_OF_CHANNEL = 3 / 255, 6 / 255
CHANGE_RADIUS = 2
# The pixels beside a changed one are painted with it (``changed`` looks two further). With a wider margin the wall
# behind someone who moves is painted again and again: with 4 a webcam's still pixels wander twice as far as with 2.
MARGIN = 1
# How much worse than the flow may standing still explain the 5 x 5 pixels around one, as a ratio of squares, where the
# motion is within noise; and where it is a stray one, which was searched for in noise and has found what looks best.
REST_SHARE, STRAY_SHARE = 1.25, 4.0
# Half the width of what light is averaged over, as a share of the picture's longer side: three times as much lets the
# rocks of a mountain run into its snow. The steepest slope of a palette, and what is nothing but noise in a source.
LIGHT_RADIUS, SEEN_LEAST = 1 / 64, 1e-3
MOST_CONTRAST, LEAST_DEVIATION = 2.0, 1 / 255
# So much of a change of the source's mean colour is sure to be followed. With none of it a webcam clip whose exposure
# settles runs by +0.38 and -0.27 % in two styles, where the source runs by +0.28 (``temporal_drift.py``; 0.25 and 0.24
# with this much); were all of it followed, a clip that gets three times as light would leave the style's own colours.
FOLLOWED = 4 / 255
# Lai et al. 2018: alpha of the visibility mask, for pixels in [0, 1].
LIKENESS = 50.0


@dataclass(frozen=True)
class Painted:
    """What is known of every pixel of the shot's last picture.

    ``source``: (1, 3, H, W), the source as it was when the pixel was last painted. ``bare``: (1, 1, H, W) in [0, 1],
    what the pixel lacks of its paint: 1 as it comes into view. ``lag``: (1, 2, H, W), motion that the picture has not
    followed yet, in pixels: at x it should show what it shows at x + lag(x). ``followed``: (1, 1, H, W), 1 where it was
    moved from the frame before; a shot begins with 1, so that it follows until it first stands still.
    """

    source: torch.Tensor
    bare: torch.Tensor
    lag: torch.Tensor
    followed: torch.Tensor

    @classmethod
    def whole(cls, source: torch.Tensor) -> "Painted":
        """After the first frame of a shot, which is optimised until it converges: everything is finished."""
        bare, lag = torch.zeros_like(source[:, :1]), torch.zeros_like(source[:, :2])
        return cls(source, bare, lag, followed=torch.ones_like(bare))

    def moved(self, warp: Warp) -> "Painted":
        """The same, known at the next frame's pixels; paint that is stretched gets thinner, and thicker again."""
        bare, source = warp(torch.cat((self.bare, self.source), 1)).split((1, 3), 1)
        kept = (1 - bare.clamp(0, 1)) * density(warp.flow) * warp.visible_before
        return replace(self, source=source, bare=(1 - kept).clamp(0, 1))

    def to_paint(self, content: torch.Tensor, warp: Warp) -> torch.Tensor:
        """Mask (1, 1, H, W) of 0 and 1: all but what stands still, is finished and looks as when it was painted."""
        leave = warp.still * warp.visible_before * (self.bare < FINISHED) * (1 - changed(content, self.source))
        return window.maximum(1 - leave, MARGIN)

    @property
    def unfinished(self) -> torch.Tensor:
        """(1, 1, H, W) in [0, 1]: ``bare`` without what is finished."""
        return self.bare * (self.bare >= FINISHED)

    @property
    def part(self) -> torch.Tensor:
        """(1, 1, H, W) in [0, 1]: what is not finished, with a margin; it is to have the style by itself."""
        return window.maximum(self.unfinished, MARGIN)

    def after(self, content: torch.Tensor, painted: torch.Tensor, evaluations: int) -> "Painted":
        """What is known when the pixels ``painted`` (a mask) of the frame ``content`` have been painted."""
        left = self.bare * math.exp(-evaluations / EVALUATIONS_TO_PAINT)
        bare = torch.where(self.bare < FINISHED, self.bare, left * (left >= FINISHED))
        return replace(self, source=torch.lerp(self.source, content, painted), bare=bare)


@dataclass(frozen=True)
class Difference:
    """What a frame has more than the one before it, ``straight`` on and ``along`` the flow.

    Both (1, 3, H, W), means over 3 x 3 pixels against noise.
    """

    straight: torch.Tensor
    along: torch.Tensor

    @classmethod
    def between(cls, content: torch.Tensor, source: torch.Tensor, warp: Warp) -> "Difference":
        """``content``: the frame, ``source``: the one before it, both (1, 3, H, W); ``warp``: from one to the other."""
        now, before = window.mean(content, 1), window.mean(source, 1)
        return cls(now - before, now - warp(before))


def rested(warp: Warp, content: torch.Tensor, found: Difference, painted: Painted) -> tuple[Warp, Painted]:
    """(how the picture is to be moved, ``painted`` with its lag after that); ``warp``: how the source has moved.

    A picture stands still where a motion says nothing: the source looks as it did when it was painted, and along the
    flow no more like the frame before than straight on (``found``). That holds for motions within the flow's noise, a
    wall beside a moving hand, and with more doubt for stray ones, invented in a plain wall: where the flow back
    contradicts them, or all around a pixel goes nowhere on average. Where a third of the picture does not stand still
    it is the camera that moves, and plain walls go with it.

    What stood still goes on doing so until it lags LONGEST_LAG behind, for a camera that nods comes back; then it
    catches up, and follows every motion until it stands still again.
    """
    straight, along = (
        window.mean(d.square().mean(1, keepdim=True), CHANGE_RADIUS) for d in (found.straight, found.along)
    )
    slow, slow_around = (shorter(flow, FLOW_NOISE) for flow in (warp.flow, window.mean(warp.flow, STROKE)))
    stray = (slow_around & ~slow) | (warp.visible_before < 0.5)
    alike = straight <= torch.where(stray, STRAY_SHARE, REST_SHARE) * (along + REST_FLOOR)
    quiet = (1 - changed(content, painted.source)) * alike * (slow | stray)
    if quiet.mean() < 1 - CAMERA_SHARE:
        quiet = torch.zeros_like(quiet)
    flow = warp.flow * (1 - quiet)
    before = sample(torch.cat((painted.lag, painted.followed), 1), flow, mode="bilinear")
    due = flow + before[:, :2]
    near = shorter(due, LONGEST_LAG * max(content.shape[2:]))
    held = (before[:, 2:] == 0) * near * warp.visible_before.round()
    rest = torch.maximum(quiet, held)
    moved = Warp(due * (1 - rest), torch.maximum(warp.mask, quiet), torch.maximum(warp.visible_before, quiet))
    return moved, replace(painted, lag=due * rest, followed=1 - moved.still)


def density(flow: torch.Tensor) -> torch.Tensor:
    """Previous pixels per current one, (1, 1, H, W): below 1 where the picture is stretched.

    det(1 + dw/dx) with its mean over a brush stroke; 1 where the motion is within the flow's noise.
    """
    across, down = torch.gradient(flow, dim=(3, 2))
    area = (1 + across[:, :1]) * (1 + down[:, 1:]) - across[:, 1:] * down[:, :1]
    area = torch.where(shorter(flow, FLOW_NOISE), 1, area)
    return window.mean(area, STROKE)


def changed(content: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Mask (1, 1, H, W), 1 where the picture differs by more than noise does."""
    difference = window.mean(content - before, CHANGE_RADIUS)
    in_colour = difference.abs().amax(1, keepdim=True) > CHANGE_OF_CHANNEL
    return ((luma(difference).abs() > CHANGE) | in_colour).to(content.dtype)


def doubted(warp: Warp, found: Difference) -> Warp:
    """``warp`` with masks that also ask whether the source looks the same along it: a quick hand fools both flows.

    Times exp(-50 |I_t - warp(I_t-1)|^2), summed over channels (Lai et al. 2018, their visibility mask, section 3.2),
    smoothed against noise. What was seen before is doubted later than what may be compared: four times that, at most 1.
    """
    alike = torch.exp(-LIKENESS * found.along.square().sum(1, keepdim=True))
    return Warp(warp.flow, warp.mask * alike, warp.visible_before * (4 * alike).clamp_max(1))


def start(
    stylised: torch.Tensor,
    source: torch.Tensor,
    content: torch.Tensor,
    warp: Warp,
    painted: torch.Tensor,
    free: torch.Tensor,
) -> torch.Tensor:
    """The previous stylised frame moved along the flow; what was not seen before begins in its palette.

    ``source``: the frame that ``stylised`` was painted from. ``painted``: what every pixel of ``content`` looked like
    when it was last painted; where ``free``, a mask (1, 1, H, W) of what is to be painted, the light follows. The
    others are (1, 3, H, W).
    """
    slope, offset = palette(stylised, source)
    moved = warp(stylised) + free * slope * light(content, painted, warp.visible_before)
    return torch.lerp(slope * content + offset, moved, warp.visible_before).clamp(0, 1)


def palette(stylised: torch.Tensor, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
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
class Colours:
    """The mean colours of a shot's first frame, which the others keep to: what is measured once cannot run away.

    What comes into view is painted again and again, and the style makes it a little paler or darker every time.
    ``source``, ``stylised``: means over the frame. ``slope``: of its palette. All (1, 3, 1, 1).
    """

    source: torch.Tensor
    stylised: torch.Tensor
    slope: torch.Tensor

    @classmethod
    def of(cls, stylised: torch.Tensor, source: torch.Tensor) -> "Colours":
        """``stylised``: the picture, ``source``: what it was painted from, both (1, 3, H, W)."""
        of_source, of_picture = (picture.mean((2, 3), keepdim=True) for picture in (source, stylised))
        return cls(of_source, of_picture, palette(stylised, source)[0])

    def between(self, content: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the mean colours of the picture of ``content`` may lie between, (1, 3, 1, 1) twice.

        Those of the first frame with what has changed in the source added in its palette: all of it, or no more than
        FOLLOWED. A style has its own colours, and how far they go with the source's is for the other losses to say.
        """
        change = content.mean((2, 3), keepdim=True) - self.source
        whole, least = (self.stylised + self.slope * c for c in (change, change.clamp(-FOLLOWED, FOLLOWED)))
        return torch.minimum(whole, least), torch.maximum(whole, least)


def light(content: torch.Tensor, before: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """How much lighter every channel has become since ``before``, (1, 3, H, W).

    The losses hardly ask for it: what was painted by night would stay dark through the morning, beside new paint in the
    new light. Averaged over what was seen before around every pixel, so that what moves leaves no trace of its edges.
    """
    radius = round(max(content.shape[2:]) * LIGHT_RADIUS)
    return window.mean((content - before) * seen, radius) / window.mean(seen, radius).clamp_min(SEEN_LEAST)


def hold(warp: Warp, painted: Painted, firmness: float) -> torch.Tensor:
    """How firmly every pixel is held to where it begins, (1, 1, H, W) in [0, 1]: the temporal loss's mask.

    Not where the flow cannot be trusted, hardly where paint is missing, and less where it moves: HELD_MOVING times
    ``firmness``.
    """
    return warp.mask * (1 - painted.unfinished) ** 4 * warp.still.clamp_min(HELD_MOVING * firmness)


def temporal_weight(coherence: float) -> float:
    """The weight of the temporal loss for ``coherence`` in [0, 1]: 0 at 0, then from GAMMA / 100 to 100 GAMMA."""
    return GAMMA * 100.0 ** (2 * coherence - 1) if coherence > 0 else 0.0


# Weight of the temporal loss at coherence 0.5 (and, whatever the coherence, of a shot's mean colours), and what is left
# of it where a pixel moves. Paint that stands still is copied, not resampled: held this firmly a webcam clip does not
# darken (``temporal_drift.py``). A moving wolf held so would be a tenth worse than its frames by themselves; held a
# fifth as firmly its worst frame is 2 % worse, and held a tenth as firmly 1 % (``frame.py``, 192 px, 16 frames), but on
# true flow the warp error is then larger.
GAMMA, HELD_MOVING = 1e14, 0.2
