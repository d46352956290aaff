"""Motions that DIS loses are found by comparing small copies of the frames."""

import pytest
import torch
import torch.nn.functional as F

from videostyle.temporal.coarse_match import COMPARED_PX, better_start
from videostyle.temporal.flow import dis_flow

SIZE, SIDE, SHIFT = (144, 256), 40, 30


def blobs(height: int, width: int, seed: int) -> torch.Tensor:
    noise = torch.rand(1, 3, height // 6 + 2, width // 6 + 2, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, (height, width), mode="bicubic").clamp(0, 1)


def fast_thing() -> tuple[torch.Tensor, torch.Tensor]:
    """(current, previous): a square moves by SHIFT to the right before a still background."""
    current, thing = blobs(*SIZE, seed=1), blobs(SIDE, SIDE, seed=2)
    previous = current.clone()
    current[..., 50 : 50 + SIDE, 100 + SHIFT : 100 + SHIFT + SIDE] = thing
    previous[..., 50 : 50 + SIDE, 100 : 100 + SIDE] = thing
    return current, previous


INSIDE = (..., slice(58, 82), slice(138, 162))


def test_what_the_flow_does_not_explain_gets_another_start():
    current, previous = fast_thing()
    start = better_start(current, previous, torch.zeros(1, 2, *SIZE))
    assert start is not None and start.shape == (1, 2, *SIZE)
    assert start[:, 0][INSIDE].median().item() == pytest.approx(-SHIFT, abs=256 / COMPARED_PX)
    assert not start[..., :30, :].any()


def test_what_the_flow_explains_is_left_alone():
    current, previous = fast_thing()
    true = torch.zeros(1, 2, *SIZE)
    true[:, 0, 50 : 50 + SIDE, 100 + SHIFT : 100 + SHIFT + SIDE] = -SHIFT
    start = better_start(current, previous, true)
    assert start is None or start[:, 0][INSIDE].median().item() == pytest.approx(-SHIFT, abs=1)
    assert better_start(current, current, torch.zeros(1, 2, *SIZE)) is None


def test_frames_of_that_size_are_not_compared():
    frames = torch.zeros(1, 3, 20, COMPARED_PX), torch.ones(1, 3, 20, COMPARED_PX)
    assert better_start(*frames, torch.zeros(1, 2, 20, COMPARED_PX)) is None


@pytest.mark.parametrize("size", [(16, 300), (300, 16), (50, 49)], ids=str)
def test_narrow_frames(size):
    start = better_start(blobs(*size, seed=1), blobs(*size, seed=2), torch.zeros(1, 2, *size))
    assert start is None or start.shape == (1, 2, *size)


def test_dis_follows_a_fast_thing_before_a_still_background():
    current, previous = fast_thing()
    found = dis_flow(current, previous)
    assert found.flow[:, 0][INSIDE].median().item() == pytest.approx(-SHIFT, abs=0.2)
    assert found.static[..., :40, :].mean() > 0.95
    assert torch.equal(found.flow, dis_flow(current, previous).flow)
