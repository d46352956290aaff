"""The colours of one picture on the forms of another."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import picture, smooth_picture

from videostyle.stylise.recolour import from_lab, to_lab, with_colours_of

UNIT = st.floats(0, 1)


def colour(*rgb: float) -> torch.Tensor:
    return torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1)


@given(UNIT, UNIT, UNIT)
def test_there_and_back(r, g, b):
    torch.testing.assert_close(from_lab(to_lab(colour(r, g, b))), colour(r, g, b), rtol=0, atol=1e-6)


def test_the_axes_are_those_of_cielab():
    x = picture(16, 16)
    theirs = cv2.cvtColor(np.ascontiguousarray(x[0].permute(1, 2, 0).numpy()), cv2.COLOR_RGB2Lab)
    ours = to_lab(x)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).max() < 0.5  # OpenCV's cube root is an approximation
    torch.testing.assert_close(
        to_lab(colour(1, 1, 1)).flatten(), torch.tensor([100.0, 0, 0]).double(), atol=0.02, rtol=0
    )


def test_lightness_is_kept_and_colours_are_taken():
    painted, source = 0.3 + 0.4 * smooth_picture(24, 32, seed=1), 0.4 + 0.2 * smooth_picture(24, 32, seed=2)
    found, own, theirs = (to_lab(t) for t in (with_colours_of(painted, source, 1.0), painted, source))
    torch.testing.assert_close(found[:, :1], own[:, :1], rtol=0, atol=0.05)
    torch.testing.assert_close(found[:, 1:], theirs[:, 1:], rtol=0, atol=0.05)


def test_a_share_lies_between():
    painted, source = 0.3 + 0.4 * smooth_picture(24, 32, seed=1), 0.4 + 0.2 * smooth_picture(24, 32, seed=2)
    torch.testing.assert_close(with_colours_of(painted, source, 0.0), painted, rtol=0, atol=1e-4)
    half, own, theirs = (to_lab(t) for t in (with_colours_of(painted, source, 0.5), painted, source))
    torch.testing.assert_close(half[:, 1:], (own + theirs)[:, 1:] / 2, rtol=0, atol=0.05)


@pytest.mark.parametrize("lightness", [0.0, 1.0])
def test_a_colour_that_the_lightness_does_not_allow_stays_in_range(lightness):
    found = with_colours_of(torch.full((1, 3, 4, 4), lightness), colour(1, 0, 0).float().expand(1, 3, 4, 4), 1.0)
    assert found.min() >= 0 and found.max() <= 1 and bool(torch.isfinite(found).all())
