"""Gram matrices and means of features in any precision."""

from dataclasses import dataclass

import torch

# Slices of a bf16 Gram matrix: its rounding is about 2^-11 instead of 2^-9, at no measurable cost.
GRAM_SLICES = 16
# Positions whose features a bf16 product adds up, and those to which a vector is added at a time.
MEAN_BLOCK, ROW = 64, 16


@dataclass(frozen=True)
class SecondOrder:
    """Mean (N, C) and mean Gram matrix (N, C, C) of features over their positions, or a loss's slopes in them."""

    mean: torch.Tensor
    gram: torch.Tensor

    @classmethod
    def of(cls, features: torch.Tensor) -> "SecondOrder":
        """Of features in any precision, (N, C, H, W); float32 or better."""
        return cls(mean_features(features), mean_gram(features))

    @classmethod
    def weighted(cls, features: torch.Tensor, weights: torch.Tensor) -> "SecondOrder":
        """Of features (1, C, H, W), each position times its weight, (H, W); weights of a whole picture sum to 1."""
        flat = positions_by_channels(features)[0]
        return weighted_sums(flat, flat * weights.flatten()[:, None].to(flat.dtype))

    @property
    def covariance(self) -> torch.Tensor:
        """(N, C, C)."""
        return self.gram - outer(self.mean, self.mean)

    def plus(self, other: "SecondOrder", factor: float) -> "SecondOrder":
        """This plus ``factor`` times ``other``."""
        return SecondOrder(self.mean + factor * other.mean, self.gram + factor * other.gram)

    def times(self, factor: float) -> "SecondOrder":
        """This times ``factor``."""
        return self if factor == 1 else SecondOrder(self.mean * factor, self.gram * factor)

    def tensors(self) -> list[torch.Tensor]:
        return [self.mean, self.gram]

    def clone(self) -> "SecondOrder":
        return SecondOrder(self.mean.clone(), self.gram.clone())


def outer(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Outer products of vectors, (N, C) twice -> (N, C, C)."""
    return a[:, :, None] * b[:, None, :]


def positions_by_channels(features: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) channels-last -> (N, M, C), a view."""
    n, c, h, w = features.shape
    return features.permute(0, 2, 3, 1).reshape(n, h * w, c)


def mean_features(features: torch.Tensor) -> torch.Tensor:
    """Mean over the positions, (N, C, H, W) -> (N, C), float32 or better.

    In bf16 by products of MEAN_BLOCK positions with ones, added up in float32: a CPU takes a third of the time.
    """
    flat = positions_by_channels(features)
    n, m, c = flat.shape
    if flat.dtype != torch.bfloat16:
        return flat.mean(1)
    whole = m // MEAN_BLOCK * MEAN_BLOCK
    blocks = flat[:, :whole].reshape(-1, MEAN_BLOCK, c)
    ones = torch.ones(1, 1, 1, dtype=flat.dtype, device=flat.device).expand(len(blocks), 1, MEAN_BLOCK)
    total = torch.bmm(ones, blocks).view(n, -1, c).sum(1, dtype=torch.float32)
    return (total + flat[:, whole:].sum(1, dtype=torch.float32)) / m


def add_to_positions(g: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """``g`` (N, M, C) with ``vectors`` (N, C) added at every position, in place; contiguous.

    Several positions as one row: a CPU takes a tenth of the time for few channels.
    """
    n, m, c = g.shape
    vectors = vectors.to(g.dtype)[:, None]
    whole = m // ROW * ROW
    g[:, :whole].view(n, whole // ROW, ROW * c).add_(vectors.repeat(1, 1, ROW))
    g[:, whole:].add_(vectors)
    return g


def mean_gram(features: torch.Tensor) -> torch.Tensor:
    """``formulas.gram`` of features in any precision, (N, C, H, W) -> (N, C, C), float32 or better."""
    flat = positions_by_channels(features)
    return sliced_product(flat, flat) / flat.shape[1]


def sliced_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a'b over the positions, (N, M, C) twice -> (N, C, C), float32 or better.

    A bf16 product rounds its result to 8 bits, too coarse for the difference of two Gram matrices: bf16 positions are
    cut into slices, whose rounded products are added in float32.
    """
    n, m, c = a.shape
    if a.dtype != torch.bfloat16:
        return a.transpose(1, 2) @ b
    slices = max(1, min(GRAM_SLICES, m // c))
    whole = m // slices * slices
    left, right = (t[:, :whole].reshape(n * slices, whole // slices, c) for t in (a, b))
    total = torch.bmm(left.transpose(1, 2), right).view(n, slices, c, c).float().sum(1)
    if whole < m:
        total += torch.bmm(a[:, whole:].transpose(1, 2), b[:, whole:])
    return total


def weighted_sums(flat: torch.Tensor, weighted: torch.Tensor, sliced: bool = True) -> SecondOrder:
    """Mean and Gram matrix of positions (M, C); ``weighted``: times their weights; ``sliced``: by `sliced_product`."""
    gram = sliced_product(weighted[None], flat[None])[0] if sliced else weighted.T @ flat
    wide = torch.promote_types(flat.dtype, torch.float32)
    return SecondOrder(weighted.sum(0, dtype=wide)[None], gram[None])


def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Per-sample sum of products, accumulated in float32 or better: (N, M, C) twice -> (N,)."""
    wide = torch.promote_types(a.dtype, torch.float32)
    return (a.to(wide) * b.to(wide)).sum((1, 2))


def square(a: torch.Tensor) -> torch.Tensor:
    """``dot(a, a)`` in one pass over memory."""
    wide = torch.promote_types(a.dtype, torch.float32)
    return torch.linalg.vector_norm(a, dim=(1, 2), dtype=wide).square()
