"""Whether a painted frame looks as one should. What does not is painted once more, and named if that did not help."""

import math
import statistics
from collections.abc import Sequence

import torch

# A picture whose deviation is below this share of its source's, and below two levels of 255, has collapsed.
FLAT_SHARE, FLAT_DEVIATION = 0.1, 2 / 255
# So many times the median loss of the frames before it is a jump; in three real clips of things that move it was never
# more than 1.04 times that.
JUMP = 4.0
NEIGHBOURS = 5


def problem(
    pixels: torch.Tensor, content: torch.Tensor, loss: float, curve: torch.Tensor, neighbours: Sequence[float]
) -> str:
    """What is wrong with a frame, in words; empty if nothing is.

    ``pixels``, ``content``: (1, 3, H, W). ``curve``: the losses of every evaluation. ``neighbours``: the losses of the
    shot's last frames.
    """
    if not (math.isfinite(loss) and bool(torch.isfinite(curve).all()) and bool(torch.isfinite(pixels).all())):
        return "its loss is not a number"
    deviation = contrast(pixels)
    if deviation < FLAT_DEVIATION and deviation < FLAT_SHARE * contrast(content):
        return "it is one flat colour"
    usual = statistics.median(neighbours) if len(neighbours) > 1 else math.inf
    if loss > JUMP * usual > 0:
        return f"its loss is {loss / usual:.1f} times its neighbours'"
    return ""


def contrast(pixels: torch.Tensor) -> float:
    """The largest deviation of a channel."""
    return pixels.std((2, 3)).max().item()
