"""What is known of every pixel of the last picture: whether it is finished, and what it was painted from."""

import math
from dataclasses import dataclass, replace

import torch

from videostyle.frames import luma
from videostyle.temporal import box_filter
from videostyle.temporal.warp import Warp, shorter

# What a pixel lacks of its paint falls by the factor e in this many evaluations. On a webcam clip the style loss of the
# last of 300 frames over the 30th's is 0.972, 0.992 and 1.024 in three styles (``temporal_drift.py``). With 60 it was
# 0.984, 0.997 and 1.031 for up to 7 % more evaluations, and 0.972, 0.997 and 1.023 with 45, before colours were held.
EVALUATIONS_TO_COVER = 45.0
# A pixel that lacks less than this is finished.
COMPLETE_BELOW = 0.1
# Half the width of a brush stroke, over which stretching is averaged; motion that DIS finds in noise. In pixels.
STROKE_RADIUS_PX, FLOW_NOISE = 8, 1.0
# A pixel has changed if the mean of the 5 x 5 pixels around it did since it was painted, in luma by more than CHANGE or
# in any channel by more than CHANGE_OF_CHANNEL. Noise of sigma 2/255 moves that mean by 0.6/255; but codecs are coarse
# with colour: in a webcam's dark board a tenth of the pixels is off by 3/255 in some channel, and none in luma.
CHANGE, CHANGE_OF_CHANNEL = 3 / 255, 6 / 255
CHANGE_RADIUS = 2
# The pixels beside a changed one are painted with it (``changed`` looks two further). With a wider margin the wall
# behind someone who moves is painted again and again: with 4 a webcam's still pixels wander twice as far as with 2.
MARGIN_PX = 1


@dataclass(frozen=True)
class Coverage:
    """What is known of every pixel of the shot's last picture.

    ``reference``: (1, 3, H, W), the source as it was when the pixel was last painted. ``missing``: (1, 1, H, W) in [0,
    1], what the pixel lacks of its paint: 1 as it comes into view. ``withheld_motion``: (1, 2, H, W), motion that the
    picture has not followed yet, in pixels: at x it should show what it shows at x + lag(x). ``moving``: (1, 1, H, W),
    1 where it was moved from the frame before; a shot begins with 1, so that it follows until it first stands still.
    """

    reference: torch.Tensor
    missing: torch.Tensor
    withheld_motion: torch.Tensor
    moving: torch.Tensor

    @classmethod
    def complete(cls, reference: torch.Tensor) -> "Coverage":
        """After the first frame of a shot, which is optimised until it converges: everything is finished."""
        missing, withheld_motion = torch.zeros_like(reference[:, :1]), torch.zeros_like(reference[:, :2])
        return cls(reference, missing, withheld_motion, moving=torch.ones_like(missing))

    def warped(self, warp: Warp) -> "Coverage":
        """The same, known at the next frame's pixels; paint that is stretched gets thinner, and thicker again."""
        missing, reference = warp(torch.cat((self.missing, self.reference), 1)).split((1, 3), 1)
        remaining = (1 - missing.clamp(0, 1)) * area_ratio(warp.flow) * warp.visible
        return replace(self, reference=reference, missing=(1 - remaining).clamp(0, 1))

    def update_mask(self, content: torch.Tensor, warp: Warp) -> torch.Tensor:
        """Mask (1, 1, H, W) of 0 and 1: all but what stands still, is finished and looks as when it was painted."""
        leave = warp.static * warp.visible * (self.missing < COMPLETE_BELOW) * (1 - changed(content, self.reference))
        return box_filter.maximum(1 - leave, MARGIN_PX)

    @property
    def unfinished(self) -> torch.Tensor:
        """(1, 1, H, W) in [0, 1]: ``missing`` without what is finished."""
        return self.missing * (self.missing >= COMPLETE_BELOW)

    @property
    def repair_mask(self) -> torch.Tensor:
        """(1, 1, H, W) in [0, 1]: what is not finished, with a margin; it is to have the style by itself."""
        return box_filter.maximum(self.unfinished, MARGIN_PX)

    def updated(self, content: torch.Tensor, updated_mask: torch.Tensor, evaluations: int) -> "Coverage":
        """What is known when the pixels ``updated_mask`` (a mask) of the frame ``content`` have been painted."""
        left = self.missing * math.exp(-evaluations / EVALUATIONS_TO_COVER)
        missing = torch.where(self.missing < COMPLETE_BELOW, self.missing, left * (left >= COMPLETE_BELOW))
        return replace(self, reference=torch.lerp(self.reference, content, updated_mask), missing=missing)


def area_ratio(flow: torch.Tensor) -> torch.Tensor:
    """Previous pixels per current one, (1, 1, H, W): below 1 where the picture is stretched.

    det(1 + dw/dx) with its mean over a brush stroke; 1 where the motion is within the flow's noise.
    """
    across, down = torch.gradient(flow, dim=(3, 2))
    area = (1 + across[:, :1]) * (1 + down[:, 1:]) - across[:, 1:] * down[:, :1]
    area = torch.where(shorter(flow, FLOW_NOISE), 1, area)
    return box_filter.mean(area, STROKE_RADIUS_PX)


def changed(content: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Mask (1, 1, H, W), 1 where the picture differs by more than noise does."""
    difference = box_filter.mean(content - before, CHANGE_RADIUS)
    in_colour = difference.abs().amax(1, keepdim=True) > CHANGE_OF_CHANNEL
    return ((luma(difference).abs() > CHANGE) | in_colour).to(content.dtype)
