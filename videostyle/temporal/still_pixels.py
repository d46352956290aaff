"""Where nothing moves, and how the picture waits for a motion that may come back."""

from dataclasses import replace

import torch

from videostyle.temporal import box_filter
from videostyle.temporal.coverage import Coverage
from videostyle.temporal.scales import FLOW_NOISE_PX, NEAR_PX, NOISE, PATCH_PX
from videostyle.temporal.warp import Warp, sample, shorter

# If more of the picture than this moves, the camera does.
CAMERA_SHARE = 1 / 3
# Share of the picture's longer side by which still pixels may lag behind a motion before they follow it.
LONGEST_LAG = 1 / 400


def static_mask(
    current: torch.Tensor, previous: torch.Tensor, flow: torch.Tensor, visible: torch.Tensor
) -> torch.Tensor:
    """Mask (1, 1, H, W), 1 where not moving explains ``current`` about as well as ``flow`` does: there nothing moves.

    ``current``, ``previous``: (1, 3, H, W) in [0, 1]. ``flow``: (1, 2, H, W). ``visible``: (1, 1, H, W).

    In noise DIS finds motion, and following it resamples a still background in every frame. Two kinds of motion are
    doubted: those within the flow's noise, and stray ones, which the flow back contradicts or which average to nothing
    over a patch. They hold where they explain more of the difference, over 5 x 5 pixels, than noise makes. Both frames
    are smoothed over 3 x 3 pixels, because resampling averages noise away; two such means differ by 2/9 of its
    variance. Where more than CAMERA_SHARE moves, plain walls go with the camera.
    """
    a, b = box_filter.mean(current, 1), box_filter.mean(previous, 1)
    static = box_filter.mean((a - b).square().mean(1, keepdim=True), NEAR_PX)
    warped = box_filter.mean((a - sample(b, flow, mode="bicubic")).square().mean(1, keepdim=True), NEAR_PX)
    slow, slow_around = (shorter(f, FLOW_NOISE_PX) for f in (flow, box_filter.mean(flow, PATCH_PX)))
    stray = (slow_around & ~slow) | (visible < 0.5)
    resting = (slow | stray) & (static <= warped + 2 / 9 * NOISE**2)
    return (resting & (resting.float().mean() >= 1 - CAMERA_SHARE)).to(flow.dtype)


def withhold_motion(warp: Warp, coverage: Coverage) -> tuple[Warp, Coverage]:
    """(how the picture is to be moved, ``coverage`` with the motion that it has not followed yet).

    ``warp``: how the source has moved. What stood still goes on doing so until it lags LONGEST_LAG behind, since a
    camera that nods comes back; then it catches up, and follows every motion until it stands still again.
    """
    before = sample(torch.cat((coverage.withheld_motion, coverage.moving), 1), warp.flow, mode="bilinear")
    due = warp.flow + before[:, :2]
    near = shorter(due, LONGEST_LAG * max(due.shape[2:]))
    rest = torch.maximum(warp.static, (before[:, 2:] == 0) * near) * warp.visible.round()
    moved = replace(warp, flow=due * (1 - rest))
    return moved, replace(coverage, withheld_motion=due * rest, moving=1 - moved.static)
