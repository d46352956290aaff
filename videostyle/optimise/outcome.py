"""What optimising one picture gives."""

from dataclasses import dataclass

import torch

from videostyle.losses.objective import Losses


@dataclass(frozen=True)
class OptimisedImage:
    """One optimised picture in [0, 1], with the losses of exactly these pixels and what they cost.

    ``curve``: (evaluations, 3) float32 on the CPU, the total, content and style loss of every evaluation.
    ``content_image_loss``: what the content itself would cost as the picture, without priors. ``snapshot``: the picture
    as it was at the evaluation that was asked for; ``pixels`` where none was, or where the frame ended before.
    """

    pixels: torch.Tensor
    losses: Losses
    evaluations: int
    seconds: float
    curve: torch.Tensor
    content_image_loss: float
    snapshot: torch.Tensor
