"""Moving views of pictures: what they show, and that their flow is exact."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import smooth_picture

from videostyle.temporal.flow import inside
from videostyle.temporal.warp import warp
from videostyle.training.views import Motion, Picture, View

SIDE = 40
MOTIONS = st.builds(Motion, st.floats(-3, 3), st.floats(-3, 3), st.floats(0.97, 1.03), st.floats(-0.05, 0.05))
VIEWS = st.builds(View, st.floats(50, 70), st.floats(40, 60), st.floats(0.7, 1.2), st.floats(-3, 3), st.booleans())


@given(view=VIEWS)
def test_positions_and_pixels_are_inverse(view):
    back = view.pixels_at(view.positions(SIDE))
    u = torch.arange(SIDE) - (SIDE - 1) / 2
    torch.testing.assert_close(back[0], u.view(1, -1).expand(SIDE, SIDE), atol=2e-4, rtol=0)
    torch.testing.assert_close(back[1], u.view(-1, 1).expand(SIDE, SIDE), atol=2e-4, rtol=0)


@given(view=VIEWS, motion=MOTIONS)
@settings(max_examples=40)
def test_the_flow_leads_to_the_frame_before(view, motion):
    picture = Picture(smooth_picture(100, 120))
    later = view.moved(motion)
    flow = later.flow_to(view, SIDE)
    before, now = view.of(picture, SIDE), later.of(picture, SIDE)
    seen = inside(flow).expand_as(now)
    assert seen.float().mean() > 0.5
    assert (warp(before, flow) - now)[seen].abs().max() < 0.03


def test_a_view_that_moves_right_shows_what_was_right_of_it():
    view = View(50, 50, 1.0)
    flow = view.moved(Motion(dx=2.0)).flow_to(view, SIDE)
    torch.testing.assert_close(flow, torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, SIDE, SIDE))


@pytest.mark.parametrize("size", [(30, 90), (200, 150), (41, 40)])
def test_random_views_lie_in_the_picture(size):
    picture, rng = Picture(smooth_picture(*size)), np.random.default_rng(0)
    for _ in range(50):
        x, y = View.random(picture, SIDE, rng).positions(SIDE)
        assert x.min() > -1 and x.max() < size[1] and y.min() > -1 and y.max() < size[0]


def test_a_picture_that_is_shrunk_is_not_aliased():
    stripes = (torch.arange(256) % 2).float().expand(1, 3, 256, 256).contiguous()
    picture = Picture(stripes)
    assert View(127.5, 127.5, 1.0).of(picture, SIDE).std() > 0.3
    assert View(127.5, 127.5, 4.0).of(picture, SIDE).std() < 0.01
