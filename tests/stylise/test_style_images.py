"""A style of several pictures: the weighted mean of their statistics."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import CONTENT_LAYERS, STYLE_LAYERS, small_backbone, smooth_picture

from videostyle.errors import UsageError
from videostyle.losses.style import StyleTarget
from videostyle.settings import Settings
from videostyle.stylise.style_images import StyleImage, as_style
from videostyle.stylise.stylizer import Stylizer

SETTINGS = Settings(
    precision="fp32", device="cpu", iterations=4, content_layers=CONTENT_LAYERS, style_layers=STYLE_LAYERS
)
CONTENT = smooth_picture(32, 48, seed=3)
ONE, OTHER = smooth_picture(40, 40, seed=1), 1 - smooth_picture(40, 40, seed=2)


def target(*images: StyleImage) -> StyleTarget:
    return Stylizer(images, SETTINGS, backbone=small_backbone()).style_target(CONTENT)


def assert_close(one: StyleTarget, other: StyleTarget) -> None:
    for name, statistics in one.statistics.items():
        torch.testing.assert_close(statistics.tensors(), other.statistics[name].tensors())
    torch.testing.assert_close(one.grain, other.grain)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=5).filter(lambda w: sum(w) > 1e-3), st.floats(0.01, 100))
def test_only_the_ratio_of_weights_counts(weights, factor):
    one = as_style([StyleImage(ONE, weight) for weight in weights])
    other = as_style([StyleImage(ONE, factor * weight) for weight in weights])
    assert sum(image.weight for image in one) == pytest.approx(1)
    assert [image.weight for image in one] == pytest.approx([image.weight for image in other], abs=1e-9)


def test_a_picture_twice_is_that_picture_and_one_without_weight_has_no_say():
    alone = target(StyleImage(ONE))
    assert_close(target(StyleImage(ONE, 3), StyleImage(ONE, 1)), alone)
    assert_close(target(StyleImage(ONE, 3), StyleImage(OTHER, 0)), alone)


def test_two_pictures_are_blended_by_their_weights():
    one, other, both = target(StyleImage(ONE)), target(StyleImage(OTHER)), target(StyleImage(ONE, 3), StyleImage(OTHER))
    for name, mixed in both.statistics.items():
        torch.testing.assert_close(mixed.gram, 0.75 * one.statistics[name].gram + 0.25 * other.statistics[name].gram)
        torch.testing.assert_close(mixed.mean, 0.75 * one.statistics[name].mean + 0.25 * other.statistics[name].mean)
    torch.testing.assert_close(both.grain.log(), 0.75 * one.grain.log() + 0.25 * other.grain.log())


def test_a_pictures_scale_is_that_of_its_strokes():
    half = Stylizer(ONE, SETTINGS.replace(style_scale=0.75), backbone=small_backbone()).style_target(CONTENT)
    assert_close(target(StyleImage(ONE, scale=0.75)), half)
    assert not torch.equal(half.statistics["conv1_1"].gram, target(StyleImage(ONE)).statistics["conv1_1"].gram)


@pytest.mark.parametrize("weights", [(), (0.0,), (1.0, -0.5), (math.nan,), (math.inf, 1.0)])
def test_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(UsageError, match=f"a style of {len(weights)} pictures"):
        as_style([StyleImage(ONE, weight) for weight in weights])
