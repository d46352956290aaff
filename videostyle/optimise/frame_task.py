"""The order for one frame."""

from dataclasses import dataclass

import torch

from videostyle.losses.pixel_losses import Prior
from videostyle.losses.style import StyleTarget
from videostyle.optimise.lbfgs import History


@dataclass(frozen=True)
class FrameTask:
    """What the optimiser needs to know of one frame beside its content.

    ``name``: of the start, for the record. ``start``: (1, 3, H, W) float32 in [0, 1].
    ``history``: curvature pairs for L-BFGS, already warped; it overwrites them. None: none.
    ``priors``: losses on the pixels.
    ``update_mask``: (1, 1, H, W) of 0 and 1, 0 where the start stays as it is; None: all pixels change.
    ``repair_mask``: (1, 1, H, W) in [0, 1], pixels with a style loss of their own too.
    ``styles``: the shot's anchored styles, one for each of the optimiser's areas; None: the optimiser's own.
    ``target``: the frame ends at the loss ``stopping.target_loss`` gives for it; None: once it has settled.
    ``min_evaluations``: None: the settings' ``min_iterations``. ``max_evaluations``: None: their ``iterations``.
    ``snapshot_at``: evaluation after which the picture is kept as ``OptimisedImage.snapshot``.
    """

    name: str
    start: torch.Tensor
    history: History | None = None
    priors: tuple[Prior, ...] = ()
    update_mask: torch.Tensor | None = None
    repair_mask: torch.Tensor | None = None
    styles: tuple[StyleTarget, ...] | None = None
    target: float | None = None
    min_evaluations: int | None = None
    max_evaluations: int | None = None
    snapshot_at: int | None = None
