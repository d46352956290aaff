"""A photograph in a painting's colours."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import picture, smooth_picture

from videostyle.stylise.style_images import StyleImage
from videostyle.training.palette import LEAST_VARIANCE, Moments, Palette
from videostyle.training.views import Picture

# A palette in the middle of the range, so that no colour of the pictures is cut off on its way there.
MUTED = 0.5 + 0.15 * (smooth_picture(40, 40, seed=7) - 0.5)


def moments(frames: torch.Tensor) -> Moments:
    return Moments.of([frame[None] for frame in frames], [1.0] * len(frames))


@given(seed=st.integers(0, 999))
@settings(max_examples=8)
def test_mean_and_covariance_become_the_paintings(seed):
    frames = torch.cat([smooth_picture(16, 24, seed=seed), smooth_picture(16, 24, seed=seed + 1)])
    # Four pixels each way, so that the smaller copies that are looked at have the same colours.
    large = frames.repeat_interleave(4, 2).repeat_interleave(4, 3)
    moved = Palette([Picture(frame[None]) for frame in large], (StyleImage(MUTED),))(frames)
    ours, theirs = moments(moved), moments(MUTED)
    torch.testing.assert_close(ours.mean, theirs.mean, atol=2e-3, rtol=0)
    torch.testing.assert_close(ours.covariance, theirs.covariance, atol=2 * LEAST_VARIANCE, rtol=0.1)


def test_the_paintings_own_colours_stay():
    painting = smooth_picture(64, 64, seed=3)
    large = painting.repeat_interleave(4, 2).repeat_interleave(4, 3)
    palette = Palette([Picture(large)], (StyleImage(painting),))
    torch.testing.assert_close(palette(painting), painting, atol=0.01, rtol=0)


def test_what_is_lighter_stays_lighter():
    """The matrix is symmetric and positive: no direction of colour is turned round."""
    palette = Palette([Picture(picture(64, 64)), Picture(smooth_picture(64, 64))], (StyleImage(picture(32, 32)),))
    assert torch.allclose(palette._matrix, palette._matrix.T) and torch.linalg.eigvalsh(palette._matrix).min() > 0


def test_styles_count_by_their_weight():
    dark, light = (torch.full((1, 3, 8, 8), value) for value in (0.2, 0.8))
    style = (StyleImage(dark, weight=3.0), StyleImage(light, weight=1.0))
    mean = Palette([Picture(smooth_picture(64, 64))], style)(smooth_picture(64, 64)).mean().item()
    assert mean == pytest.approx(0.35, abs=0.02)


def test_pictures_of_one_colour_are_no_trouble():
    grey = torch.full((1, 3, 32, 32), 0.5)
    moved = Palette([Picture(grey)], (StyleImage(picture(32, 32)),))(grey)
    # The copies are kept as bytes: 0.5 is half a step off, and that is stretched as far as it may be.
    torch.testing.assert_close(moved.mean((2, 3)), picture(32, 32).mean((2, 3)), atol=0.1, rtol=0)
