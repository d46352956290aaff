"""What of a layer's features is the style: distances of their mean and Gram matrix from the style's, and their slopes.

m, G: mean and mean Gram matrix of the picture's features; m*, G*: those wanted. S = G - m m' and S*: their covariances.
"""

from abc import ABC, abstractmethod

import torch

from videostyle.losses.gram import SecondOrder, outer
from videostyle.losses.layer_loss import Layer, with_own_tensors

# E_l where a relative distance is 1, so that beta means about the same with every statistic: measured.
RELATIVE, RELATIVE_WASSERSTEIN = 2e7, 2e8
# Least variance of features in any direction, over the style's mean square: Wasserstein's slope is infinite at 0.
LEAST_VARIANCE = 1.0
# Directions of a layer's features whose covariances are compared by Wasserstein's distance.
JOINT = 64
# Newton-Schulz iterations of a matrix root: an eigenvalue far below the norm grows 2.25 times in one.
ROOT_ITERATIONS = 24


class Distance(ABC):
    """From the statistics ``wanted``, which are the style's, or what an anchor has reached of them.

    ``style``: the style's own, in whose units a relative distance is. Tensors that depend on the two are made once.
    """

    def __init__(self, layer: Layer, wanted: SecondOrder, style: SecondOrder) -> None:
        self.layer = layer

    @abstractmethod
    def __call__(self, found: SecondOrder) -> tuple[torch.Tensor, SecondOrder]:
        """(E_l of ``found``, (N,), its slopes in m and G)."""

    def tensors(self) -> list[torch.Tensor]:
        """Its own, in a fixed order."""
        return [t for t in vars(self).values() if torch.is_tensor(t)]

    def clone(self) -> "Distance":
        """A copy with tensors of its own."""
        return with_own_tensors(self)


class GramDistance(Distance):
    """|G - G*|^2 / (4 N_l^2) (Gatys eq. 4; ``formulas.style_loss``)."""

    def __init__(self, layer: Layer, wanted: SecondOrder, style: SecondOrder) -> None:
        super().__init__(layer, wanted, style)
        self.gram = wanted.gram
        self.factor = layer.reference.scale**4 / layer.reference.channels**2

    def __call__(self, found: SecondOrder) -> tuple[torch.Tensor, SecondOrder]:
        difference = found.gram - self.gram
        toward = self.layer.distance_gradient(difference)
        slope = SecondOrder(torch.zeros_like(found.mean), toward * (self.factor / 2))
        return self.factor / 4 * (difference * toward).sum((1, 2)), slope


class RelativeDistance(Distance):
    """A distance that counts every layer alike, and a pale style as much as a strong one."""

    def __init__(self, layer: Layer, wanted: SecondOrder, style: SecondOrder) -> None:
        super().__init__(layer, wanted, style)
        covariance = style.covariance
        self.covariance_factor = RELATIVE / _positive((covariance * layer.distance_gradient(covariance)).sum((1, 2)))

    def relative_square(self, difference: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """RELATIVE |A D A'|^2 / |A S A'|^2 with S the style's, for a difference D (N, C, C), and its slope in D."""
        toward = self.layer.distance_gradient(difference)
        value = self.covariance_factor * (difference * toward).sum((1, 2))
        return value, 2 * _matrices(self.covariance_factor) * toward


class ShiftedDistance(RelativeDistance):
    """|H - H*|^2 / |S|^2: H is the Gram matrix of the features minus the style's mean, S the style's covariance.

    Novak and Nikulin 2016 ("Improving the Neural Algorithm of Artistic Style") subtract 1.
    """

    def __init__(self, layer: Layer, wanted: SecondOrder, style: SecondOrder) -> None:
        super().__init__(layer, wanted, style)
        self.shift = style.mean
        self.shifted = self._shifted(wanted)

    def __call__(self, found: SecondOrder) -> tuple[torch.Tensor, SecondOrder]:
        value, slope = self.relative_square(self._shifted(found) - self.shifted)
        return value, SecondOrder(-2 * times(slope, self.shift), slope)

    def _shifted(self, of: SecondOrder) -> torch.Tensor:
        return of.gram - outer(of.mean, self.shift) - outer(self.shift, of.mean - self.shift)


class CovarianceDistance(RelativeDistance):
    """|S - S*|^2 / |S|^2 + |m - m*|^2 / |m|^2: a Gram matrix takes a mean for a variance, and the other way round."""

    def __init__(self, layer: Layer, wanted: SecondOrder, style: SecondOrder) -> None:
        super().__init__(layer, wanted, style)
        self.mean, self.covariance = wanted.mean, wanted.covariance
        self.mean_factor = RELATIVE / _positive((style.mean * layer.pulled(style.mean)).sum(1))

    def __call__(self, found: SecondOrder) -> tuple[torch.Tensor, SecondOrder]:
        of_covariance, slope = self.relative_square(found.covariance - self.covariance)
        away = found.mean - self.mean
        toward = self.layer.pulled(away)
        value = of_covariance + self.mean_factor * (away * toward).sum(1)
        of_mean = 2 * self.mean_factor[:, None] * toward - 2 * times(slope, found.mean)
        return value, SecondOrder(of_mean, slope)


class WassersteinDistance(Distance):
    """(|m - m*|^2 + tr(S + S* - 2 (R S R)^(1/2))) / tr G, R the root of S*, G the style's: the squared Wasserstein
    distance of Gaussians (Dowson and Landau 1982). Its slope in S is 1 - R (R S R)^(-1/2) R: one minus the optimal
    transport.

    Departures: a multiple of 1, by LEAST_VARIANCE, is added to S and S*. In the eigenvectors of S* the JOINT strongest
    are compared together, and all others by the sum of their variances: a root takes the cube of their number.
    """

    def __init__(self, layer: Layer, wanted: SecondOrder, style: SecondOrder) -> None:
        super().__init__(layer, wanted, style)
        of_wanted, whole = layer.adapted(wanted), _positive(_trace(layer.adapted(style).gram))
        count = of_wanted.mean.shape[1]
        self.factor, self.least = RELATIVE_WASSERSTEIN / whole, (LEAST_VARIANCE * whole / count)[:, None]
        values, vectors = torch.linalg.eigh(of_wanted.covariance.cpu().double())
        variances = values.flip(-1).clamp_min(0).to(whole) + self.least
        self.strong, self.others = variances[:, :JOINT], variances[:, JOINT:].sum(1)
        root = self.strong.sqrt()
        self.scaling, self.ridge = outer(root, root), torch.diag_embed(self.least.expand_as(root))
        self.left = max(0, count - JOINT)
        self.unit = layer.unit(wanted.mean)
        self.basis = layer.directions(vectors.flip(-1)[..., :JOINT].mT.to(whole))
        self.mean = wanted.mean

    def __call__(self, found: SecondOrder) -> tuple[torch.Tensor, SecondOrder]:
        layer, factor = self.layer, _matrices(self.factor)
        covariance, away = found.covariance, found.mean - self.mean
        strong = self.basis @ covariance @ self.basis.mT
        power = _trace(strong)
        crossed, inverse = roots(self.scaling * (strong + self.ridge))
        others = ((covariance * self.unit).sum((1, 2)) - power).clamp_min(0) + self.left * self.least[:, 0]
        moved = (self.others / others).sqrt() if self.left else torch.ones_like(others)
        apart = power + (self.strong + self.least).sum(1) - 2 * _trace(crossed)
        apart = apart + (others.sqrt() - self.others.sqrt()).square()
        transport = self.scaling * inverse - torch.diag_embed(moved[:, None].expand_as(self.strong))
        slope = factor * (_matrices(1 - moved) * self.unit - self.basis.mT @ transport @ self.basis)
        pulled = layer.pulled(away) * layer.reference.scale**2
        of_mean = 2 * self.factor[:, None] * pulled - 2 * times(slope, found.mean)
        value = self.factor * ((away * pulled).sum(1) + apart.clamp_min(0))
        return value, SecondOrder(of_mean, slope)


STATISTICS: dict[str, type[Distance]] = {
    "covariance": CovarianceDistance,
    "gram": GramDistance,
    "shifted": ShiftedDistance,
    "wasserstein": WassersteinDistance,
}


def times(matrices: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Products of (N, C, C) or (1, C, C) and (N, C) or (1, C)."""
    return (matrices @ vectors[:, :, None])[:, :, 0]


def roots(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Square roots and their inverses of positive definite (N, C, C)."""
    return by_eigenvalues(matrices) if matrices.device.type == "cpu" else newton_schulz(matrices)


def by_eigenvalues(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`roots` in float64. An eigenvalue that rounding made 0 or negative counts as 1.4e-14 of the largest."""
    values, vectors = torch.linalg.eigh(matrices.double())
    size = values[:, -1:].clamp_min(torch.finfo(torch.float64).tiny)
    root = (values / size).clamp_min(torch.finfo(torch.float32).eps ** 2).mul(size).sqrt()[:, None]
    return tuple((vectors * scale @ vectors.mT).to(matrices.dtype) for scale in (root, 1 / root))


def newton_schulz(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`roots` by products alone (Higham 2008, eq. 6.35): a GPU is fast at them, and a CUDA graph can hold them."""
    norm = torch.linalg.matrix_norm(matrices, keepdim=True)
    unit = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device).expand_as(matrices)
    root, inverse = matrices / norm, unit
    for _ in range(ROOT_ITERATIONS):
        step = 1.5 * unit - 0.5 * (inverse @ root)
        root, inverse = root @ step, step @ inverse
    return root * norm.sqrt(), inverse / norm.sqrt()


def _trace(matrices: torch.Tensor) -> torch.Tensor:
    """(N, C, C) -> (N,)."""
    return matrices.diagonal(dim1=1, dim2=2).sum(1)


def _positive(whole: torch.Tensor) -> torch.Tensor:
    """What a flat style has none of, kept above 0."""
    return whole.clamp_min(torch.finfo(whole.dtype).tiny ** 0.25)


def _matrices(factor: torch.Tensor) -> torch.Tensor:
    """A factor per sample, (N,), that multiplies (N, C, C)."""
    return factor[:, None, None]
