"""Where the picture stands still."""

from dataclasses import replace

import torch

from videostyle.temporal import box_filter
from videostyle.temporal.coverage import CHANGE_RADIUS, FLOW_NOISE, STROKE_RADIUS_PX, Coverage, changed
from videostyle.temporal.flow import CAMERA_SHARE, REST_FLOOR
from videostyle.temporal.trust import FrameDifference
from videostyle.temporal.warp import Warp, sample, shorter

# What stood still may lag this far behind a motion before it follows, as a share of the picture's longer side.
LONGEST_LAG = 1 / 400
# How much worse than the flow may standing still explain the 5 x 5 pixels around one, as a ratio of squares, where the
# motion is within noise; and where it is a stray one, which was searched for in noise and has found what looks best.
REST_SHARE, STRAY_SHARE = 1.25, 4.0


def suppress_spurious_motion(
    warp: Warp, content: torch.Tensor, found: FrameDifference, coverage: Coverage
) -> tuple[Warp, Coverage]:
    """(how the picture is to be moved, ``coverage`` with its lag after that); ``warp``: how the source has moved.

    A picture stands still where a motion says nothing: the source looks as it did when it was painted, and along the
    flow no more like the frame before than straight on (``found``). That holds for motions within the flow's noise, a
    wall beside a moving hand, and with more doubt for stray ones, invented in a plain wall: where the flow back
    contradicts them, or all around a pixel goes nowhere on average. Where a third of the picture does not stand still
    it is the camera that moves, and plain walls go with it.

    What stood still goes on doing so until it lags LONGEST_LAG behind, for a camera that nods comes back; then it
    catches up, and follows every motion until it stands still again.
    """
    static_residual, warped_residual = (
        box_filter.mean(d.square().mean(1, keepdim=True), CHANGE_RADIUS) for d in (found.static, found.warped)
    )
    slow, slow_around = (
        shorter(flow, FLOW_NOISE) for flow in (warp.flow, box_filter.mean(warp.flow, STROKE_RADIUS_PX))
    )
    stray = (slow_around & ~slow) | (warp.visible < 0.5)
    alike = static_residual <= torch.where(stray, STRAY_SHARE, REST_SHARE) * (warped_residual + REST_FLOOR)
    spurious = (1 - changed(content, coverage.reference)) * alike * (slow | stray)
    if spurious.mean() < 1 - CAMERA_SHARE:
        spurious = torch.zeros_like(spurious)
    flow = warp.flow * (1 - spurious)
    before = sample(torch.cat((coverage.withheld_motion, coverage.moving), 1), flow, mode="bilinear")
    due = flow + before[:, :2]
    near = shorter(due, LONGEST_LAG * max(content.shape[2:]))
    withheld = (before[:, 2:] == 0) * near * warp.visible.round()
    rest = torch.maximum(spurious, withheld)
    moved = Warp(due * (1 - rest), torch.maximum(warp.comparable, spurious), torch.maximum(warp.visible, spurious))
    return moved, replace(coverage, withheld_motion=due * rest, moving=1 - moved.static)
