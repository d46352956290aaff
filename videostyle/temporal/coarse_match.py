"""Where DIS lost a motion: displacements found by comparing small copies of two frames at every shift, for it to start
from. DIS begins at a sixteenth of the size, where something small that moves fast is a pixel or two."""

import torch
import torch.nn.functional as F

from videostyle.temporal import box_filter
from videostyle.temporal.warp import sample

# Longer side of the frames that are compared, and how far they are shifted, both in pixels of theirs.
COMPARED_PX, REACH_PX = 48, 6
# A displacement must explain the colours, summed over the channels, so much better than the flow does.
CLEARLY = 0.05
# Share of the pixels for which it must do so for the flow to be estimated again.
LOST_SHARE = 0.01


def better_start(current: torch.Tensor, previous: torch.Tensor, flow: torch.Tensor) -> torch.Tensor | None:
    """``flow`` with the displacements that explain ``current`` clearly better, None where hardly any does.

    ``current``, ``previous``: (1, 3, H, W) in [0, 1]. ``flow``: (1, 2, H, W) in pixels, from current to previous.
    """
    height, width = current.shape[2:]
    scale = max(height, width) / COMPARED_PX
    if scale <= 1:
        return None
    size = max(1, round(height / scale)), max(1, round(width / scale))
    factors = flow.new_tensor([width / size[1], height / size[0]]).view(1, 2, 1, 1)
    a, b = (F.interpolate(frame, size, mode="area") for frame in (current, previous))
    known = F.interpolate(flow, size, mode="area") / factors
    unexplained = _difference(a, b, known) - CLEARLY
    if (unexplained > 0).float().mean().item() < LOST_SHARE:
        return None
    found = _best_shifts(a, b)
    better = _difference(a, b, found) < unexplained
    if better.float().mean().item() < LOST_SHARE:
        return None
    return F.interpolate(torch.where(better, found, known), (height, width), mode="nearest") * factors


def _difference(a: torch.Tensor, b: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Mean difference of the colours over 3 x 3 pixels, summed over the channels, (1, 1, h, w)."""
    return box_filter.mean((sample(b, flow, mode="bilinear") - a).abs().sum(1, keepdim=True), 1)


def _best_shifts(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(1, 2, h, w): the shift from every pixel of ``a`` to the most similar of ``b`` by 3 x 3, the median of 3 x 3."""
    height, width = a.shape[2:]
    side = 2 * REACH_PX + 1
    shifted = F.pad(b, (REACH_PX,) * 4, mode="replicate").unfold(2, height, 1).unfold(3, width, 1)[0]
    difference = (shifted - a[0, :, None, None]).abs_().sum(0).view(1, side * side, height, width)
    best = box_filter.mean(difference, 1).argmin(1, keepdim=True)
    shifts = torch.cat((best % side, best // side), 0).to(a.dtype) - REACH_PX
    around = F.unfold(F.pad(shifts, (1, 1, 1, 1), mode="replicate"), 3)
    return around.median(1).values.view(1, 2, height, width)
