"""What a trained network can do, beside an optimised picture of the same content."""

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from videostyle.networks.style_network_file import TrainedNetwork
from videostyle.optimise.frame_task import FrameTask
from videostyle.stylise.network_painter import MOVED_TRUST, NetworkPainter
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.flow import inside
from videostyle.temporal.warp import warp
from videostyle.training.views import Motion, Picture, View

EVALUATIONS = 60  # of the optimised picture
TIMED_SIZE, ROUNDS = (288, 512), 7  # height and width in pixels
MOTION = Motion(dx=3.3, dy=1.7, zoom=1.004, turn=0.004)
MOVING_SIDE, MOVING_FRAMES = 256, 5


def report_card(stylizer: Stylizer, trained: TrainedNetwork, contents: Sequence[torch.Tensor]) -> dict[str, Any]:
    """Means over ``contents``, (1, 3, H, W) each, as plain numbers.

    ``style``: the fall of the style loss from the content's own, over an optimised picture's. ``content``: the content
    loss over the optimised picture's. ``warp_error``: squared, along a known motion, of a moving view of the first
    content. ``milliseconds``: a frame of 512 x 288 on this machine.
    """
    painter = NetworkPainter(trained, stylizer.machine)
    falls, ratios = [], []
    for content in (c.to(stylizer.machine.device) for c in contents):
        optimised, _ = stylizer.optimise(
            content, FrameTask("content", content, target=torch.inf, min_evaluations=EVALUATIONS)
        )
        before, after = (stylizer.losses(content, pixels) for pixels in (content, painter.paint(content)))
        falls.append(((before.style - after.style) / (before.style - optimised.losses.style)).item())
        ratios.append((after.content / optimised.losses.content).item())
    return {
        "style": round(statistics.fmean(falls), 3),
        "content": round(statistics.fmean(ratios), 2),
        "warp_error": float(f"{moving_error(painter, contents[0]):.3g}"),
        "milliseconds": round(milliseconds(painter), 1),
        "machine": stylizer.machine.name,
    }


def moving_error(painter: NetworkPainter, content: torch.Tensor) -> float:
    """Mean squared change along the motion of a view of ``content``, of the pictures of its frames."""
    picture, errors = Picture(content.cpu()), list[float]()
    scale = min(picture.height, picture.width) / MOVING_SIDE * 0.9
    before, device = View((picture.width - 1) / 2, (picture.height - 1) / 2, scale), painter.machine.device
    painted = painter.paint(before.of(picture, MOVING_SIDE).to(device))
    for _ in range(MOVING_FRAMES):
        view = before.moved(MOTION)
        flow = view.flow_to(before, MOVING_SIDE).to(device)
        seen, moved = inside(flow).float(), warp(painted, flow).clamp(0, 1)
        painted = painter.paint(view.of(picture, MOVING_SIDE).to(device), moved, MOVED_TRUST * seen)
        errors.append((((painted - moved) ** 2 * seen).mean() / seen.mean()).item())
        before = view
    return statistics.fmean(errors)


def milliseconds(painter: NetworkPainter) -> float:
    """The median time of a frame that follows another."""
    frame = torch.rand(1, 3, *TIMED_SIZE, device=painter.machine.device)
    trust, times = torch.ones_like(frame[:, :1]), list[float]()
    for _ in range(ROUNDS):
        began = time.perf_counter()
        painter.paint(frame, frame, trust).cpu()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)
