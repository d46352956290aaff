"""Where a warp can be trusted, and how firmly a frame is held to the one before it."""

from dataclasses import dataclass

import torch

from videostyle.temporal import box_filter
from videostyle.temporal.coverage import Coverage
from videostyle.temporal.warp import Warp

# Lai et al. 2018: alpha of the visibility mask, for pixels in [0, 1].
PHOTOMETRIC_ALPHA = 50.0


@dataclass(frozen=True)
class FrameDifference:
    """What a frame has more than the one before it, ``static`` on and ``warped`` the flow.

    Both (1, 3, H, W), means over 3 x 3 pixels against noise.
    """

    static: torch.Tensor
    warped: torch.Tensor

    @classmethod
    def between(cls, content: torch.Tensor, source: torch.Tensor, warp: Warp) -> "FrameDifference":
        """``content``: the frame, ``source``: the one before it, both (1, 3, H, W); ``warp``: from one to the other."""
        now, before = box_filter.mean(content, 1), box_filter.mean(source, 1)
        return cls(now - before, now - warp(before))


def with_photometric_confidence(warp: Warp, found: FrameDifference) -> Warp:
    """``warp`` with masks that also ask whether the source looks the same along it: a quick hand fools both flows.

    Times exp(-50 |I_t - warp(I_t-1)|^2), summed over channels (Lai et al. 2018, their visibility mask, section 3.2),
    smoothed against noise. What was seen before is doubted later than what may be compared: four times that, at most 1.
    """
    alike = torch.exp(-PHOTOMETRIC_ALPHA * found.warped.square().sum(1, keepdim=True))
    return Warp(warp.flow, warp.comparable * alike, warp.visible * (4 * alike).clamp_max(1))


def temporal_mask(warp: Warp, coverage: Coverage, temporal_gain: float) -> torch.Tensor:
    """How firmly every pixel is held to where it begins, (1, 1, H, W) in [0, 1]: the temporal loss's mask.

    Not where the flow cannot be trusted, hardly where paint is missing, and less where it moves: HELD_MOVING times
    ``temporal_gain``.
    """
    return warp.comparable * (1 - coverage.unfinished) ** 4 * warp.static.clamp_min(HELD_MOVING * temporal_gain)


def temporal_weight(coherence: float) -> float:
    """The weight of the temporal loss for ``coherence`` in [0, 1]: 0 at 0, then from GAMMA / 100 to 100 GAMMA."""
    return TEMPORAL_WEIGHT * 100.0 ** (2 * coherence - 1) if coherence > 0 else 0.0


# Weight of the temporal loss at coherence 0.5 (and, whatever the coherence, of a shot's mean colours), and what is left
# of it where a pixel moves. Paint that stands still is copied, not resampled: held this firmly a webcam clip does not
# darken (``temporal_drift.py``). A moving wolf held so would be a tenth worse than its frames by themselves; held a
# fifth as firmly its worst frame is 2 % worse, and held a tenth as firmly 1 % (``frame.py``, 192 px, 16 frames), but on
# true flow the warp error is then larger.
TEMPORAL_WEIGHT, HELD_MOVING = 1e14, 0.2
