"""An objective in tiles against that of the whole picture: targets, losses and gradient."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import example, given, settings
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
# Of layers that see little beyond their own pixels, so that tiles are small.
SHALLOW = replace(WEIGHTS, content_layers=("conv2_2",), style_layers=("conv1_1", "conv3_1"))
SHALLOW_NETWORK = small_backbone(deepest="conv3_1")
DOUBLE = torch.float64


def extractors(backbone: Backbone, pooling=None, *, side=32, weights=WEIGHTS, dtype=DOUBLE):
    """One that takes pictures whole, and one that takes them in tiles with cores of so many pixels a ``side``."""
    made = [FeatureExtractor(backbone, weights.layers, pooling=pooling, dtype=dtype) for _ in range(2)]
    tiled = partial(tiles, side=side, stride=made[1].smallest_side, halo=made[1].halo)
    made[1].tiles = lambda size: tiled(*size)  # type: ignore[method-assign]
    return made


def pictures(height, width, dtype=DOUBLE, count=1):
    pair = [picture(height, width, seed=s, count=count, dtype=dtype) for s in (1, 2)]
    return pair, picture(33, 40, seed=3, dtype=dtype)


def objective(extractor, content, style, weights=WEIGHTS, anchor=None, **options):
    seen = ContentTarget(extractor, content, weights.content_layers)
    target = StyleTarget(extractor, style, weights.style_layers)
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
@pytest.mark.parametrize("size", [(48, 64), (41, 83)], ids=str)
def test_tiles_change_nothing(pooling, size):
    (x, content), style = pictures(*size)
    assert_alike(*(objective(e, content, style) for e in extractors(small_backbone(), pooling)), x)


@example(height=20, width=29, side=16, count=1, pooling="average")  # the first tile has all positions, not all pixels
@settings(deadline=None, max_examples=8)
@given(
    height=st.integers(16, 60),
    width=st.integers(16, 60),
    side=st.integers(16, 40),
    count=st.integers(1, 2),
    pooling=st.sampled_from(["average", "max"]),
)
def test_tiles_change_nothing_at_any_size(height, width, side, count, pooling):
    (x, content), style = pictures(height, width, count=count)
    made = extractors(SHALLOW_NETWORK, pooling, side=side, weights=SHALLOW)
    assert_alike(*(objective(e, content, style, SHALLOW) for e in made), x)


def test_tiles_change_nothing_for_the_embedded_network():
    (x, content), style = pictures(35, 50)
    network = compact.load()
    doubled = {name: replace(r, adapter=r.adapter.double()) for name, r in network.references.items()}
    assert_alike(*(objective(e, content, style) for e in extractors(replace(network, references=doubled))), x)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_tiles_change_no_statistic_anchor_prior_or_region(statistic):
    (x, content), style = pictures(37, 40)
    region = torch.zeros(1, 1, 37, 40, dtype=DOUBLE)
    region[..., 10:36, 8:30] = 0.5
    priors = TemporalPrior(10.0, content, region), GrainPrior(100.0, torch.full((1, 3), 0.01, dtype=DOUBLE))
    weights = replace(WEIGHTS, statistic=statistic)
    made = extractors(small_backbone(adapters=True))
    assert_alike(
        *(objective(e, content, style, weights, anchor=content, priors=priors, region=region) for e in made), x, 1e-8
    )


def test_targets_of_tiles_are_those_of_the_whole_picture():
    x = picture(49, 66, dtype=DOUBLE)
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
    x, content, style = (smooth_picture(48, 80, seed=s) for s in range(3))
    whole, tiled = (objective(e, content, style) for e in extractors(small_backbone(), dtype=dtype))
    (expected, wanted), (found, gradient) = (o.value_and_gradient(x) for o in (whole, tiled))
    torch.testing.assert_close(found.total, expected.total, rtol=near, atol=0)
    assert (gradient - wanted).norm() < near * wanted.norm()


def two_of(tile_pixels):
    made = [FeatureExtractor(small_backbone(), WEIGHTS.layers) for _ in range(2)]
    made[1].tile_pixels = tile_pixels
    return made


def test_a_picture_in_one_tile_is_computed_as_ever():
    (x, content), _ = pictures(48, 50, torch.float32)
    whole, tiled = (objective(e, content, 1 - content) for e in two_of(tile_pixels=48 * 50))
    (expected, wanted), (found, gradient) = (o.value_and_gradient(x) for o in (whole, tiled))
    assert torch.equal(found.total, expected.total) and torch.equal(gradient, wanted)
