"""How a frame follows the one before it, at every size."""

from dataclasses import dataclass
from functools import partial

import torch

from videostyle.optimise.lbfgs import History
from videostyle.temporal.warp import Warp, sample


@dataclass(frozen=True)
class Follows:
    """How a frame follows the one before it.

    ``warp``: its motion; None: none. ``update_mask``, ``held``: (1, 1, H, W) in [0, 1] at the size that it is painted
    at, where it changes (None: everywhere), and how firmly it is held to its start (None: not at all), by so much
    ``weight``. ``look_changes``: something else is wanted of it.
    """

    warp: Warp | None = None
    update_mask: torch.Tensor | None = None
    held: torch.Tensor | None = None
    weight: float = 0.0
    look_changes: bool = False


def carried(history: History | None, warp: Warp | None, mask: torch.Tensor | None = None) -> History | None:
    """The optimiser's history for the next frame, moved along. Curvature is a guess: bilinear does as well as cubic,
    and costs a fifth."""
    if history is None or warp is None:
        return history and history.clone()
    return history.warped(partial(sample, flow=warp.flow, mode="bilinear"), mask)
