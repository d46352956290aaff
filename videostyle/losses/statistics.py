"""What of a layer's features is the style: distances of their mean and Gram matrix from the style's, and their slopes.

m, G: mean and mean Gram matrix of the picture's features; m*, G*: the style's. S = G - m m' and S*: their covariances.
"""

from collections.abc import Callable

import torch

from videostyle.losses.gram import SecondOrder, outer
from videostyle.losses.layer_loss import Layer

# E_l where a relative distance is 1. Measured: with it a picture has about the content loss that it has with Gatys's.
RELATIVE = 2e7
# Least variance of features in any direction, over the style's mean square: Wasserstein's slope is infinite at 0.
LEAST_VARIANCE = 0.1
# Newton-Schulz iterations of a matrix root: an eigenvalue far below the norm grows 2.25 times in one.
ROOT_ITERATIONS = 24
# (layer, the picture's statistics, those wanted, the style's, in whose units a relative distance is) -> (distance (N,),
# its slopes). What is wanted is the style, or what an anchor has reached of it.
Distance = Callable[[Layer, SecondOrder, SecondOrder, SecondOrder], tuple[torch.Tensor, SecondOrder]]


def gram_distance(
    layer: Layer, found: SecondOrder, wanted: SecondOrder, style: SecondOrder
) -> tuple[torch.Tensor, SecondOrder]:
    """|G - G*|^2 / (4 N_l^2) (Gatys eq. 4; ``formulas.style_loss``)."""
    difference, factor = found.gram - wanted.gram, gatys_factor(layer)
    toward = layer.distance_gradient(difference)
    slope = SecondOrder(torch.zeros_like(found.mean), toward * (factor / 2))
    return factor / 4 * (difference * toward).sum((1, 2)), slope


def gatys_factor(layer: Layer) -> float:
    """s^4 / N_l^2, four times that of |G - G*|^2."""
    return layer.reference.scale**4 / layer.reference.channels**2


def shifted_distance(
    layer: Layer, found: SecondOrder, wanted: SecondOrder, style: SecondOrder
) -> tuple[torch.Tensor, SecondOrder]:
    """|H - H*|^2 / |S*|^2 with H the Gram matrix of the features minus m* (Novak and Nikulin 2016 subtract 1)."""

    def shifted(of: SecondOrder) -> torch.Tensor:
        return of.gram - outer(of.mean, style.mean) - outer(style.mean, of.mean - style.mean)

    value, slope = _relative_square(layer, shifted(found) - shifted(wanted), style.covariance)
    return value, SecondOrder(-2 * times(slope, style.mean), slope)


def covariance_distance(
    layer: Layer, found: SecondOrder, wanted: SecondOrder, style: SecondOrder
) -> tuple[torch.Tensor, SecondOrder]:
    """|S - S*|^2 / |S*|^2 + |m - m*|^2 / |m*|^2: a Gram matrix takes a mean for a variance, and the other way round.

    Relative: every layer counts alike, and a pale style as much as a strong one.
    """
    of_covariance, slope = _relative_square(layer, found.covariance - wanted.covariance, style.covariance)
    away = found.mean - wanted.mean
    toward = layer.pulled(away)
    factor = RELATIVE / _positive((style.mean * layer.pulled(style.mean)).sum(1))
    value = of_covariance + factor * (away * toward).sum(1)
    return value, SecondOrder(2 * factor[:, None] * toward - 2 * times(slope, found.mean), slope)


def wasserstein_distance(
    layer: Layer, found: SecondOrder, wanted: SecondOrder, style: SecondOrder
) -> tuple[torch.Tensor, SecondOrder]:
    """(|m - m*|^2 + tr(S + S* - 2 (R S R)^(1/2))) / tr G*, R the root of S*: the squared Wasserstein distance of
    Gaussians (Dowson and Landau 1982). Its slope in S is 1 - R (R S R)^(-1/2) R, one minus the optimal transport.

    Departure: LEAST_VARIANCE is added to S and S* in every direction.
    """
    found, wanted, style = (layer.adapted(statistics) for statistics in (found, wanted, style))
    whole = _positive(_trace(style.gram))
    unit = torch.eye(style.mean.shape[1], dtype=whole.dtype, device=whole.device)
    least = _matrices(LEAST_VARIANCE * whole / len(unit)) * unit
    ours, theirs = found.covariance + least, wanted.covariance + least
    root, _ = roots(theirs)
    crossed, inverse = roots(root @ ours @ root)
    away, factor = found.mean - wanted.mean, RELATIVE / whole
    value = away.square().sum(1) + (_trace(ours) + _trace(theirs) - 2 * _trace(crossed)).clamp_min(0)
    slope = _matrices(factor) * (unit - root @ inverse @ root)
    of_mean = 2 * factor[:, None] * away - 2 * times(slope, found.mean)
    return factor * value, layer.slope_back(SecondOrder(of_mean, slope))


STATISTICS: dict[str, Distance] = {
    "covariance": covariance_distance,
    "gram": gram_distance,
    "shifted": shifted_distance,
    "wasserstein": wasserstein_distance,
}


def _relative_square(layer: Layer, difference: torch.Tensor, style: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """RELATIVE |A D A'|^2 / |A S* A'|^2 for a difference D of (N, C, C), and its slope in D."""
    toward = layer.distance_gradient(difference)
    factor = RELATIVE / _positive((style * layer.distance_gradient(style)).sum((1, 2)))
    return factor * (difference * toward).sum((1, 2)), 2 * _matrices(factor) * toward


def _positive(whole: torch.Tensor) -> torch.Tensor:
    """What a flat style has none of, kept above 0."""
    return whole.clamp_min(torch.finfo(whole.dtype).tiny ** 0.25)


def _matrices(factor: torch.Tensor) -> torch.Tensor:
    """A factor per sample, (N,), that multiplies (N, C, C)."""
    return factor[:, None, None]


def times(matrices: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Products of (N, C, C) or (1, C, C) and (N, C) or (1, C)."""
    return (matrices @ vectors[:, :, None])[:, :, 0]


def _trace(matrices: torch.Tensor) -> torch.Tensor:
    """(N, C, C) -> (N,)."""
    return matrices.diagonal(dim1=1, dim2=2).sum(1)


def roots(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Square roots and their inverses of positive definite (N, C, C) (coupled Newton-Schulz, Higham 2008, eq. 6.35).

    Products alone, so that a CUDA graph can hold them.
    """
    norm = torch.linalg.matrix_norm(matrices, keepdim=True)
    unit = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device).expand_as(matrices)
    root, inverse = matrices / norm, unit
    for _ in range(ROOT_ITERATIONS):
        step = 1.5 * unit - 0.5 * (inverse @ root)
        root, inverse = root @ step, step @ inverse
    return root * norm.sqrt(), inverse / norm.sqrt()
