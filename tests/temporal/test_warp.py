"""Moving a picture along the flow: the convention, exactness, and pixels that stand still."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import known_warp, picture, smooth_picture

from videostyle.temporal.warp import Warp, cubic, sample, warp


def constant_flow(dx: float, dy: float, height: int, width: int) -> torch.Tensor:
    return torch.tensor([dx, dy]).view(1, 2, 1, 1).expand(1, 2, height, width).contiguous()


@settings(max_examples=40)
@given(dx=st.integers(-6, 6), dy=st.integers(-6, 6), height=st.integers(8, 30), width=st.integers(8, 30))
def test_integer_shifts_are_exact_inside_and_repeat_the_border_outside(dx, dy, height, width):
    """The convention: the current pixel (x, y) was at (x + dx, y + dy) in the previous frame."""
    previous = picture(height, width)
    xs = (torch.arange(width) + dx).clamp(0, width - 1)
    ys = (torch.arange(height) + dy).clamp(0, height - 1)
    found = warp(previous, constant_flow(dx, dy, height, width))
    torch.testing.assert_close(found, previous[:, :, ys][..., xs], rtol=0, atol=1e-4)


def test_static_pixels_are_bit_identical_after_a_hundred_warps():
    previous = picture(17, 23)
    flow = constant_flow(0.0, 0.0, 17, 23)
    flow[:, 0, :, 12:] = -0.0
    moved = previous
    for _ in range(100):
        moved = warp(moved, flow)
    assert torch.equal(moved, previous)


def test_pixels_that_move_are_resampled_beside_those_that_do_not():
    previous = picture(10, 12)
    flow = constant_flow(0.0, 0.0, 10, 12)
    flow[:, 0, :, 6:] = -1.0
    found = warp(previous, flow)
    assert torch.equal(found[..., :6], previous[..., :6])
    torch.testing.assert_close(found[..., 6:], previous[..., 5:-1], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("dx", "dy"), [(0.5, 0.0), (0.25, -0.75), (-1.4, 2.3)])
def test_a_fraction_of_a_pixel_on_a_smooth_picture(dx, dy):
    """Against the scene itself, drawn at the shifted place."""
    height, width = 60, 80
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")

    def scene(x, y):
        return (torch.sin(x / 7) + torch.cos(y / 9 + x / 20)).expand(1, 3, -1, -1)

    found = warp(scene(xs, ys), constant_flow(dx, dy, height, width))[..., 4:-4, 4:-4]
    exact = scene(xs + dx, ys + dy)[..., 4:-4, 4:-4]
    assert (found - exact).abs().max() < 0.002
    assert (scene(xs, ys)[..., 4:-4, 4:-4] - exact).abs().max() > 5 * (found - exact).abs().max()


@settings(max_examples=40)
@given(dx=st.floats(-3, 3), dy=st.floats(-3, 3), slope_x=st.floats(-0.02, 0.02), slope_y=st.floats(-0.02, 0.02))
def test_a_ramp_is_moved_by_exactly_the_flow(dx, dy, slope_x, slope_y):
    ys, xs = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    found = cubic((slope_x * xs + slope_y * ys).expand(1, 1, -1, -1), constant_flow(dx, dy, 20, 24))
    exact = slope_x * (xs + dx) + slope_y * (ys + dy)
    torch.testing.assert_close(found[0, 0, 6:-6, 6:-6], exact[6:-6, 6:-6], atol=1e-5, rtol=0)


@pytest.mark.parametrize("period", [3, 4, 6, 9, 16])
@given(shift=st.floats(0, 1))
def test_no_wave_gets_stronger(period, shift):
    wave = torch.cos(2 * torch.pi * torch.arange(96.0) / period).expand(1, 1, 8, -1)
    found = cubic(wave, constant_flow(shift, 0.0, 8, 96))[..., 24:72]  # whole periods of 3, 4, 6, 16; nearly of 9
    assert found.square().mean() <= 1.001 * 0.5 if period != 9 else found.abs().max() <= 1.001


def test_bicubic_blurs_a_chain_less_than_bilinear():
    bicubic = bilinear = start = smooth_picture(40, 40) * 0.5 + picture(40, 40) * 0.5
    for i in range(20):
        flow = constant_flow(0.5 if i % 2 else -0.5, 0.0, 40, 40)
        bicubic, bilinear = warp(bicubic, flow), sample(bilinear, flow, mode="bilinear")
    inside = (..., slice(8, -8), slice(8, -8))
    assert (bicubic - start)[inside].square().mean() < (bilinear - start)[inside].square().mean()


def test_a_warp_moves_any_number_of_pictures_and_channels():
    pairs = torch.randn(6, 3, 9, 11)
    made = known_warp(constant_flow(2.0, 0.0, 9, 11), torch.ones(1, 1, 9, 11))
    torch.testing.assert_close(made(pairs)[..., :-2], pairs[..., 2:], rtol=0, atol=1e-4)
    one_channel = made(torch.ones(1, 1, 9, 11))
    torch.testing.assert_close(one_channel, torch.ones(1, 1, 9, 11))


@settings(max_examples=25)
@given(seed=st.integers(0, 999), value=st.floats(0, 1))
def test_a_plain_picture_stays_plain_under_any_flow(seed, value):
    flow = torch.randn(1, 2, 9, 13, generator=torch.Generator().manual_seed(seed)) * 5
    plain = torch.full((1, 3, 9, 13), value)
    torch.testing.assert_close(warp(plain, flow), plain, rtol=0, atol=1e-5)


def test_the_two_masks():
    flow, mask, seen = torch.zeros(1, 2, 4, 5), torch.zeros(1, 1, 4, 5), torch.ones(1, 1, 4, 5)
    assert Warp(flow, mask, seen).visible is seen
    moved = Warp(flow, mask, seen).to("meta")
    assert {t.device.type for t in (moved.flow, moved.comparable, moved.visible)} == {"meta"}
