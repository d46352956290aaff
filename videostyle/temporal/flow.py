"""Optical flow between two source frames with OpenCV, and where it can be trusted.

OpenCV is the only thing outside torch that this room needs; the flow convention is stated in ``warp.py``.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from videostyle.errors import MissingLibraryError
from videostyle.frames import to_array
from videostyle.temporal.warp import Warp, sample

try:
    import cv2
except ImportError as e:  # pragma: no cover - depends on the machine's libraries
    raise MissingLibraryError(
        f"OpenCV cannot be imported ({e}); on a machine without a screen install opencv-python-headless instead: "
        "pip uninstall -y opencv-python && pip install opencv-python-headless"
    ) from e

OPENCV_VERSION = cv2.__version__
FlowEstimator = Callable[[torch.Tensor, torch.Tensor], Warp]
# DIS works on pyramids down to patches of 8 pixels; below this it refuses or invents.
SMALLEST_SIDE = 16
# Sundaram, Brox and Keutzer 2010, eqs. 5 and 6, in pixels: the offsets hold at the flow's own resolution.
OCCLUSION_SHARE, OCCLUSION_OFFSET = 0.01, 0.5
BOUNDARY_SHARE, BOUNDARY_OFFSET = 0.01, 0.002
# How much worse than the flow may "nothing moves" explain the frame, as a ratio of mean squared differences? Measured
# on photographs with noise of sigma 2/255: standing still gives 0.83-0.99 in the wide windows (0.74-1.26 near), a shift
# of 0.1 pixel 0.9-3.1 (median 1.4), of 0.2 pixel 0.9-7.8 (2.6); where a shift gives no more than standing still, there
# is nothing to be seen.
REST_SHARE_WINDOW, REST_SHARE_NEAR = 1.05, 2.0
REST_FLOOR = (0.25 / 255) ** 2
CAMERA_SHARE = 1 / 3  # of the pixels
NARROWEST_WINDOW = 12  # pixels on either side


def dis_flow(current: torch.Tensor, previous: torch.Tensor) -> Warp:
    """Flow from the current frame to the previous one by DIS (Kroeger et al. 2016), with its trust mask.

    Both frames: (1, 3, H, W) float32 RGB in [0, 1], at least 16 pixels a side (smaller ones get no motion at all).
    """
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return _both_ways(current, previous, estimator.calc)


def farneback_flow(current: torch.Tensor, previous: torch.Tensor) -> Warp:
    """The same by polynomial expansion (Farneback 2003), OpenCV's usual parameters: smoother, far slower."""

    def estimate(a: np.ndarray, b: np.ndarray, empty: np.ndarray) -> np.ndarray:
        return cv2.calcOpticalFlowFarneback(a, b, empty, 0.5, 5, 15, 3, 5, 1.2, 0)

    return _both_ways(current, previous, estimate)


def flow_named(name: str, longest: int | None = None) -> FlowEstimator:
    """``dis`` or ``farneback``, on frames of at most ``longest`` pixels on the longer side."""
    estimator = {"dis": dis_flow, "farneback": farneback_flow}[name]
    return estimator if longest is None else reduced(estimator, longest)


def reduced(estimator: FlowEstimator, longest: int) -> FlowEstimator:
    """``estimator`` on smaller copies of the frames. Masks are made there, so their thresholds hold at that size."""

    def estimate(current: torch.Tensor, previous: torch.Tensor) -> Warp:
        height, width = current.shape[2:]
        if max(height, width) <= longest:
            return estimator(current, previous)
        size = (
            max(1, round(height * longest / max(height, width))),
            max(1, round(width * longest / max(height, width))),
        )
        small = estimator(*(F.interpolate(f, size, mode="area") for f in (current, previous)))
        scale = torch.tensor([width / size[1], height / size[0]]).view(1, 2, 1, 1)
        flow = F.interpolate(small.flow, (height, width), mode="bilinear", align_corners=False) * scale
        mask, visible = (F.interpolate(m, (height, width), mode="nearest") for m in (small.comparable, small.visible))
        return Warp(flow, mask, visible)

    return estimate


def _both_ways(current: torch.Tensor, previous: torch.Tensor, estimate: Callable[..., np.ndarray]) -> Warp:
    """Flow there and back, the masks that follow from it, and rest where nothing moves. On the CPU."""
    current, previous = current.cpu(), previous.cpu()
    a, b = _grey(current), _grey(previous)
    if min(a.shape) < SMALLEST_SIDE:
        everywhere = current.new_ones(1, 1, *a.shape)
        return Warp(current.new_zeros(1, 2, *a.shape), everywhere, everywhere)
    backward, forward = _flow(estimate, a, b), _flow(estimate, b, a)
    visible = visible_mask(backward, forward)
    resting = at_rest(current, previous, backward)
    backward = backward * (1 - resting)
    visible = torch.maximum(visible, resting)
    return Warp(backward, visible * off_boundaries(backward), visible)


def _grey(frame: torch.Tensor) -> np.ndarray:
    """(1, 3, H, W) in [0, 1] -> (H, W) uint8, which is what DIS takes."""
    return cv2.cvtColor(to_array(frame), cv2.COLOR_RGB2GRAY)


def _flow(estimate: Callable[..., np.ndarray], source: np.ndarray, target: np.ndarray) -> torch.Tensor:
    empty = np.zeros((*source.shape, 2), np.float32)  # None would do, but OpenCV's stubs do not know that
    found = estimate(source, target, empty)
    return torch.from_numpy(found).permute(2, 0, 1)[None].contiguous()


def visible_mask(backward: torch.Tensor, forward: torch.Tensor) -> torch.Tensor:
    """Mask (1, 1, H, W), 1 where a pixel was visible in the previous frame: the two flows agree, and it was inside.

    ``backward``: current to previous, ``forward``: previous to current, both (1, 2, H, W) in pixels. Sundaram et al.
    eq. 5: disoccluded where |w~ + w|^2 >= 0.01 (|w|^2 + |w~|^2) + 0.5, with w~ the forward flow at x + w(x).
    """
    returned = sample(forward, backward, mode="bilinear")
    mismatch = (backward + returned).square().sum(1, keepdim=True)
    lengths = backward.square().sum(1, keepdim=True) + returned.square().sum(1, keepdim=True)
    consistent = mismatch < OCCLUSION_SHARE * lengths + OCCLUSION_OFFSET
    return (consistent & _inside(backward)).to(backward.dtype)


def off_boundaries(flow: torch.Tensor) -> torch.Tensor:
    """Mask (1, 1, H, W), 0 on motion boundaries (Sundaram et al. eq. 6).

    A boundary is where |grad u|^2 + |grad v|^2 > 0.01 |w|^2 + 0.002.
    """
    length = flow.square().sum(1, keepdim=True)
    return (_gradient_energy(flow) <= BOUNDARY_SHARE * length + BOUNDARY_OFFSET).to(flow.dtype)


def at_rest(current: torch.Tensor, previous: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Mask (1, 1, H, W), 1 where no motion explains the current frame as well as ``flow`` does: there nothing moves.

    Noise of a few grey levels makes DIS find motion of up to a pixel where the camera stands still; following it would
    resample a still background in every frame. The squared differences are compared over windows of an eighth of the
    picture (a slow pan shows only where there is texture), and over 5 x 5 pixels (something small may move there). Both
    frames are smoothed first: resampling averages noise away, which would speak for any motion. Where much of the
    picture certainly moves it is the camera, and a plain sky goes with it.
    """
    a, b = _box(current, 1), _box(previous, 1)
    still = (a - b).square().mean(1, keepdim=True)
    moved = (a - sample(b, flow, mode="bicubic")).square().mean(1, keepdim=True)
    window = max(NARROWEST_WINDOW, max(flow.shape[2:]) // 16)
    resting = _box(still, window) <= REST_SHARE_WINDOW * (_box(moved, window) + REST_FLOOR)
    moving = _box(still, 2) > REST_SHARE_NEAR * (_box(moved, 2) + REST_FLOOR)
    camera_moves = moving.float().mean() > CAMERA_SHARE
    return (resting & ~moving & ~camera_moves).to(flow.dtype)


def _box(x: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean over a window of 2 radius + 1 pixels a side, (1, C, H, W) -> the same, the picture mirrored at its border.

    OpenCV's running sums: the cost does not grow with the window.
    """
    side = 2 * radius + 1
    mean = cv2.blur(np.ascontiguousarray(x[0].permute(1, 2, 0).numpy()), (side, side))
    return torch.from_numpy(mean.reshape(*x.shape[2:], x.shape[1])).permute(2, 0, 1)[None]


def _gradient_energy(flow: torch.Tensor) -> torch.Tensor:
    """Sum of squared forward differences of both channels, (N, 2, H, W) -> (N, 1, H, W)."""
    across = torch.diff(flow, dim=3, append=flow[..., -1:])
    down = torch.diff(flow, dim=2, append=flow[..., -1:, :])
    return (across.square() + down.square()).sum(1, keepdim=True)


def given_warp(file: str | Path, fallback: Warp) -> Warp:
    """Known flow from an .npz file (key ``flow``, (H, W, 2), NaN where unknown), scaled to the size of ``fallback``.

    It leads from the current frame to the previous one. Trusted where it is known, inside the frame, off the motion's
    boundaries, and where ``fallback``, which knows both directions, saw the pixel before.
    """
    raw = torch.from_numpy(np.load(file)["flow"].astype(np.float32)).permute(2, 0, 1)[None]
    height, width = fallback.flow.shape[2:]
    scale = torch.tensor([width / raw.shape[3], height / raw.shape[2]]).view(1, 2, 1, 1)
    finite = torch.isfinite(raw).all(1, keepdim=True).float()
    known = F.interpolate(finite, (height, width), mode="area") > 0.999
    flow = F.interpolate(raw.nan_to_num(), (height, width), mode="area") * scale
    visible = (known & _inside(flow)).to(flow.dtype) * fallback.visible
    return Warp(flow, visible * off_boundaries(flow), visible)


def _inside(flow: torch.Tensor) -> torch.Tensor:
    """bool (N, 1, H, W): where x + flow(x) lies inside the frame, to the outer edges of its pixels.

    Between the centres of the outermost pixels would be too strict: noise of a tenth of a pixel would hide the border.
    """
    height, width = flow.shape[2:]
    x = torch.arange(width, device=flow.device) + flow[:, 0:1]
    y = torch.arange(height, device=flow.device).view(-1, 1) + flow[:, 1:2]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
