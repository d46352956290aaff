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
from videostyle.temporal.coarse_match import better_start
from videostyle.temporal.scales import PATCH_PX
from videostyle.temporal.still_pixels import static_mask
from videostyle.temporal.warp import Warp, sample

try:
    import cv2
except ImportError as e:  # pragma: no cover - depends on the machine's libraries
    raise MissingLibraryError(
        f"OpenCV cannot be imported ({e}); on a machine without a screen install opencv-python-headless instead: "
        "pip uninstall -y opencv-python && pip install opencv-python-headless"
    ) from e

OPENCV_VERSION = cv2.__version__
# (current, previous) -> Warp; its flow is exactly 0 where nothing moves, so that still pixels are copied.
FlowEstimator = Callable[[torch.Tensor, torch.Tensor], Warp]
# Below two of its patches DIS refuses or invents.
SMALLEST_SIDE = 2 * PATCH_PX
# Sundaram, Brox and Keutzer 2010, eqs. 5 and 6, in pixels: the offsets hold at the flow's own resolution.
OCCLUSION_SHARE, OCCLUSION_OFFSET = 0.01, 0.5
BOUNDARY_SHARE, BOUNDARY_OFFSET = 0.01, 0.002


def use_threads(number: int) -> None:
    """Let OpenCV use so many threads in this process."""
    cv2.setNumThreads(number)


def dis_flow(current: torch.Tensor, previous: torch.Tensor) -> Warp:
    """Flow from the current frame to the previous one by DIS (Kroeger et al. 2016), with its trust mask.

    Both frames: (1, 3, H, W) float32 RGB in [0, 1], at least 16 pixels a side (smaller ones get no motion at all).
    Down to the frames' own size, where the medium preset stops at half of it: that halves the smear along what moves.
    """
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    # Few steps and wide strides, since most of the time is spent at the finest scale, and twice the smoothness
    dis.setGradientDescentIterations(6)
    dis.setPatchStride(4)
    dis.setVariationalRefinementIterations(3)
    dis.setVariationalRefinementAlpha(40.0)
    return _both_ways(current, previous, dis.calc, restarts=True)


def fast_dis_flow(current: torch.Tensor, previous: torch.Tensor) -> Warp:
    """The same by DIS's fast preset, which stops at a quarter of the size: an eighth of the time."""
    return _both_ways(current, previous, cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc)


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
        return small.resized(height, width)

    return estimate


def _both_ways(
    current: torch.Tensor, previous: torch.Tensor, estimate: Callable[..., np.ndarray], *, restarts: bool = False
) -> Warp:
    """Flow there and back on the CPU, as `with_masks` gives it. ``restarts``: the estimate can begin from a flow."""
    current, previous = current.cpu(), previous.cpu()
    a, b = _grey(current), _grey(previous)
    if min(a.shape) < SMALLEST_SIDE:
        everywhere = current.new_ones(1, 1, *a.shape)
        return Warp(current.new_zeros(1, 2, *a.shape), everywhere, everywhere)
    backward, forward = _flow(estimate, a, b), _flow(estimate, b, a)
    if restarts:
        starts = better_start(current, previous, backward), better_start(previous, current, forward)
        backward = backward if starts[0] is None else _flow(estimate, a, b, starts[0])
        forward = forward if starts[1] is None else _flow(estimate, b, a, starts[1])
    return with_masks(current, previous, backward, forward)


def with_masks(current: torch.Tensor, previous: torch.Tensor, backward: torch.Tensor, forward: torch.Tensor) -> Warp:
    """The Warp of two flows (1, 2, H, W): the masks that follow from them, and no motion where nothing moves.

    ``backward``: current to previous, ``forward``: previous to current.
    """
    visible = visible_mask(backward, forward)
    static = static_mask(current, previous, backward, visible)
    backward = backward * (1 - static)
    visible = torch.maximum(visible, static)
    return Warp(backward, visible * off_boundaries(backward), visible)


def _grey(frame: torch.Tensor) -> np.ndarray:
    """(1, 3, H, W) in [0, 1] -> (H, W) uint8, which is what DIS takes."""
    return cv2.cvtColor(to_array(frame), cv2.COLOR_RGB2GRAY)


def _flow(
    estimate: Callable[..., np.ndarray], source: np.ndarray, target: np.ndarray, start: torch.Tensor | None = None
) -> torch.Tensor:
    begun = np.zeros((*source.shape, 2), np.float32)  # no motion, which DIS tries at every scale
    if start is not None:
        begun[:] = start[0].permute(1, 2, 0).numpy()
    found = estimate(source, target, begun)
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
    return (consistent & inside(backward)).to(backward.dtype)


def off_boundaries(flow: torch.Tensor) -> torch.Tensor:
    """Mask (1, 1, H, W), 0 on motion boundaries (Sundaram et al. eq. 6).

    A boundary is where |grad u|^2 + |grad v|^2 > 0.01 |w|^2 + 0.002.
    """
    length = flow.square().sum(1, keepdim=True)
    return (_gradient_energy(flow) <= BOUNDARY_SHARE * length + BOUNDARY_OFFSET).to(flow.dtype)


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
    visible = (known & inside(flow)).to(flow.dtype) * fallback.visible
    return Warp(flow, visible * off_boundaries(flow), visible)


def inside(flow: torch.Tensor) -> torch.Tensor:
    """bool (N, 1, H, W): where x + flow(x) lies inside the frame, to the outer edges of its pixels.

    Between the centres of the outermost pixels would be too strict: noise of a tenth of a pixel would hide the border.
    """
    height, width = flow.shape[2:]
    x = torch.arange(width, device=flow.device) + flow[:, 0:1]
    y = torch.arange(height, device=flow.device).view(-1, 1) + flow[:, 1:2]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
