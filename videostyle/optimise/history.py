"""The curvature history of L-BFGS as one ring tensor, so that it can be carried to the next frame and warped with it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

# A pair (s, y) bends the model upwards by a meaningful amount only if s.y > PAIR_ANGLE |s||y|. The rule has no
# scale of its own: torch's absolute 1e-10 drops every pair of a loss of small scale, and then L-BFGS stalls.
PAIR_ANGLE = 1e-8


@dataclass(frozen=True)
class History:
    """Up to m pairs (s, y) of steps and gradient differences.

    ``pairs``: float32 (2m, 3, H, W), the m steps first, then the m gradient differences, in one ring.
    ``valid``: bool (m,), False where a slot is empty or its pair was rejected. Rejected pairs are masked, not removed:
    shapes never change, which a captured CUDA graph needs.
    ``newest``: int64 scalar tensor, the slot written last.
    """

    pairs: torch.Tensor
    valid: torch.Tensor
    newest: torch.Tensor

    @classmethod
    def empty(cls, size: int, shape: tuple[int, int], device: torch.device | str = "cpu") -> "History":
        """No pairs yet: ``size`` slots for pictures of ``shape`` = (H, W)."""
        return cls(
            pairs=torch.zeros(2 * size, 3, *shape, device=device),
            valid=torch.zeros(size, dtype=torch.bool, device=device),
            newest=torch.full((), size - 1, dtype=torch.int64, device=device),
        )

    @property
    def size(self) -> int:
        return self.valid.shape[0]

    def warped(self, warp: Callable[[torch.Tensor], torch.Tensor], mask: torch.Tensor | None = None) -> "History":
        """The history moved along with the picture, zero where ``mask`` (1, 1, H, W) does not trust the warp."""
        pairs = warp(self.pairs)
        return replace(self, pairs=pairs if mask is None else pairs * mask)
