"""Octaves finer than the one that a frame is painted at: each is finished from the one below it in few evaluations.

A film is the same painting at every size, finer.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from videostyle.losses.pixel_losses import Prior, TemporalPrior
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.lbfgs import History
from videostyle.optimise.octaves import enlarged, with_large_forms
from videostyle.stylise.following import Follows, carried
from videostyle.stylise.schedule import ANCHOR_GAIN
from videostyle.stylise.state import FinerState
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.warp import Warp

# Evaluations of a finer octave: of a shot's first frame, and of those after it.
FIRST_EVALUATIONS, EVALUATIONS = 20, 3
# Curvature pairs that are carried on: one gives the next step its length, and moving more takes longer than they save.
PAIRS = 1


def begin(stylizer: Stylizer, contents: Sequence[torch.Tensor], painted: torch.Tensor) -> tuple[FinerState, ...]:
    """The finer octaves of a shot's first frame, the nearest first: the content's own detail on the octave below.

    ``contents``: the source at all octaves, (1, 3, H, W) each; ``painted``: the picture of the first of them.
    """
    made: list[FinerState] = []
    name = "palette" if stylizer.first_init == "network" else stylizer.first_init  # a network has learned another size
    for content in contents[1:]:
        start = with_large_forms(stylizer.start(name, content), painted)
        optimiser = stylizer.optimiser(content, finer=True)
        task = FrameTask("finer", start, max_evaluations=FIRST_EVALUATIONS)
        image, history = optimiser.run(content, task, on_picture=stylizer.shown(content))
        painted = image.pixels
        made.append(FinerState(painted, _newest(history), optimiser.anchored(painted, ANCHOR_GAIN)))
    return tuple(made)


def follow(
    stylizer: Stylizer,
    contents: Sequence[torch.Tensor],
    painted: torch.Tensor,
    last: torch.Tensor,
    finer: Sequence[FinerState],
    follows: Follows,
) -> tuple[FinerState, ...]:
    """The finer octaves of a frame after that: those of the frame before, moved, and changed as the octave below was.

    ``contents``, ``painted``: as for `begin`. ``last``: the frame before, as it was painted; ``finer``: what its finer
    octaves left.
    """
    made: list[FinerState] = []
    change = painted - _moved(stylizer, contents[0], last, follows.warp)
    for content, before in zip(contents[1:], finer, strict=True):
        warp = None if follows.warp is None else follows.warp.resized(content.shape[2], content.shape[3])
        moved = _moved(stylizer, content, before.stylised, warp)
        optimiser = stylizer.optimiser(content, finer=True)
        image, history = optimiser.run(content, _task(moved, change, before, replace(follows, warp=warp)))
        change = image.pixels - moved
        styles = optimiser.anchored(image.pixels, ANCHOR_GAIN) if follows.look_changes else before.styles
        made.append(FinerState(image.pixels, _newest(history), styles))
    return tuple(made)


def _moved(stylizer: Stylizer, content: torch.Tensor, last: torch.Tensor, warp: Warp | None) -> torch.Tensor:
    """The frame before along the motion; what was not visible, as the content in the style's colours."""
    if warp is None:
        return last
    return torch.lerp(stylizer.start("palette", content), warp(last).clamp(0, 1), warp.visible)


def _task(moved: torch.Tensor, change: torch.Tensor, before: FinerState, follows: Follows) -> FrameTask:
    """Few evaluations from ``moved`` with the ``change`` of the octave below, held as firmly as that was.

    The motion of ``follows`` is of this octave.
    """
    size = moved.shape[2], moved.shape[3]
    masks = follows.update_mask, follows.held
    mask, held = (None if m is None else F.interpolate(m, size, mode="bilinear") for m in masks)
    change = enlarged(change, *size)
    start = (moved + (change if mask is None else mask * change)).clamp(0, 1)
    priors: tuple[Prior, ...] = () if held is None else (TemporalPrior(follows.weight, start, held),)
    warp = follows.warp
    trusted = None if warp is None else warp.visible if mask is None else warp.visible * mask
    history = carried(before.history, warp, trusted)
    styles = None if follows.look_changes else before.styles
    return FrameTask("finer", start, history, priors, mask, styles=styles, max_evaluations=EVALUATIONS)


def _newest(history: History | None) -> History | None:
    return None if history is None else history.newest(PAIRS)
