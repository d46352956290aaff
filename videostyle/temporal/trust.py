"""Where a warp can be trusted, and how firmly a frame is held to the one before it."""

import torch

from videostyle.temporal import box_filter
from videostyle.temporal.coverage import Coverage
from videostyle.temporal.warp import Warp

# alpha of Lai et al. 2018, section 3.2, for pixels in [0, 1].
PHOTOMETRIC_ALPHA = 50.0
# Visibility is doubted this many times later than comparability.
VISIBILITY_MARGIN = 4.0
# Weight of the temporal loss at coherence 0.5, and of a shot's mean colours at any coherence; in the units of alpha.
TEMPORAL_WEIGHT = 1e14
# Share of the temporal weight that a moving pixel has: it is resampled, and held firmly it could not be repainted.
HELD_MOVING = 0.2


def with_photometric_confidence(warp: Warp, content: torch.Tensor, source: torch.Tensor) -> Warp:
    """``warp`` with masks that also ask whether the source looks the same along it.

    ``content``: the frame, ``source``: the one before it, both (1, 3, H, W) in [0, 1]. Visibility times
    exp(-50 |I_t - warp(I_t-1)|^2), summed over channels (Lai et al. 2018, section 3.2). Departure: of means over 3 x 3
    pixels, against noise. A quick hand fools both directions of the flow, but not this.
    """
    change = box_filter.mean(content, 1) - warp(box_filter.mean(source, 1))
    alike = torch.exp(-PHOTOMETRIC_ALPHA * change.square().sum(1, keepdim=True))
    return Warp(warp.flow, warp.visible * alike, warp.visible * (VISIBILITY_MARGIN * alike).clamp_max(1))


def temporal_mask(warp: Warp, coverage: Coverage, temporal_gain: float, *, moves: bool = False) -> torch.Tensor:
    """The temporal loss's mask, (1, 1, H, W) in [0, 1].

    Less where the flow cannot be trusted, where paint is missing, and where the pixel moves: HELD_MOVING times
    ``temporal_gain`` there. ``moves``: hold still pixels no more firmly than that.
    """
    firm = 0 * warp.static if moves else warp.static
    return warp.comparable * (1 - coverage.unfinished) * firm.clamp_min(HELD_MOVING * temporal_gain)


def temporal_weight(coherence: float) -> float:
    """Weight of the temporal loss for ``coherence`` in [0, 1]: 0 at 0, then TEMPORAL_WEIGHT times 1/100 to 100."""
    return TEMPORAL_WEIGHT * 100.0 ** (2 * coherence - 1) if coherence > 0 else 0.0
