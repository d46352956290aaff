"""What is asked of one frame."""

from dataclasses import dataclass

import torch

from videostyle.losses.pixel import Prior
from videostyle.losses.style import StyleTarget
from videostyle.optimise.lbfgs import History


@dataclass(frozen=True)
class FrameTask:
    """One frame's order, handed through unchanged from whoever begins a frame to the optimiser.

    ``name``: of the start, for the record. ``start``: (1, 3, H, W) float32 in [0, 1].
    ``history``: where L-BFGS goes on from, warped already; None starts afresh. ``priors``: losses on the pixels.
    ``update_mask``: (1, 1, H, W) of 0 and 1, 0 where the start stays as it is; None updates everything.
    ``repair_mask``: (1, 1, H, W) in [0, 1], pixels that are drawn to the style by themselves too.
    ``style``: the style as this shot has it; None: as it is.
    ``target``: ends the frame once its loss is at ``stopping.target_loss``; None: only when it has settled.
    ``min_evaluations``: None: the settings' ``min_iterations``.
    ``snapshot_at``: the evaluation after which the picture is kept as ``OptimisedImage.snapshot``.
    """

    name: str
    start: torch.Tensor
    history: History | None = None
    priors: tuple[Prior, ...] = ()
    update_mask: torch.Tensor | None = None
    repair_mask: torch.Tensor | None = None
    style: StyleTarget | None = None
    target: float | None = None
    min_evaluations: int | None = None
    snapshot_at: int | None = None
