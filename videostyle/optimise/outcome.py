"""The result of optimising one picture."""

from dataclasses import dataclass

import torch

from videostyle.losses.objective import Losses


@dataclass(frozen=True)
class OptimisedImage:
    """An optimised picture: ``pixels`` (1, 3, H, W) in [0, 1] and their ``losses``.

    ``curve``: (evaluations, 3) float32 on the CPU, the total, content and style loss of every evaluation.
    ``content_image_loss``: loss of the content itself as the picture, without priors. ``snapshot``: the picture at
    ``FrameTask.snapshot_at``; ``pixels`` where that is None or the frame ended before it.
    """

    pixels: torch.Tensor
    losses: Losses
    evaluations: int
    seconds: float
    curve: torch.Tensor
    content_image_loss: float
    snapshot: torch.Tensor
