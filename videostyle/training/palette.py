"""A photograph in a painting's colours: what a style network is asked to keep of what it sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch

from videostyle.stylise.style_images import Style
from videostyle.training.views import LEVELS, Picture

LEAST_VARIANCE = 1e-4  # in any direction of colour, for values in [0, 1]


@dataclass(frozen=True)
class Moments:
    """Mean (3, 1) and covariance (3, 3) of colours, float64."""

    mean: torch.Tensor
    covariance: torch.Tensor

    @classmethod
    def of(cls, pictures: Sequence[torch.Tensor], weights: Sequence[float]) -> Self:
        """Of pictures (1, 3, H, W), each of which counts by its weight whatever its size."""
        flat = [picture[0].flatten(1).double() for picture in pictures]
        shares = torch.tensor(weights, dtype=torch.float64) / sum(weights)
        mean = sum(share * x.mean(1, keepdim=True) for share, x in zip(shares, flat, strict=True))
        spread = [(x - mean) @ (x - mean).T / x.shape[1] for x in flat]
        covariance = sum(share * s for share, s in zip(shares, spread, strict=True))
        assert isinstance(mean, torch.Tensor) and isinstance(covariance, torch.Tensor)
        return cls(mean, covariance + LEAST_VARIANCE * torch.eye(3, dtype=torch.float64))


class Palette:
    """Moves the colours of the training pictures to those of a style: mean and covariance over all of them together.

    The linear Monge-Kantorovich map, which moves colours least (Pitie and Kokaram 2007, eq. 11).
    """

    def __init__(self, pictures: Sequence[Picture], style: Style) -> None:
        seen = Moments.of([picture.level(2.0 ** (LEVELS - 1)) for picture in pictures], [1.0] * len(pictures))
        wanted = Moments.of([image.picture for image in style], [image.weight for image in style])
        root, inverse = _roots(seen.covariance)
        middle, _ = _roots(root @ wanted.covariance @ root)
        self._matrix = inverse @ middle @ inverse
        self._offset = wanted.mean - self._matrix @ seen.mean

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """``frames`` (N, 3, H, W) in [0, 1] in the style's colours, in [0, 1]."""
        matrix, offset = self._matrix.to(frames), self._offset.to(frames)
        moved = torch.einsum("ij,njhw->nihw", matrix, frames) + offset.view(1, 3, 1, 1)
        return moved.clamp(0, 1).contiguous()


def _roots(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The square root of a symmetric positive matrix, and its inverse."""
    values, vectors = torch.linalg.eigh(matrix)
    root = values.clamp_min(torch.finfo(values.dtype).tiny).sqrt()
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
