"""Octaves of a picture, the style judged at several of them, and grain."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import CONTENT_LAYERS, STYLE_LAYERS, picture, small_backbone

from videostyle.losses import formulas
from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.octaves import enlarged, halved, halved_gradient
from videostyle.losses.pixel_losses import GrainPrior
from videostyle.losses.style import StyleTarget
from videostyle.networks.feature_extractor import FeatureExtractor

WEIGHTS = LossWeights(content=1.5, style=1e6, tv=0.0, content_layers=CONTENT_LAYERS, style_layers=STYLE_LAYERS)
DOUBLE = torch.float64


@given(height=st.integers(2, 19), width=st.integers(2, 19), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_gradient_is_the_transpose(height, width, seed):
    x = picture(height, width, seed=seed, count=2, dtype=DOUBLE)
    g = picture(height // 2, width // 2, seed=seed + 1, count=2, dtype=DOUBLE)
    torch.testing.assert_close((halved(x) * g).sum(), (x * halved_gradient(g, height, width)).sum())


def test_octaves_keep_what_is_flat_and_where_things_are():
    assert torch.allclose(halved(torch.full((1, 3, 9, 12), 0.3)), torch.full((1, 3, 4, 6), 0.3))
    ramp = torch.linspace(0, 1, 32).expand(1, 3, 32, 32).contiguous()
    middle = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(
        enlarged(halved(ramp), 32, 32)[middle], ramp[middle], atol=5e-3, rtol=0
    )  # half a pixel is 0.016


@pytest.mark.parametrize("octaves", [2, 3])
def test_the_style_loss_is_the_mean_over_octaves(octaves):
    extractor = FeatureExtractor(small_backbone(), WEIGHTS.layers, dtype=DOUBLE)
    x, content, style = (picture(66, 80, seed=s, dtype=DOUBLE) for s in (1, 2, 3))
    seen = ContentTarget(extractor, content, WEIGHTS.content_layers)
    weights = replace(WEIGHTS, tv=10.0)
    made = Objective(extractor, seen, StyleTarget(extractor, style, STYLE_LAYERS, octaves), weights)
    losses, gradient = made.value_and_gradient(x)
    alone, painted, picture_of_style = [], x, style
    for _ in range(octaves):
        own = ContentTarget(extractor, painted, WEIGHTS.content_layers)
        target = StyleTarget(extractor, picture_of_style, STYLE_LAYERS)
        alone.append(Objective(extractor, own, target, WEIGHTS).value(painted).style)
        painted, picture_of_style = halved(painted), halved(picture_of_style)
    torch.testing.assert_close(losses.style, sum(alone) / octaves)
    total = 1.5 * losses.content + 1e6 * losses.style + 10.0 * formulas.total_variation(x)
    torch.testing.assert_close(losses.total, total)
    assert torch.equal(made.value(x).total, losses.total) and len(made.clone().tensors()) == len(made.tensors())
    direction = picture(66, 80, seed=5, dtype=DOUBLE) - 0.5
    step = 1e-5
    ahead, behind = (made.value(x + s * step * direction).total for s in (1, -1))
    torch.testing.assert_close((ahead - behind) / (2 * step), (gradient * direction).sum()[None], rtol=1e-4, atol=1e-6)


def test_all_octaves_are_anchored_and_blended():
    extractor = FeatureExtractor(small_backbone(), WEIGHTS.layers)
    one, other = (StyleTarget(extractor, picture(64, 64, seed=s), STYLE_LAYERS, 2) for s in (1, 2))
    both, at = StyleTarget.blend([one, other], [0.25, 0.75]), picture(64, 48, seed=3)
    held = both.anchored_at(extractor, at, 2.0)
    assert both.octaves == held.octaves == 2
    assert both.coarser and held.coarser and one.coarser and other.coarser
    for name in STYLE_LAYERS:
        parts = (t.coarser.statistics[name].tensors() for t in (one, other, both) if t.coarser)
        for first, second, mixed in zip(*parts, strict=True):
            torch.testing.assert_close(mixed, 0.25 * first + 0.75 * second)
        reached = StyleTarget(extractor, halved(at), STYLE_LAYERS).statistics[name]
        assert held.coarser.reached
        torch.testing.assert_close(held.coarser.reached.statistics[name].gram, reached.gram)
    assert held.coarser.anchor_gain == 2.0 and torch.equal(held.grain, both.grain)


def test_grain_beyond_the_styles_own_is_punished():
    x = picture(9, 11, count=2, dtype=DOUBLE).requires_grad_()
    most = torch.tensor([[0.1, 0.5, 0.01]], dtype=DOUBLE)  # less, more and less than the picture's
    prior, g = GrainPrior(3.0, most), torch.zeros_like(x)
    there = formulas.grain(x)
    assert torch.equal(there > most, torch.tensor([[True, False, True]] * 2))
    torch.testing.assert_close(prior.value(x), (there / most)[:, [0, 2]].log().square().sum(1))
    (3.0 * prior.value(x)).sum().backward()
    prior.add_gradient(x.detach(), g)
    torch.testing.assert_close(g, x.grad)
    assert GrainPrior(1.0, torch.ones(1, 3)).value(torch.full((1, 3, 8, 8), 0.5)).item() == 0


def test_opponent_colours_are_turned_back():
    x = picture(5, 6, dtype=DOUBLE)
    torch.testing.assert_close(formulas.from_opponent(formulas.opponent(x)), x)
    assert formulas.opponent(torch.full((1, 3, 2, 2), 0.5))[:, 1:].abs().max() < 1e-7  # grey has no colour
