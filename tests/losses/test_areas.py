"""Several styles in one picture: each on the features of its own area."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import CONTENT_LAYERS, STYLE_LAYERS, picture, small_backbone

from videostyle.losses import guidance
from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.style import StyleArea, StyleTarget, grain_of
from videostyle.networks.feature_extractor import FeatureExtractor

SIZE = 96, 128
DOUBLE = torch.float64
STATISTICS = ["gram", "wasserstein"]
EXTRACTOR = FeatureExtractor(small_backbone(), (*CONTENT_LAYERS, *STYLE_LAYERS), dtype=DOUBLE)
X, CONTENT = (picture(*SIZE, seed=s, dtype=DOUBLE) for s in (1, 2))
STYLES = [StyleTarget(EXTRACTOR, picture(64, 80, seed=s, dtype=DOUBLE).square(), STYLE_LAYERS) for s in (3, 4)]


def weights(statistic: str = "gram") -> LossWeights:
    return LossWeights(1.0, 1e6, 0.0, CONTENT_LAYERS, STYLE_LAYERS, statistic)


def objective(style, statistic="gram", extractor=EXTRACTOR, **options) -> Objective:
    target = ContentTarget(extractor, CONTENT, CONTENT_LAYERS)
    return Objective(extractor, target, style, weights(statistic), **options)


def halves() -> list[torch.Tensor]:
    """The left part and the right part, with a soft border."""
    right = ((torch.arange(SIZE[1], dtype=DOUBLE) - 60) / 8).clamp(0, 1).expand(1, 1, *SIZE)
    return [1 - right, right]


@pytest.mark.parametrize("statistic", STATISTICS)
def test_an_area_that_is_everywhere_is_the_whole_picture(statistic):
    everywhere = StyleArea(STYLES[0], torch.ones(1, 1, *SIZE, dtype=DOUBLE))
    (whole, g), (area, h) = (objective(style, statistic).value_and_gradient(X) for style in (STYLES[0], (everywhere,)))
    torch.testing.assert_close(area.total, whole.total)
    torch.testing.assert_close(area.style, whole.style)
    torch.testing.assert_close(h, g, rtol=1e-6, atol=1e-9 * g.abs().max().item())


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("anchored", [False, True])
def test_the_gradient_of_areas_is_that_of_their_total(statistic, anchored):
    areas = [StyleArea(s, m, w) for s, m, w in zip(STYLES, halves(), (1.0, 0.5), strict=True)]
    if anchored:
        areas = [StyleArea(a.anchored_at(EXTRACTOR, CONTENT, 4.0), a.mask, a.weight) for a in areas]
        assert all(a.target.reached is not None for a in areas)
    made = objective(areas, statistic)
    step, eps = picture(*SIZE, seed=9, dtype=DOUBLE) - 0.5, 1e-6
    _, gradient = made.value_and_gradient(X)
    up, down = (made.value(X + s * eps * step).total for s in (1, -1))
    torch.testing.assert_close((up - down) / (2 * eps), (gradient * step).sum()[None], rtol=1e-4, atol=0)


def test_an_area_is_judged_by_what_it_shows_alone():
    """What changes far from an area leaves its own loss as it was."""
    (area,) = [StyleArea(STYLES[0], halves()[0])]
    changed = X.clone()
    changed[..., 112:] = 1 - changed[..., 112:]
    one, other = (objective([area]).value(x).style for x in (X, changed))
    torch.testing.assert_close(one, other, rtol=1e-2, atol=0)
    near = X.clone()
    near[..., :40] = 1 - near[..., :40]
    assert (objective([area]).value(near).style / one - 1).abs() > 0.05


def test_an_anchor_changes_nothing_where_it_lies():
    area = StyleArea(STYLES[0], halves()[1])
    held = StyleArea(area.anchored_at(EXTRACTOR, X, 8.0), area.mask)
    (plain, g), (anchored, h) = (objective([a]).value_and_gradient(X) for a in (area, held))
    torch.testing.assert_close(anchored.style, plain.style)
    torch.testing.assert_close(h, g)


def test_an_area_out_of_sight_has_no_say_and_no_anchor():
    nowhere = StyleArea(STYLES[1], torch.zeros(1, 1, *SIZE, dtype=DOUBLE))
    everywhere = StyleArea(STYLES[0], torch.ones(1, 1, *SIZE, dtype=DOUBLE))
    assert nowhere.anchored_at(EXTRACTOR, X, 2.0) is STYLES[1]
    for statistic in STATISTICS:
        (one, g), (both, h) = (
            objective(areas, statistic).value_and_gradient(X) for areas in ([everywhere], [everywhere, nowhere])
        )
        torch.testing.assert_close(both.total, one.total)
        torch.testing.assert_close(h, g)
    torch.testing.assert_close(grain_of([everywhere, nowhere]), STYLES[0].grain, rtol=1e-5, atol=0)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_areas_in_tiles_are_areas_at_once(statistic):
    tiled = FeatureExtractor(small_backbone(), (*CONTENT_LAYERS, *STYLE_LAYERS), dtype=DOUBLE)
    tiled.tile_pixels = 1
    assert len(tiled.tiles(SIZE)) > 1
    areas = [StyleArea(s, m) for s, m in zip(STYLES, halves(), strict=True)]
    anchored = [[StyleArea(a.anchored_at(e, CONTENT, 2.0), a.mask) for a in areas] for e in (EXTRACTOR, tiled)]
    (whole, g), (parts, h) = (
        objective(a, statistic, e).value_and_gradient(X) for a, e in zip(anchored, (EXTRACTOR, tiled), strict=True)
    )
    torch.testing.assert_close(parts.total, whole.total)
    torch.testing.assert_close(h, g, rtol=1e-6, atol=1e-9 * g.abs().max().item())


def test_all_positions_or_those_of_the_area():
    areas = [StyleArea(s, m) for s, m in zip(STYLES, halves(), strict=True)]
    (sparse, g), (dense, h) = (objective(areas, dense=dense).value_and_gradient(X) for dense in (False, True))
    torch.testing.assert_close(dense.total, sparse.total)
    torch.testing.assert_close(h, g)


def test_unfinished_pixels_are_drawn_to_the_style_of_their_area():
    region = torch.zeros(1, 1, *SIZE, dtype=DOUBLE)
    region[..., 20:60, :30] = 1  # in the left part
    areas = [StyleArea(s, m) for s, m in zip(STYLES, halves(), strict=True)]
    both, left = objective(areas, region=region).value(X).region, objective(areas[:1], region=region).value(X).region
    torch.testing.assert_close(both, left)
    assert left > 0


# --- masks at a layer's positions


@given(st.integers(1, 4), st.integers(0, 96), st.integers(0, 96))
def test_the_inside_lies_within_and_its_weights_sum_to_one(level, begin, end):
    mask = torch.zeros(1, 1, 96, 96)
    mask[..., min(begin, end) : max(begin, end), :] = 1
    stride = 2**level
    own, eroded = guidance.at_positions(mask, stride), guidance.inside(mask, stride)
    assert bool((eroded <= own + 1e-6).all()) and eroded.shape == (96 // stride, 96 // stride)
    assert guidance.position_weights(mask, stride).sum().item() == pytest.approx(1.0 if begin != end else 0.0, abs=1e-5)


def test_a_position_beside_the_border_sees_both_sides_and_counts_for_neither():
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :32] = 1
    for stride in (1, 2, 4, 8):
        eroded = guidance.inside(mask, stride)
        last = 32 // stride - 1
        assert eroded[:, last].max() < 0.5 and eroded[:, : last - 1].min() == 1


def test_a_thin_area_stands_for_itself():
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 30:32] = 1
    assert torch.equal(guidance.inside(mask, 8), guidance.at_positions(mask, 8))
