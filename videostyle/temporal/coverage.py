"""What is known of every pixel of the last picture: whether its paint is complete, and what it was painted from."""

from dataclasses import dataclass, replace

import torch

from videostyle.temporal import box_filter
from videostyle.temporal.scales import FLOW_NOISE_PX, NEAR_PX, NOISE, stroke_radius_px
from videostyle.temporal.warp import Warp, shorter

# Evaluations after which a pixel that has come into view has all of its paint; it gains the same share with each.
EVALUATIONS_TO_COVER = 100


@dataclass(frozen=True)
class Coverage:
    """What is known of every pixel of the shot's last picture.

    ``reference``: (1, 3, H, W) in [0, 1], the source as it was when the pixel was last painted. ``missing``:
    (1, 1, H, W) in [0, 1], the share of its paint that a pixel lacks: 1 as it comes into view. ``withheld_motion``:
    (1, 2, H, W) in pixels, motion that the picture has not followed yet: at x it should show what it shows at
    x + withheld_motion(x). ``moving``: (1, 1, H, W), 1 where the pixel was moved from the frame before; a shot begins
    with 1, so that it follows until it first stands still.
    """

    reference: torch.Tensor
    missing: torch.Tensor
    withheld_motion: torch.Tensor
    moving: torch.Tensor

    @classmethod
    def complete(cls, reference: torch.Tensor) -> "Coverage":
        """After a shot's first frame, which is optimised until it has settled."""
        missing, withheld_motion = torch.zeros_like(reference[:, :1]), torch.zeros_like(reference[:, :2])
        return cls(reference, missing, withheld_motion, moving=torch.ones_like(missing))

    def warped(self, warp: Warp) -> "Coverage":
        """The same at the next frame's pixels; paint that is stretched gets thinner, and thicker again."""
        missing, reference = warp(torch.cat((self.missing, self.reference), 1)).split((1, 3), 1)
        remaining = (1 - missing.clamp(0, 1)) * area_ratio(warp.flow) * warp.visible
        return replace(self, reference=reference, missing=(1 - remaining).clamp(0, 1))

    def update_mask(self, content: torch.Tensor, warp: Warp) -> torch.Tensor:
        """Mask (1, 1, H, W) of 0 and 1: 0 where nothing moves, paint is complete and the source has not changed.

        An optimiser that runs for a thousand frames crawls, however small its steps: such a pixel must not change.
        """
        leave = warp.static * warp.visible * (self.unfinished == 0) * (1 - changed(content, self.reference))
        return box_filter.maximum(1 - leave, NEAR_PX)

    @property
    def unfinished(self) -> torch.Tensor:
        """(1, 1, H, W) in [0, 1]: ``missing``, but 0 where one evaluation would give the rest."""
        return self.missing * (self.missing * EVALUATIONS_TO_COVER >= 1)

    @property
    def repair_mask(self) -> torch.Tensor:
        """(1, 1, H, W) in [0, 1]: what is unfinished, and near it; it is drawn to the style by itself too."""
        return box_filter.maximum(self.unfinished, NEAR_PX)

    def updated(self, content: torch.Tensor, mask: torch.Tensor, evaluations: int) -> "Coverage":
        """After the pixels ``mask`` of the frame ``content`` were optimised for so many ``evaluations``."""
        missing = (self.missing - evaluations / EVALUATIONS_TO_COVER).clamp_min(0)
        return replace(self, reference=torch.lerp(self.reference, content, mask), missing=missing)


def area_ratio(flow: torch.Tensor) -> torch.Tensor:
    """Previous pixels per current one, (1, 1, H, W): below 1 where the picture is stretched.

    det(1 + dw/dx) with its mean over a brush stroke; 1 where the motion is within the flow's noise.
    """
    across, down = torch.gradient(flow, dim=(3, 2))
    area = (1 + across[:, :1]) * (1 + down[:, 1:]) - across[:, 1:] * down[:, :1]
    area = torch.where(shorter(flow, FLOW_NOISE_PX), 1, area)
    return box_filter.mean(area, stroke_radius_px(flow))


def changed(content: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Mask (1, 1, H, W), 1 where the mean of 5 x 5 pixels differs by more than twice the noise's deviation.

    Root mean square of the channels. Noise moves such a mean by a fifth of its deviation; codecs, which are coarse
    with colour, by more.
    """
    difference = box_filter.mean(content - before, NEAR_PX)
    return (difference.square().mean(1, keepdim=True) > (2 * NOISE) ** 2).to(content.dtype)
