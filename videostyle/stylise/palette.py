"""A picture in a style's colours: the linear map between two distributions of colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch

LEAST_VARIANCE = 1e-4  # in any direction of colour, for values in [0, 1]


@dataclass(frozen=True)
class Moments:
    """Mean (3, 1) and covariance (3, 3) of colours, float64, on the CPU."""

    mean: torch.Tensor
    covariance: torch.Tensor

    @classmethod
    def of(cls, pictures: Sequence[torch.Tensor], weights: Sequence[float]) -> Self:
        """Of pictures (1, 3, H, W), each of which counts by its weight whatever its size."""
        flat = [picture[0].flatten(1).double().cpu() for picture in pictures]
        shares = torch.tensor(weights, dtype=torch.float64) / sum(weights)
        mean = sum(share * x.mean(1, keepdim=True) for share, x in zip(shares, flat, strict=True))
        spread = [(x - mean) @ (x - mean).T / x.shape[1] for x in flat]
        covariance = sum(share * s for share, s in zip(shares, spread, strict=True))
        assert isinstance(mean, torch.Tensor) and isinstance(covariance, torch.Tensor)
        return cls(mean, covariance + LEAST_VARIANCE * torch.eye(3, dtype=torch.float64))


@dataclass(frozen=True)
class ColourMap:
    """``matrix`` (3, 3) times a colour plus ``offset`` (3, 1), float64."""

    matrix: torch.Tensor
    offset: torch.Tensor

    @property
    def key(self) -> tuple[float, ...]:
        """Equal for equal maps."""
        return tuple(torch.cat((self.matrix, self.offset), 1).flatten().tolist())

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """``pictures`` (N, 3, H, W) in [0, 1] in their new colours, in [0, 1]."""
        matrix, offset = self.matrix.to(pictures), self.offset.to(pictures)
        moved = torch.einsum("ij,njhw->nihw", matrix, pictures) + offset.view(1, 3, 1, 1)
        return moved.clamp(0, 1).contiguous()


def colour_map(seen: Moments, wanted: Moments) -> ColourMap:
    """The map that gives colours of the moments ``seen`` those ``wanted``, and moves them least.

    The linear Monge-Kantorovich map (Pitie and Kokaram 2007, eq. 11).
    """
    root, inverse = _roots(seen.covariance)
    middle, _ = _roots(root @ wanted.covariance @ root)
    matrix = inverse @ middle @ inverse
    return ColourMap(matrix, wanted.mean - matrix @ seen.mean)


def _roots(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The square root of a symmetric positive matrix, and its inverse."""
    values, vectors = torch.linalg.eigh(matrix)
    root = values.clamp_min(torch.finfo(values.dtype).tiny).sqrt()
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
