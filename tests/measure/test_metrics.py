"""What is measured of a stylised clip: by value, and against the product's own formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import CONTENT_LAYERS, STYLE_LAYERS, known_warp, picture, small_backbone, smooth_picture

from videostyle.frames import Frame
from videostyle.losses import formulas
from videostyle.losses.style import StyleTarget
from videostyle.measure import metrics
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.temporal.warp import Warp


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return FeatureExtractor(small_backbone(), (*CONTENT_LAYERS, *STYLE_LAYERS))


def moving(dx: float, size=(8, 10), mask: torch.Tensor | None = None) -> Warp:
    flow = torch.zeros(1, 2, *size)
    flow[:, 0] = dx
    return known_warp(flow, torch.ones(1, 1, *size) if mask is None else mask)


# --- style and content


def test_style_distance_is_the_mean_of_the_layers_style_losses(extractor):
    x, style = picture(32, 40), smooth_picture(24, 48)
    f, a = (extractor.backbone.features(t, STYLE_LAYERS) for t in (x, style))
    expected = sum(
        formulas.style_loss(formulas.gram(f[n]), formulas.gram(a[n]), extractor.backbone.references[n].channels).item()
        for n in STYLE_LAYERS
    ) / len(STYLE_LAYERS)
    found = metrics.style_distance(extractor, x, StyleTarget(extractor, style, STYLE_LAYERS))
    assert found == pytest.approx(expected, rel=1e-4)
    assert metrics.style_distance(extractor, x, StyleTarget(extractor, x, STYLE_LAYERS)) == 0


def test_content_distance_is_the_content_loss(extractor):
    x, content = picture(32, 40), smooth_picture(32, 40)
    f, p = (extractor.backbone.features(t, CONTENT_LAYERS)["conv4_2"] for t in (x, content))
    expected = formulas.content_loss(f, p, stride=8).item()
    assert metrics.content_distance(extractor, x, content, CONTENT_LAYERS) == pytest.approx(expected, rel=1e-4)
    assert metrics.content_distance(extractor, x, x, CONTENT_LAYERS) == 0


def test_distances_grow_with_the_way(extractor):
    content, noise = smooth_picture(32, 40), picture(32, 40)
    style = StyleTarget(extractor, content, STYLE_LAYERS)
    mixed = [content + share * (noise - content) for share in (0.2, 0.5, 1.0)]
    for distances in (
        [metrics.content_distance(extractor, x, content, CONTENT_LAYERS) for x in mixed],
        [metrics.style_distance(extractor, x, style) for x in mixed],
    ):
        assert 0 < distances[0] < distances[1] < distances[2]


# --- warp error


def test_warp_error_by_hand():
    previous, current = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    current[0, :, 0, 0] = torch.tensor([0.3, 0.0, 0.6])  # squared and averaged over channels: 0.15
    current[0, :, 1, 1] = 1.0  # not trusted
    mask = torch.tensor([[[[1.0, 1.0], [1.0, 0.0]]]])
    assert metrics.warp_error(current, previous, moving(0.0, (2, 2), mask)) == pytest.approx(0.15 / 3)


def test_a_mask_between_0_and_1_weighs():
    previous, current = torch.zeros(1, 3, 1, 2), torch.zeros(1, 3, 1, 2)
    current[..., 0] = 1.0
    mask = torch.tensor([[[[0.25, 0.75]]]])
    assert metrics.warp_error(current, previous, moving(0.0, (1, 2), mask)) == pytest.approx(0.25)


def test_a_picture_that_moves_with_the_flow_has_no_error():
    scene = picture(8, 20)
    previous, current = scene[..., 4:14], scene[..., 6:16]
    mask = torch.ones(1, 1, 8, 10)
    mask[..., -2:] = 0  # came in at the border
    assert metrics.warp_error(current, previous, moving(2.0, mask=mask)) < 1e-8
    assert metrics.warp_error(current, previous, moving(-2.0, mask=mask)) > 0.05
    assert metrics.warp_error(current, previous, moving(0.0)) > 0.05


def test_nothing_trusted_is_not_a_number():
    x = picture(8, 10)
    assert math.isnan(metrics.warp_error(x, x, moving(0.0, mask=torch.zeros(1, 1, 8, 10))))


# --- over a clip


def test_slope_is_how_far_the_line_runs():
    assert metrics.slope([0.1, 0.2, 0.3, 0.4]) == pytest.approx(0.3)
    assert metrics.slope([0.5] * 7) == 0
    assert metrics.slope([1.0]) == 0
    assert metrics.slope([0.0, 1.0, 0.0, 1.0, 0.0]) == pytest.approx(0, abs=1e-9)


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=30))
def test_variation_is_the_standard_deviation(values):
    variation = metrics.Variation()
    for v in values:
        variation.add(torch.tensor([v]))
    assert variation.deviation.item() == pytest.approx(torch.tensor(values).double().std().item(), abs=1e-4)


def test_mean_colour():
    grey = torch.full((1, 3, 4, 4), 0.25)
    assert metrics.mean_colour(grey) == pytest.approx((0.25, 0, 0), abs=1e-6)
    red = torch.zeros(1, 3, 4, 4)
    red[:, 0] = 1
    assert metrics.mean_colour(red) == pytest.approx((0.2126, -0.2126 / 1.8556, 0.5), abs=1e-4)


def clip_measures(extractor, stylised, source):
    style = StyleTarget(extractor, picture(32, 32, seed=3), STYLE_LAYERS)
    found = metrics.ClipMeasures(extractor, style, CONTENT_LAYERS, lambda a, b, index: moving(0.0, a.shape[2:]))
    for one, other in zip(stylised, source, strict=True):
        found.add(one, other)
    found.finish()
    return found


def still_source(frames: int, cuts: tuple[int, ...] = ()) -> list[Frame]:
    return [Frame(torch.full((1, 3, 32, 40), 0.5), pts=t, cut=t in cuts) for t in range(frames)]


def test_flicker_and_drift_of_a_still_source(extractor):
    """Stylised: brightens by 0.01 a frame, and flickers by 0.02 around that."""
    stylised = [torch.full((1, 3, 32, 40), 0.3 + 0.01 * t + 0.02 * (t % 2)) for t in range(12)]
    found = clip_measures(extractor, stylised, still_source(12))
    (shot,) = found.shots
    assert (shot.frames, shot.still, shot.source_flicker) == (12, 1.0, 0.0)
    assert shot.drift[0] == pytest.approx(0.11, abs=0.01)
    assert shot.flicker == pytest.approx(torch.tensor([x.mean() for x in stylised]).std().item(), abs=1e-4)
    assert [f.short is None for f in found.frames] == [True] + [False] * 11
    assert [f.long is None for f in found.frames] == [True] * 10 + [False] * 2
    assert found.frames[11].long.stylised == pytest.approx(0.01, rel=1e-3)  # ten frames later, 0.1 brighter


def test_short_and_long_term_by_value(extractor):
    """Stylised: 0.01 brighter every frame; source: still. Squared: 1e-4 from frame to frame, 0.01 over ten frames."""
    found = clip_measures(extractor, [torch.full((1, 3, 32, 40), 0.3 + 0.01 * t) for t in range(12)], still_source(12))
    assert [f.short.stylised for f in found.frames[1:]] == pytest.approx([1e-4] * 11, rel=1e-3)
    assert [f.long.stylised for f in found.frames[10:]] == pytest.approx([0.01] * 2, rel=1e-3)
    assert [f.short.source for f in found.frames[1:]] == [0.0] * 11


def test_the_sources_own_error_is_the_floor(extractor):
    source = [Frame(torch.full((1, 3, 32, 40), v), pts=t) for t, v in enumerate((0.2, 0.5, 0.4))]
    errors = [f.short for f in clip_measures(extractor, [f.pixels for f in source], source).frames[1:]]
    assert [e.source for e in errors] == pytest.approx([0.09, 0.01], rel=1e-4)
    assert [e.excess for e in errors] == [0.0, 0.0]


def test_each_frame_is_warped_to_the_one_before_it_and_to_the_tenth(extractor):
    """``flow`` gets the later frame first, and its number for neighbours only."""
    asked = []

    def flow(current, previous, index):
        asked.append((round(current.mean().item() * 100), round(previous.mean().item() * 100), index))
        return moving(0.0, current.shape[2:])

    source = [Frame(torch.full((1, 3, 32, 40), t / 100), pts=t) for t in range(11)]
    style = StyleTarget(extractor, picture(32, 32, seed=3), STYLE_LAYERS)
    measures = metrics.ClipMeasures(extractor, style, CONTENT_LAYERS, flow)
    for one in source:
        measures.add(one.pixels, one)
    assert asked == [*((t, t - 1, t) for t in range(1, 11)), (10, 0, None)]


def test_an_empty_clip_and_a_single_frame(extractor):
    assert clip_measures(extractor, [], []).shots == []
    single = clip_measures(extractor, [torch.full((1, 3, 32, 40), 0.1)], still_source(1))
    assert (single.frames[0].short, single.frames[0].long, len(single.shots)) == (None, None, 1)


def test_nothing_is_compared_across_a_cut(extractor):
    stylised = [torch.full((1, 3, 32, 40), v) for v in (0.2, 0.2, 0.2, 0.9, 0.9, 0.9)]
    found = clip_measures(extractor, stylised, still_source(6, cuts=(3,)))
    assert [f.shot for f in found.frames] == [0, 0, 0, 1, 1, 1]
    assert found.frames[3].short is None
    assert [s.drift[0] for s in found.shots] == pytest.approx([0, 0], abs=1e-6)
    assert [s.flicker for s in found.shots] == [0, 0]


def test_where_everything_moves_there_is_no_flicker_to_speak_of(extractor):
    source = [Frame(picture(32, 40, seed=t), pts=t) for t in range(4)]
    (shot,) = clip_measures(extractor, [f.pixels for f in source], source).shots
    assert shot.still < 0.05


def test_masked_style_distance_is_that_of_the_part(extractor):
    x, style = picture(32, 48), StyleTarget(extractor, smooth_picture(24, 48), STYLE_LAYERS)
    whole = metrics.masked_style_distance(extractor, x, style, torch.ones(1, 1, 32, 48))
    assert whole == pytest.approx(metrics.style_distance(extractor, x, style), rel=1e-4)
    half = torch.zeros(1, 1, 32, 48)
    half[..., :24] = 1
    changed = x.clone()
    changed[..., 40:] = 0
    a, b = (metrics.masked_style_distance(extractor, t, style, half) for t in (x, changed))
    assert a == pytest.approx(b, rel=0.1)  # the other part reaches in only by the width of the deepest filters
    assert math.isnan(metrics.masked_style_distance(extractor, x, style, 0 * half))
