"""A photograph in a painting's colours."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import picture, smooth_picture

from videostyle.stylise.palette import LEAST_VARIANCE, Moments, colour_map

# A palette in the middle of the range, so that no colour of the pictures is cut off on its way there.
MUTED = 0.5 + 0.15 * (smooth_picture(40, 40, seed=7) - 0.5)


def moments(frames: torch.Tensor) -> Moments:
    return Moments.of([frame[None] for frame in frames], [1.0] * len(frames))


@given(seed=st.integers(0, 999))
@settings(max_examples=8)
def test_mean_and_covariance_become_the_paintings(seed):
    frames = torch.cat([smooth_picture(16, 24, seed=seed), smooth_picture(16, 24, seed=seed + 1)])
    ours, theirs = moments(colour_map(moments(frames), moments(MUTED))(frames)), moments(MUTED)
    torch.testing.assert_close(ours.mean, theirs.mean, atol=2e-3, rtol=0)
    torch.testing.assert_close(ours.covariance, theirs.covariance, atol=2 * LEAST_VARIANCE, rtol=0.1)


def test_the_paintings_own_colours_stay():
    painting = smooth_picture(64, 64, seed=3)
    torch.testing.assert_close(colour_map(moments(painting), moments(painting))(painting), painting)


def test_what_is_lighter_stays_lighter():
    """The matrix is symmetric and positive: no direction of colour is turned round."""
    matrix = colour_map(moments(smooth_picture(64, 64)), moments(picture(32, 32))).matrix
    assert torch.allclose(matrix, matrix.T) and torch.linalg.eigvalsh(matrix).min() > 0


def test_pictures_count_by_their_weight():
    dark, light = (torch.full((1, 3, 8, size), value) for size, value in ((8, 0.2), (64, 0.8)))
    both = Moments.of([dark, light], [3.0, 1.0])
    torch.testing.assert_close(both.mean, torch.full((3, 1), 0.35, dtype=torch.float64))


def test_a_picture_of_one_colour_is_no_trouble():
    grey = torch.full((1, 3, 32, 32), 0.5)
    moved = colour_map(moments(grey), moments(picture(32, 32)))(grey)
    torch.testing.assert_close(moved.mean((2, 3)), picture(32, 32).mean((2, 3)))
