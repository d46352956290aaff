"""Masks carried through a shot: exactness, known masks on a generated clip, what leaves and what is covered."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from masks import THINGS, Drawn, draw, iou
from small_networks import picture

from videostyle.temporal.carried_mask import begin, follow
from videostyle.temporal.flow import dis_flow
from videostyle.temporal.warp import Warp


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """Two seconds at three quarters of the benchmark's size.

    ``under`` is covered from frame 22 to 50, ``leaving`` is gone by frame 46.
    """
    return draw(1, size=(384, 216), frames=53)


def moved_by(dx: int, dy: int):
    """An estimator that knows the motion."""

    def estimate(current: torch.Tensor, previous: torch.Tensor) -> Warp:
        flow = torch.tensor([-dx, -dy]).float().view(1, 2, 1, 1).expand(1, 2, *current.shape[2:]).contiguous()
        return Warp(flow, torch.ones_like(current[:, :1]), torch.ones_like(current[:, :1]))

    return estimate


def box_mask(height: int, width: int, value: float = 1.0) -> torch.Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., 20:44, 24:56] = value
    return mask


@settings(max_examples=8)
@given(dx=st.integers(-4, 4), dy=st.integers(-4, 4), seed=st.integers(0, 99), value=st.sampled_from([0.25, 1.0]))
def test_along_a_translation_of_whole_pixels_a_mask_moves_exactly(dx, dy, seed, value):
    large = torch.rand(1, 3, 84, 100, generator=torch.Generator().manual_seed(seed))
    frames = [large[..., 10 - i * dy : 74 - i * dy, 10 - i * dx : 90 - i * dx] for i in range(3)]
    state = begin(frames[0], box_mask(64, 80, value))
    for frame in frames[1:]:
        state = follow(state, frame, moved_by(dx, dy))
    exact = box_mask(64, 80, value).roll((2 * dy, 2 * dx), (2, 3))
    torch.testing.assert_close(state.mask, exact, rtol=0, atol=0.01)


def test_where_nothing_moves_the_mask_stays():
    frame = picture(64, 80)
    state = begin(frame, box_mask(64, 80))
    for _ in range(3):
        state = follow(state, frame, dis_flow)
    assert torch.equal(state.mask, box_mask(64, 80))


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("way", [1, -1])
def test_known_masks_in_both_directions_of_time(drawn, thing, way):
    """Before anything is covered."""
    part = slice(0, 9) if way == 1 else slice(8, None, -1)
    masks = [found[THINGS.index(thing)] for found in drawn.masks[part]]
    frames = drawn.frames[part]
    state = begin(frames[0], masks[0])
    for frame, truth in zip(frames[1:], masks[1:], strict=True):
        state = follow(state, frame, dis_flow)
        assert state.mask.shape == truth.shape and state.mask.dtype == torch.float32
        assert state.mask.min() >= 0 and state.mask.max() <= 1
        assert iou(state.mask, truth) >= 0.95


def test_what_is_covered_does_not_paint_its_cover_and_is_known_again(drawn):
    state = begin(drawn.frames[24], drawn.masks[24][0])
    cover = []
    for frame, (_, over, _) in zip(drawn.frames[25:], drawn.masks[25:], strict=True):
        state = follow(state, frame, dis_flow)
        cover.append(float((state.mask * (over > 0.5)).sum() / over.sum()))
    assert max(cover) < 0.1
    assert iou(state.mask, drawn.masks[-1][0]) >= 0.85


def test_what_has_left_the_picture_has_left_the_mask(drawn):
    state = begin(drawn.frames[34], drawn.masks[34][2])
    for frame in drawn.frames[35:]:
        state = follow(state, frame, dis_flow)
    assert state.mask.max() == 0
    calls = []
    assert follow(state, drawn.frames[0], lambda *frames: calls.append(frames)).mask.max() == 0
    assert not calls


def test_an_empty_mask_stays_empty_and_a_full_one_full():
    frame = picture(40, 50)
    assert follow(begin(frame, torch.zeros(1, 1, 40, 50)), frame, dis_flow).mask.max() == 0
    assert follow(begin(frame, torch.ones(1, 1, 40, 50)), frame, dis_flow).mask.min() == 1


def test_the_light_may_change():
    made = draw(2, size=(192, 108), frames=13)
    state = begin(made.frames[0], made.masks[0][1])
    for i, frame in enumerate(made.frames[1:], 1):
        state = follow(state, frame * (1 - 0.03 * i), dis_flow)
    assert iou(state.mask, made.masks[-1][1]) >= 0.92
