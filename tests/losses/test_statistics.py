"""Distances of statistics against autograd through plain definitions, and what each of them cannot see."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import CONTENT_LAYERS, STYLE_LAYERS, picture, small_backbone

from videostyle.losses import formulas, statistics
from videostyle.losses.content import ContentTarget
from videostyle.losses.gram import SecondOrder, add_to_positions, mean_features
from videostyle.losses.layer_loss import Layer
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.statistics import (
    LEAST_VARIANCE,
    RELATIVE,
    RELATIVE_WASSERSTEIN,
    STATISTICS,
    by_eigenvalues,
    newton_schulz,
)
from videostyle.losses.style import StyleTarget
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.settings import Settings

DOUBLE = torch.float64
Plain = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


def moments(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and covariance of (1, C, H, W)."""
    flat = features[0].flatten(1)
    return flat.mean(1), torch.cov(flat, correction=0)


def plain_gram(f: torch.Tensor, a: torch.Tensor, channels: int) -> torch.Tensor:
    return formulas.style_loss(formulas.gram(f), formulas.gram(a), channels)[0]


def plain_shifted(f: torch.Tensor, a: torch.Tensor, channels: int) -> torch.Tensor:
    mean = a.mean((2, 3), keepdim=True)
    ours, theirs = formulas.gram(f - mean), formulas.gram(a - mean)
    return RELATIVE * (ours - theirs).square().sum() / theirs.square().sum()


def plain_covariance(f: torch.Tensor, a: torch.Tensor, channels: int) -> torch.Tensor:
    pairs = zip(moments(f), moments(a), strict=True)
    return RELATIVE * sum(((x - y).square().sum() / y.square().sum() for x, y in pairs), f.new_zeros(()))


def plain_wasserstein(f: torch.Tensor, a: torch.Tensor, channels: int) -> torch.Tensor:
    """By eigenvalues: tr (R S R)^(1/2) is the sum of the roots of those of S* S."""
    (mean, s), (wanted_mean, wanted) = moments(f), moments(a)
    whole = (a * a).mean((2, 3)).sum()
    least = LEAST_VARIANCE * whole / len(s) * torch.eye(len(s), dtype=s.dtype)
    values, vectors = torch.linalg.eigh(wanted + least)
    root = vectors * values.sqrt() @ vectors.T
    crossed = torch.linalg.eigvalsh(root @ (s + least) @ root).clamp_min(0).sqrt().sum()
    apart = (mean - wanted_mean).square().sum() + (s + wanted + 2 * least).trace() - 2 * crossed
    return RELATIVE_WASSERSTEIN * apart / whole


PLAIN: dict[str, Plain] = {
    "covariance": plain_covariance,
    "gram": plain_gram,
    "shifted": plain_shifted,
    "wasserstein": plain_wasserstein,
}
EACH = pytest.mark.parametrize("statistic", sorted(STATISTICS))


def test_every_statistic_is_a_setting() -> None:
    choices = {f.name: f.metadata for f in fields(Settings)}["statistic"]["choices"]
    assert set(STATISTICS) == set(PLAIN) == set(choices)


@EACH
@pytest.mark.parametrize("adapters", [False, True])
def test_equals_autograd(statistic: str, adapters: bool) -> None:
    """The whole style loss and its gradient, through a network with scales and with or without adapters."""
    backbone = small_backbone(scale=1.7, adapters=adapters)
    extractor = FeatureExtractor(backbone, STYLE_LAYERS, dtype=DOUBLE)
    x, style = picture(37, 45, seed=1, dtype=DOUBLE), picture(40, 40, seed=2, dtype=DOUBLE)
    weights = LossWeights(0.0, 3.0, 0.0, (), STYLE_LAYERS, statistic)
    made = Objective(extractor, ContentTarget.of({}), StyleTarget(extractor, style, STYLE_LAYERS), weights)
    found, gradient = made.value_and_gradient(x)
    leaf = x.clone().requires_grad_()
    of_x, of_style = (backbone.features(t, STYLE_LAYERS) for t in (leaf, style))
    parts = [PLAIN[statistic](of_x[n], of_style[n], backbone.references[n].channels) for n in STYLE_LAYERS]
    expected = torch.stack(parts).mean()
    (wanted,) = torch.autograd.grad(3 * expected, leaf)
    torch.testing.assert_close(found.style, expected.detach()[None], rtol=1e-8, atol=0)
    assert (gradient - wanted).norm() < 1e-6 * wanted.norm()


@EACH
def test_an_anchored_gradient_is_that_of_its_total_and_at_the_anchor_the_plain_one(statistic: str) -> None:
    extractor = FeatureExtractor(small_backbone(), (*CONTENT_LAYERS, *STYLE_LAYERS), dtype=DOUBLE)
    x0, content, style, at, step = (picture(32, 40, seed=s, dtype=DOUBLE) for s in range(5))
    weights = LossWeights(1.0, 1.0, 0.0, CONTENT_LAYERS, STYLE_LAYERS, statistic)
    seen, free = ContentTarget(extractor, content, CONTENT_LAYERS), StyleTarget(extractor, style, STYLE_LAYERS)
    held = Objective(extractor, seen, free.anchored_at(extractor, x0, 8.0), weights)
    gradient = held.value_and_gradient(at)[1]
    eps = 1e-6
    up, down = (held.value(at + s * eps * step).total for s in (1, -1))
    torch.testing.assert_close((up - down) / (2 * eps), (gradient * step).sum()[None], rtol=1e-4, atol=0)
    plain = Objective(extractor, seen, free, weights).value_and_gradient(x0)
    there = held.value_and_gradient(x0)
    torch.testing.assert_close(there[1], plain[1], rtol=1e-4, atol=1e-4 * plain[1].abs().max().item())
    assert there[0].style == plain[0].style


@EACH
@pytest.mark.parametrize("flat", [0, 1, 2])
def test_a_flat_picture_or_style_does_no_harm(statistic: str, flat: int) -> None:
    extractor = FeatureExtractor(small_backbone(), STYLE_LAYERS)
    x, style = (torch.full((1, 3, 32, 32), 0.5) if flat in (i, 2) else picture(32, 32) for i in range(2))
    weights = LossWeights(0.0, 1e-6, 0.0, (), STYLE_LAYERS, statistic)
    made = Objective(extractor, ContentTarget.of({}), StyleTarget(extractor, style, STYLE_LAYERS), weights)
    found, gradient = made.value_and_gradient(x)
    assert torch.isfinite(found.total).all() and torch.isfinite(gradient).all()


def distance(statistic: str, found: SecondOrder, style: SecondOrder) -> float:
    layer = Layer.of(small_backbone(), "conv1_1", torch.device("cpu"), DOUBLE)
    return STATISTICS[statistic](layer, style, style)(found)[0].item()


def plain_in_part(f: torch.Tensor, a: torch.Tensor, joint: int) -> torch.Tensor:
    """Of the ``joint`` strongest eigenvectors of S* together, of the others by their variances' sum."""
    (mean, s), (wanted_mean, wanted) = moments(f), moments(a)
    whole = (a * a).mean((2, 3)).sum()
    least = LEAST_VARIANCE * whole / len(s) * torch.eye(len(s), dtype=s.dtype)
    values, vectors = torch.linalg.eigh((wanted + least).detach())
    strong, root = vectors[:, -joint:], values[-joint:].sqrt()
    own = strong.T @ (s + least) @ strong
    crossed = torch.linalg.eigvalsh(root[:, None] * own * root).clamp_min(0).sqrt().sum()
    others = (s + least).trace() - own.trace()
    apart = own.trace() + values[-joint:].sum() - 2 * crossed + (others.sqrt() - values[:-joint].sum().sqrt()).square()
    return RELATIVE_WASSERSTEIN * ((mean - wanted_mean).square().sum() + apart) / whole


@pytest.mark.parametrize("adapters", [False, True])
def test_of_many_directions_the_strongest_are_compared_together(
    adapters: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "JOINT", 3)
    backbone = small_backbone(scale=1.7, adapters=adapters)
    extractor = FeatureExtractor(backbone, ("conv2_1",), dtype=DOUBLE)
    x, style = picture(37, 45, seed=1, dtype=DOUBLE), picture(40, 40, seed=2, dtype=DOUBLE)
    weights = LossWeights(0.0, 3.0, 0.0, (), ("conv2_1",), "wasserstein")
    made = Objective(extractor, ContentTarget.of({}), StyleTarget(extractor, style, ("conv2_1",)), weights)
    found, gradient = made.value_and_gradient(x)
    leaf = x.clone().requires_grad_()
    of_x, of_style = (backbone.features(t, ("conv2_1",))["conv2_1"] for t in (leaf, style))
    assert of_x.shape[1] > 4
    expected = plain_in_part(of_x, of_style, 3)
    (wanted,) = torch.autograd.grad(3 * expected, leaf)
    torch.testing.assert_close(found.style, expected.detach()[None], rtol=1e-6, atol=0)
    assert (gradient - wanted).norm() < 1e-5 * wanted.norm()
    style_itself = made.value(style)
    assert style_itself.style < 1e-6 * found.style


def test_only_a_gram_matrix_takes_a_mean_for_a_variance() -> None:
    """Features that vary about 0, and a constant with the same Gram matrix."""
    c = small_backbone().references["conv1_1"].channels
    vector = torch.linspace(1, 2, c, dtype=DOUBLE)[None]
    gram = vector.mT @ vector
    varying, constant = SecondOrder(torch.zeros_like(vector), gram[None]), SecondOrder(vector, gram[None])
    assert distance("gram", varying, constant) == 0
    for statistic in ("covariance", "wasserstein"):
        assert distance(statistic, constant, varying) > 1


@given(st.integers(0, 10**6), st.sampled_from(sorted(STATISTICS)))
def test_a_distance_is_nothing_from_itself_and_something_from_another(seed: int, statistic: str) -> None:
    c = small_backbone().references["conv1_1"].channels
    one, other = (SecondOrder.of(picture(6, 9, seed=seed + s, dtype=DOUBLE).repeat(1, c, 1, 1)[:, :c]) for s in (0, 1))
    scale = distance(statistic, one, other)
    assert scale > 0
    assert abs(distance(statistic, other, other)) < 1e-5 * scale


@pytest.mark.parametrize("roots", [by_eigenvalues, newton_schulz])
@given(seed=st.integers(0, 10**6), c=st.integers(1, 12))
def test_roots_are_roots(roots: Any, seed: int, c: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(2, c, c, generator=generator, dtype=DOUBLE)
    matrices = a @ a.mT + 0.1 * c * torch.eye(c, dtype=DOUBLE)
    root, inverse = roots(matrices)
    torch.testing.assert_close(root @ root, matrices, rtol=1e-4, atol=1e-4 * matrices.abs().max().item())
    torch.testing.assert_close(root @ inverse, torch.eye(c, dtype=DOUBLE).expand_as(a), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, DOUBLE], ids=str)
@pytest.mark.parametrize("shape", [(1, 5, 17, 13), (2, 3, 2, 3), (2, 4, 16, 16)], ids=str)
def test_means_and_sums_over_positions_are_exact(shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    features = picture(*shape[2:], count=shape[0]).repeat(1, 2, 1, 1)[:, : shape[1]]
    features = features.to(dtype).contiguous(memory_format=torch.channels_last)
    exact = features.double().mean((2, 3))
    near = 2e-3 if dtype == torch.bfloat16 else 1e-6
    torch.testing.assert_close(mean_features(features).double(), exact, rtol=near, atol=0)
    flat, vectors = features.permute(0, 2, 3, 1).flatten(1, 2).contiguous(), exact.to(dtype)
    assert torch.equal(add_to_positions(flat.clone(), vectors), flat + vectors[:, None])
