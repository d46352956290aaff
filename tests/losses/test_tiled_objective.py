"""An objective in tiles against that of the whole picture: targets, losses and gradient."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import CONTENT_LAYERS, STYLE_LAYERS, picture, small_backbone, smooth_picture

from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.pixel_losses import GrainPrior, TemporalPrior
from videostyle.losses.statistics import STATISTICS
from videostyle.losses.style import StyleTarget
from videostyle.networks import compact
from videostyle.networks.backbone import Backbone
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.tiles import tiles

WEIGHTS = LossWeights(content=1.5, style=1e6, tv=0.01, content_layers=CONTENT_LAYERS, style_layers=STYLE_LAYERS)
DOUBLE = torch.float64


def extractors(backbone: Backbone, pooling="average", tile_pixels=1, dtype=DOUBLE):
    """One that takes pictures whole, and one that takes them in tiles."""
    made = [FeatureExtractor(backbone, WEIGHTS.layers, pooling=pooling, dtype=dtype) for _ in range(2)]
    made[1].tile_pixels = tile_pixels
    return made


def pictures(height, width, dtype=DOUBLE, count=1):
    return [picture(height, width, seed=s, count=count, dtype=dtype) for s in (1, 2)], picture(
        50, 70, seed=3, dtype=dtype
    )


def objective(extractor, content, style, weights=WEIGHTS, anchor=None, **options):
    seen, target = ContentTarget(extractor, content, CONTENT_LAYERS), StyleTarget(extractor, style, STYLE_LAYERS)
    target = target if anchor is None else target.anchored_at(extractor, anchor, 4.0)
    return Objective(extractor, seen, target, weights, **options)


def assert_alike(whole: Objective, tiled: Objective, x, near=1e-9):
    (expected, wanted), (found, gradient) = (o.value_and_gradient(x) for o in (whole, tiled))
    for name in ("total", "content", "style", "without_priors", "region"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=near, atol=0)
    torch.testing.assert_close(gradient, wanted, rtol=0, atol=near * wanted.abs().max().item())
    assert wanted.any() and gradient.dtype == wanted.dtype
    torch.testing.assert_close(tiled.value(x).total, found.total, rtol=near, atol=0)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("size", [(48, 64), (77, 131)], ids=str)
@pytest.mark.parametrize("tile_pixels", [1, 200**2 // 4, 192**2])
def test_tiles_change_nothing(pooling, size, tile_pixels):
    (x, content), style = pictures(*size, count=2)
    assert_alike(*(objective(e, content, style) for e in extractors(small_backbone(), pooling, tile_pixels)), x)


@settings(deadline=None, max_examples=15)
@given(height=st.integers(16, 120), width=st.integers(16, 120), side=st.integers(16, 64), average=st.booleans())
def test_tiles_change_nothing_at_any_size(height, width, side, average):
    (x, content), style = pictures(height, width)
    made = extractors(small_backbone(), "average" if average else "max")
    made[1].tiles = lambda size: tiles(*size, side, 16, made[1].halo)  # type: ignore[method-assign]
    assert_alike(*(objective(e, content, style) for e in made), x)


def test_tiles_change_nothing_for_the_embedded_network():
    (x, content), style = pictures(85, 120)
    network = compact.load()
    doubled = {name: replace(r, adapter=r.adapter.double()) for name, r in network.references.items()}
    assert_alike(*(objective(e, content, style) for e in extractors(replace(network, references=doubled))), x)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_tiles_change_no_statistic_anchor_prior_or_region(statistic):
    (x, content), style = pictures(77, 70)
    region = torch.zeros(1, 1, 77, 70, dtype=DOUBLE)
    region[..., 10:60, 20:50] = 0.5
    priors = TemporalPrior(10.0, content, region), GrainPrior(100.0, torch.full((1, 3), 0.01, dtype=DOUBLE))
    weights = replace(WEIGHTS, statistic=statistic)
    made = extractors(small_backbone(adapters=True))
    assert_alike(
        *(objective(e, content, style, weights, anchor=content, priors=priors, region=region) for e in made), x, 1e-8
    )


def test_targets_of_tiles_are_those_of_the_whole_picture():
    x = picture(90, 101, dtype=DOUBLE)
    whole, tiled = extractors(small_backbone())
    a, b = (ContentTarget(e, x, CONTENT_LAYERS).features["conv4_2"] for e in (whole, tiled))
    torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-12)
    assert b.is_contiguous(memory_format=torch.channels_last)
    one, two = (StyleTarget(e, x, STYLE_LAYERS) for e in (whole, tiled))
    for name in STYLE_LAYERS:
        for found, wanted in zip(two.statistics[name].tensors(), one.statistics[name].tensors(), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-4), (torch.bfloat16, 0.05)])
def test_tiles_change_little_in_the_precisions_of_every_day(dtype, near):
    x, content, style = (smooth_picture(96, 120, seed=s) for s in range(3))
    whole, tiled = (objective(e, content, style) for e in extractors(small_backbone(), dtype=dtype))
    (expected, wanted), (found, gradient) = (o.value_and_gradient(x) for o in (whole, tiled))
    torch.testing.assert_close(found.total, expected.total, rtol=near, atol=0)
    assert (gradient - wanted).norm() < near * wanted.norm()


def test_a_picture_in_one_tile_is_computed_as_ever():
    (x, content), _ = pictures(48, 50, torch.float32)
    whole, tiled = (objective(e, content, 1 - content) for e in extractors(small_backbone(), tile_pixels=48 * 50))
    (expected, wanted), (found, gradient) = (o.value_and_gradient(x) for o in (whole, tiled))
    assert torch.equal(found.total, expected.total) and torch.equal(gradient, wanted)
