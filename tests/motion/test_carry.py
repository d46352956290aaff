"""What a stylised frame leaves to the next one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import picture, smooth_picture

from videostyle.motion import carry
from videostyle.motion.carry import FRAMES_TO_FINISH, MARGIN, Painted
from videostyle.motion.warp import Warp

SIZE = (40, 48)


def standing(mask: torch.Tensor | None = None) -> Warp:
    return Warp(torch.zeros(1, 2, *SIZE), torch.ones(1, 1, *SIZE) if mask is None else mask)


def noisy(scene: torch.Tensor, seed: int, sigma: float = 2 / 255) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (scene + sigma * torch.randn(scene.shape, generator=generator)).clamp(0, 1)


def test_what_stands_still_is_left_alone_however_long_it_lasts():
    scene = smooth_picture(*SIZE)
    painted = Painted.whole(noisy(scene, 0))
    for t in range(1, 50):
        free, painted = painted.next(noisy(scene, t), standing())
        assert not free.any()


def test_what_comes_into_view_is_painted_for_a_few_frames():
    scene = smooth_picture(*SIZE)
    hidden = torch.ones(1, 1, *SIZE)
    hidden[..., 10:20, 10:20] = 0
    free, painted = Painted.whole(scene).next(scene, standing(hidden))
    assert free[..., 10:20, 10:20].all()
    assert not free[..., 30:, 30:].any()
    for _ in range(FRAMES_TO_FINISH - 1):
        free, painted = painted.next(scene, standing())
        assert free[..., 10:20, 10:20].all()
    free, painted = painted.next(scene, standing())
    assert not free.any()


def test_a_change_of_light_is_painted_where_it_happens():
    scene = 0.5 * smooth_picture(*SIZE)
    lit = scene.clone()
    lit[..., :, :16] += 0.1
    free, _ = Painted.whole(scene).next(lit, standing())
    assert free[..., :16].all()
    assert not free[..., 16 + MARGIN + carry.CHANGE_RADIUS + 1 :].any()


def test_a_slow_change_adds_up():
    """Half a grey level a frame is less than noise; after some frames it is seen."""
    scene = 0.5 * smooth_picture(*SIZE)
    painted, when = Painted.whole(scene), []
    for t in range(1, 20):
        free, painted = painted.next(scene + 0.5 * t / 255, standing())
        when.append(bool(free.any()))
    assert not any(when[:5])
    assert any(when)


def test_what_moves_is_always_painted():
    warp = Warp(torch.full((1, 2, *SIZE), 0.5), torch.ones(1, 1, *SIZE))
    scene = smooth_picture(*SIZE)
    free, _ = Painted.whole(scene).next(scene, warp)
    assert free.all()


def test_the_start_is_the_picture_before_and_the_palette_where_that_was_hidden():
    stylised, content = picture(*SIZE, seed=1) * 0.2, smooth_picture(*SIZE)
    seen = torch.ones(1, 1, *SIZE)
    seen[..., 24:] = 0
    start = carry.start(stylised, content, standing(seen))
    assert torch.equal(start[..., :24], stylised[..., :24])
    revealed = carry.recoloured(content, stylised)[..., 24:]
    torch.testing.assert_close(start[..., 24:], revealed)


@given(st.integers(0, 50), st.floats(0.1, 0.5), st.floats(0.05, 0.2))
def test_recoloured_has_the_mean_and_deviation_asked_for(seed, middle, spread):
    content = smooth_picture(*SIZE, seed=seed)
    like = (middle + spread * (picture(*SIZE, seed=seed) - 0.5)).clamp(0, 1)
    found = carry.recoloured(content, like)
    torch.testing.assert_close(found.mean((2, 3)), like.mean((2, 3)), atol=0.01, rtol=0)
    torch.testing.assert_close(found.std((2, 3)), like.std((2, 3)), atol=0.01, rtol=0)
    assert 0 <= found.min() <= found.max() <= 1


def test_coherence_means_a_weight_over_four_decades():
    assert carry.temporal_weight(0.0) == 0
    assert carry.temporal_weight(0.5) == pytest.approx(carry.GAMMA)
    assert carry.temporal_weight(1.0) == pytest.approx(100 * carry.GAMMA)
    assert 0 < carry.temporal_weight(0.01) < carry.temporal_weight(0.2) < carry.temporal_weight(0.9)


def test_what_looks_different_along_the_flow_is_doubted():
    scene = smooth_picture(*SIZE)
    other = scene.clone()
    other[..., 10:20, 10:20] = 1 - other[..., 10:20, 10:20].round()
    found = carry.doubted(standing(), other, scene)
    assert found.mask[..., 13:17, 13:17].max() < 0.05
    assert found.visible_before[..., 13:17, 13:17].max() < 0.2
    assert found.mask[..., 25:, 25:].min() == 1
    assert (found.mask <= found.visible_before).all()


def test_noise_is_not_doubted():
    scene = smooth_picture(*SIZE)
    found = carry.doubted(standing(), noisy(scene, 1), noisy(scene, 2))
    assert found.mask.min() > 0.98
    assert found.visible_before.min() == 1
