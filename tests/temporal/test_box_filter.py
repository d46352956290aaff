"""Means and maxima over windows, against torch's pooling."""

from functools import partial

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from small_networks import picture

from videostyle.temporal import box_filter

sides, radii = st.integers(1, 24), st.integers(0, 9)


@given(sides, sides, radii)
def test_mean_is_that_of_the_pixels_inside(height, width, radius):
    x = picture(height, width).double()
    inside = torch.ones_like(x)
    total, count = (F.avg_pool2d(F.pad(t, (radius,) * 4), 2 * radius + 1, 1) for t in (x, inside))
    torch.testing.assert_close(box_filter.mean(x, radius), total / count)


@given(sides, sides, radii)
def test_maximum_is_that_of_the_pixels_inside(height, width, radius):
    x = picture(height, width) - 2
    expected = F.max_pool2d(F.pad(x, (radius,) * 4, value=-9), 2 * radius + 1, 1)
    assert torch.equal(box_filter.maximum(x, radius), expected)


def test_the_mean_of_ones_is_one_to_the_bit():
    assert (box_filter.mean(torch.ones(1, 2, 30, 40), 8) == 1).all()


@given(sides, sides, radii)
def test_pooling_along_the_sides_is_the_same(height, width, radius):
    """What other devices do."""
    x = picture(height, width).double()
    mean = box_filter.pooled(x, radius, partial(F.avg_pool2d, count_include_pad=False))
    torch.testing.assert_close(mean, box_filter.mean(x, radius))
    assert torch.equal(box_filter.pooled(x, radius, F.max_pool2d), box_filter.maximum(x, radius))
