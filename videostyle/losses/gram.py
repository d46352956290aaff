"""Gram matrices of features in any precision."""

import torch

# Slices of a bf16 Gram matrix: its rounding is about 2^-11 instead of 2^-9, at no measurable cost.
GRAM_SLICES = 16


def positions_by_channels(features: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) channels-last -> (N, M, C), a view."""
    n, c, h, w = features.shape
    return features.permute(0, 2, 3, 1).reshape(n, h * w, c)


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


def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Per-sample sum of products, accumulated in float32 or better: (N, M, C) twice -> (N,)."""
    wide = torch.promote_types(a.dtype, torch.float32)
    return (a.to(wide) * b.to(wide)).sum((1, 2))


def square(a: torch.Tensor) -> torch.Tensor:
    """``dot(a, a)`` in one pass over memory."""
    wide = torch.promote_types(a.dtype, torch.float32)
    return torch.linalg.vector_norm(a, dim=(1, 2), dtype=wide).square()
