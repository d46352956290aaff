"""Optical flow between two source frames with OpenCV, and where it can be trusted.

OpenCV is the only thing outside torch that this room needs; the flow convention is stated in ``warp.py``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from videostyle.errors import MissingLibraryError
from videostyle.motion.warp import Warp, sample

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


def dis_flow(current: torch.Tensor, previous: torch.Tensor) -> Warp:
    """Flow from the current frame to the previous one by DIS (Kroeger et al. 2016), with its trust mask.

    Both frames: (1, 3, H, W) float32 RGB in [0, 1], at least 16 pixels a side (smaller ones get no motion at all).
    """
    a, b = _grey(current), _grey(previous)
    if min(a.shape) < SMALLEST_SIDE:
        return Warp(current.new_zeros(1, 2, *a.shape), current.new_ones(1, 1, *a.shape))
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    backward, forward = _flow(estimator, a, b), _flow(estimator, b, a)
    visible = seen(backward, forward)
    return Warp(backward, visible * off_boundaries(backward), visible)


def _grey(frame: torch.Tensor) -> np.ndarray:
    """(1, 3, H, W) in [0, 1] -> (H, W) uint8, which is what DIS takes."""
    rgb = (frame[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def _flow(estimator: Any, source: np.ndarray, target: np.ndarray) -> torch.Tensor:
    empty = np.zeros((*source.shape, 2), np.float32)  # None would do, but OpenCV's stubs do not know that
    found = estimator.calc(source, target, empty)
    return torch.from_numpy(found).permute(2, 0, 1)[None].contiguous()


def seen(backward: torch.Tensor, forward: torch.Tensor) -> torch.Tensor:
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


def _gradient_energy(flow: torch.Tensor) -> torch.Tensor:
    """Sum of squared forward differences of both channels, (N, 2, H, W) -> (N, 1, H, W)."""
    across = torch.diff(flow, dim=3, append=flow[..., -1:])
    down = torch.diff(flow, dim=2, append=flow[..., -1:, :])
    return (across.square() + down.square()).sum(1, keepdim=True)


def _inside(flow: torch.Tensor) -> torch.Tensor:
    """bool (N, 1, H, W): where x + flow(x) lies inside the frame."""
    height, width = flow.shape[2:]
    x = torch.arange(width, device=flow.device) + flow[:, 0:1]
    y = torch.arange(height, device=flow.device).view(-1, 1) + flow[:, 1:2]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
