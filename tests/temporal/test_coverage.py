"""What a stylised frame leaves to the next one."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import known_warp, picture, smooth_picture

from videostyle.temporal import colour, coverage, trust
from videostyle.temporal.colour import ColourAnchor
from videostyle.temporal.coverage import EVALUATIONS_TO_COVER, Coverage
from videostyle.temporal.scales import NEAR_PX, NOISE
from videostyle.temporal.still_pixels import LONGEST_LAG, static_mask, withhold_motion
from videostyle.temporal.warp import Warp, sample

SIZE = (40, 48)
LONGEST = LONGEST_LAG * max(SIZE)  # pixels


def standing(mask: torch.Tensor | None = None) -> Warp:
    return known_warp(torch.zeros(1, 2, *SIZE), torch.ones(1, 1, *SIZE) if mask is None else mask)


def noisy(scene: torch.Tensor, seed: int, sigma: float = 2 / 255) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (scene + sigma * torch.randn(scene.shape, generator=generator)).clamp(0, 1)


def follow(
    coverage_: Coverage, content: torch.Tensor, warp: Warp, evaluations: int = 10
) -> tuple[torch.Tensor, Coverage]:
    """(what is painted in the next frame, what is known after it)."""
    warped = coverage_.warped(warp)
    free = warped.update_mask(content, warp)
    return free, warped.updated(content, free, evaluations)


def still(warp: Warp, content: torch.Tensor, source: torch.Tensor, coverage_: Coverage) -> tuple[Warp, Coverage]:
    """As the flow says where nothing moves, and how the picture waits for a motion to come back."""
    static = static_mask(content, source, warp.flow, warp.visible)
    comparable, visible = (torch.maximum(mask, static) for mask in (warp.comparable, warp.visible))
    return withhold_motion(Warp(warp.flow * (1 - static), comparable, visible), coverage_)


def test_what_stands_still_is_left_alone_however_long_it_lasts():
    scene = smooth_picture(*SIZE)
    coverage_ = Coverage.complete(noisy(scene, 0))
    for t in range(1, 50):
        free, coverage_ = follow(coverage_, noisy(scene, t), standing())
        assert not free.any()
        assert not coverage_.repair_mask.any()


def test_what_comes_into_view_is_bare_until_it_had_its_evaluations():
    scene = smooth_picture(*SIZE)
    hidden = torch.ones(1, 1, *SIZE)
    hidden[..., 10:20, 10:20] = 0
    coverage_, warp, spent = Coverage.complete(scene), standing(hidden), 0
    assert coverage_.warped(warp).repair_mask[..., 10:20, 10:20].min() == 1
    while True:
        free, coverage_ = follow(coverage_, scene, warp)
        warp, spent = standing(), spent + 10
        if not free.any():
            break
        assert free[..., 10:20, 10:20].all()
        assert not free[..., 30:, 30:].any()
        left = max(0, 1 - spent / EVALUATIONS_TO_COVER)
        assert coverage_.missing[0, 0, 15, 15].item() == pytest.approx(left, abs=1e-5)
    assert not coverage_.repair_mask.any()
    assert spent - 10 == pytest.approx(EVALUATIONS_TO_COVER, abs=10)


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(-0.3, 0.3))
def test_paint_that_is_stretched_gets_thinner(across, down, shear):
    """An affine flow: what is left is the area that a pixel had before, its determinant."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(48.0), indexing="ij")
    flow = torch.stack((across * x + shear * y + 100, down * y))[None]
    determinant = (1 + across) * (1 + down)
    torch.testing.assert_close(coverage.area_ratio(flow), torch.full((1, 1, *SIZE), determinant), atol=1e-3, rtol=0)
    missing = Coverage.complete(smooth_picture(*SIZE)).warped(known_warp(flow, torch.ones(1, 1, *SIZE))).missing
    torch.testing.assert_close(missing, torch.full((1, 1, *SIZE), max(0.0, 1 - determinant)), atol=1e-3, rtol=0)


@given(st.integers(0, 99))
def test_noise_of_the_flow_stretches_nothing(seed):
    flow = torch.randn(1, 2, *SIZE, generator=torch.Generator().manual_seed(seed)).clamp(-3, 3) * 0.2
    assert (coverage.area_ratio(flow) == 1).all()


def test_a_change_of_light_is_painted_where_it_happens():
    scene = 0.5 * smooth_picture(*SIZE)
    lit = scene.clone()
    lit[..., :, :16] += 0.1
    free, coverage_ = follow(Coverage.complete(scene), lit, standing())
    assert free[..., :16].all()
    assert not free[..., 16 + 2 * NEAR_PX + 1 :].any()
    assert not coverage_.repair_mask.any()


def test_a_slow_change_adds_up():
    """Half a grey level a frame is less than noise; after some frames it is seen."""
    scene = 0.5 * smooth_picture(*SIZE)
    coverage_, when = Coverage.complete(scene), []
    for t in range(1, 20):
        free, coverage_ = follow(coverage_, scene + 0.5 * t / 255, standing())
        when.append(bool(free.any()))
    assert not any(when[:5])
    assert any(when)


@pytest.mark.parametrize(
    ("change", "seen"),
    [((0, 0, 5), False), ((5, -1, 4), False), ((0, 0, 7), True), ((-7, 2, 0), True), ((4, 4, 4), True)],
)
def test_colour_may_change_by_as_much_as_a_codec_is_coarse_and_light_by_less(change, seen):
    """In 1/255 of red, green and blue."""
    scene = 0.5 * smooth_picture(*SIZE)
    other = scene + torch.tensor(change).view(1, 3, 1, 1) / 255
    free, _ = follow(Coverage.complete(scene), other, standing())
    assert bool(free.all()) == bool(free.any()) == seen


def beside_a_hand(shift: int) -> tuple[torch.Tensor, torch.Tensor, Warp]:
    """(content, source, warp): a plain wall, a textured hand, a flow whose smear covers both."""
    wall, hand = torch.full((1, 3, *SIZE), 0.6), picture(*SIZE, seed=5)
    frames = [noisy(wall, t, 1 / 255) for t in range(2)]
    for t, frame in enumerate(frames):
        frame[..., 10:22, 10 + t * shift : 22 + t * shift] = hand[..., 10:22, 10:22]
    flow = torch.zeros(1, 2, *SIZE)
    flow[:, 0] = -0.4
    flow[:, 0, 10:22, 10:24] = -shift
    return frames[1], frames[0], known_warp(flow, torch.zeros(1, 1, *SIZE))


def test_a_wall_beside_a_moving_hand_is_at_rest():
    content, source, warp = beside_a_hand(2)
    found, _ = still(warp, content, source, Coverage.complete(source))
    wall = torch.ones(1, 1, *SIZE)
    wall[..., 5:27, 5:29] = 0
    at_rest = (found.static * wall).sum() / wall.sum()
    assert at_rest > 0.8
    assert torch.equal(found.flow[..., 12:20, 14:22], warp.flow[..., 12:20, 14:22])
    assert (found.visible >= found.static).all()


@pytest.mark.parametrize(("pixels", "apart", "left_alone"), [(3, True, True), (3, False, False), (0.4, False, True)])
def test_a_plain_wall_follows_motions_that_agree(pixels, apart, left_alone):
    """To the left in one stripe of 4 pixels and to the right in the next, or to the left all over; seen both ways."""
    wall, sides = torch.full((1, 3, *SIZE), 0.2), torch.full((SIZE[0] // 4, SIZE[1] // 4), -1.0)
    if apart:
        sides[:, ::2] = 1
    flow = torch.zeros(1, 2, *SIZE)
    flow[:, 0] = pixels * sides.repeat_interleave(4, 0).repeat_interleave(4, 1)
    source, content, warp = noisy(wall, 0), noisy(wall, 1), known_warp(flow, torch.ones(1, 1, *SIZE))
    if apart:  # a search through noise finds what looks alike by chance
        content = torch.lerp(content, warp(source), 0.5)
    found, _ = still(warp, content, source, Coverage.complete(source))
    assert (found.static.mean() > 0.9) == (found.static.mean() > 0.1) == left_alone


def test_a_moving_camera_takes_everything_along():
    scene = smooth_picture(SIZE[0], SIZE[1] + 4) * 0.5 + 0.5 * picture(SIZE[0], SIZE[1] + 4)
    content, source = scene[..., 1:-3].contiguous(), scene[..., :-4].contiguous()
    warp = known_warp(
        torch.tensor([0.9, 0.0]).view(1, 2, 1, 1).expand(1, 2, *SIZE).contiguous(), torch.ones(1, 1, *SIZE)
    )
    found, _ = still(warp, content, source, Coverage.complete(source))
    assert torch.equal(found.flow, warp.flow)


def test_what_moves_is_always_painted():
    warp = known_warp(torch.full((1, 2, *SIZE), 0.5), torch.ones(1, 1, *SIZE))
    free, _ = follow(Coverage.complete(smooth_picture(*SIZE)), smooth_picture(*SIZE), warp)
    assert free.all()


def test_the_start_is_the_picture_before_and_the_palette_where_that_was_hidden():
    content = smooth_picture(*SIZE)
    strokes = 0.1 * (picture(*SIZE, seed=1) - 0.5)
    stylised, seen = 0.5 * content + 0.25 + strokes, torch.ones(1, 1, *SIZE)
    seen[..., 24:] = 0
    initial_image = colour.initial_image(stylised, content, content, standing(seen), content, torch.ones_like(seen))
    assert torch.equal(initial_image[..., :24], stylised[..., :24])
    torch.testing.assert_close(initial_image[..., 24:], (0.5 * content + 0.25)[..., 24:], atol=0.02, rtol=0)


@given(st.integers(0, 50), st.floats(-1.5, 1.5), st.floats(0.1, 0.9), st.floats(0, 0.3))
def test_strokes_are_not_taken_for_contrast(seed, slope, middle, strength):
    source = smooth_picture(*SIZE, seed=seed)
    mean = source.mean((2, 3), keepdim=True)
    strokes = strength * (picture(*SIZE, seed=seed) - 0.5)
    strokes -= strokes.mean((2, 3), keepdim=True)
    found, offset = colour.colour_fit(slope * (source - mean) + middle + strokes, source)
    torch.testing.assert_close(found, torch.full_like(found, slope), atol=0.15, rtol=0)
    torch.testing.assert_close(found * mean + offset, torch.full_like(found, middle))


def test_a_picture_that_is_nearly_black_does_not_flash():
    dark = picture(*SIZE) / 1000
    assert colour.colour_fit(1000 * dark, dark)[0].max() <= colour.MOST_CONTRAST


@given(st.integers(0, 50), st.floats(-0.15, 0.15), st.floats(0.2, 1.5))
def test_what_is_painted_follows_the_light(seed, lighter, contrast):
    """Half of the picture is to be painted; there it gets as much lighter as the source, at the picture's contrast."""
    before = 0.2 + 0.6 * smooth_picture(*SIZE, seed=seed)
    stylised = 0.5 + contrast * (before - 0.5)
    free = torch.zeros(1, 1, *SIZE)
    free[..., :24] = 1
    initial_image = colour.initial_image(
        stylised, before, before + lighter, standing(torch.ones_like(free)), before, free
    )
    expected = (stylised + contrast * lighter * free).clamp(0, 1)
    torch.testing.assert_close(initial_image, expected, atol=2e-3, rtol=0)
    assert torch.equal(initial_image[..., 24:], stylised.clamp(0, 1)[..., 24:])


def test_the_light_of_what_was_hidden_does_not_count():
    source, seen = smooth_picture(768, 64), torch.ones(1, 1, 768, 64)
    seen[..., 32:] = 0
    other = torch.where(seen > 0, source, 1 - source)
    assert colour.local_colour_shift(other, source, seen)[..., :32].abs().max() == 0


@given(st.integers(0, 50), st.floats(-0.3, 0.3), st.floats(-0.9, 1.9))
def test_the_mean_colour_follows_a_small_change_and_may_follow_a_large_one(seed, lighter, contrast):
    source = smooth_picture(*SIZE, seed=seed)
    stylised = 0.5 + contrast * (source - 0.5)
    mean = stylised.mean((2, 3), keepdim=True)
    colours = ColourAnchor.of(stylised, source)
    for bound in colours.between(source):
        torch.testing.assert_close(bound, mean)
    low, high = colours.between(source + lighter)
    least = max(-2 * NOISE, min(lighter, 2 * NOISE))
    ends = torch.stack((mean + contrast * least, mean + contrast * lighter))
    torch.testing.assert_close(low, ends.amin(0), atol=2e-3, rtol=0)
    torch.testing.assert_close(high, ends.amax(0), atol=2e-3, rtol=0)


def test_what_stands_still_is_held_most_and_what_is_bare_or_doubted_hardly():
    scene, mask, flow = smooth_picture(*SIZE), torch.ones(1, 1, *SIZE), torch.zeros(1, 2, *SIZE)
    flow[:, 0, :, 12:24] = 1
    mask[..., 24:36] = 0.25
    coverage_ = Coverage.complete(scene)
    coverage_.missing[..., 36:] = 0.9
    for temporal_gain in (1.0, 0.25):
        found, moving = trust.temporal_mask(known_warp(flow, mask), coverage_, temporal_gain), 0.2 * temporal_gain
        expected = (slice(12), 1), (slice(12, 24), moving), (slice(24, 36), 0.25), (slice(36, None), 0.1)
        for columns, value in expected:
            torch.testing.assert_close(found[..., columns], torch.full_like(found[..., columns], value))


def test_coherence_means_a_weight_over_four_decades():
    assert trust.temporal_weight(0.0) == 0
    assert trust.temporal_weight(0.5) == pytest.approx(trust.TEMPORAL_WEIGHT)
    assert trust.temporal_weight(1.0) == pytest.approx(100 * trust.TEMPORAL_WEIGHT)
    assert 0 < trust.temporal_weight(0.01) < trust.temporal_weight(0.2) < trust.temporal_weight(0.9)


def test_what_looks_different_along_the_flow_is_doubted():
    scene = smooth_picture(*SIZE)
    other = scene.clone()
    other[..., 10:20, 10:20] = 1 - other[..., 10:20, 10:20].round()
    found = trust.with_photometric_confidence(standing(), other, scene)
    assert found.comparable[..., 13:17, 13:17].max() < 0.05
    assert found.visible[..., 13:17, 13:17].max() < 0.2
    assert found.comparable[..., 25:, 25:].min() == 1
    assert (found.comparable <= found.visible).all()


def test_noise_is_not_doubted():
    scene = smooth_picture(*SIZE)
    found = trust.with_photometric_confidence(standing(), noisy(scene, 1), noisy(scene, 2))
    assert found.comparable.min() > 0.98
    assert found.visible.min() == 1


def nodded(moves: list[float], moving: float) -> list[Warp]:
    """How a plain wall's picture is moved while the camera moves it by so many pixels in every frame."""
    wall, warps = torch.full((1, 3, *SIZE), 0.6), []
    coverage_ = replace(Coverage.complete(wall), moving=torch.full((1, 1, *SIZE), moving))
    for move in moves:
        flow = torch.zeros(1, 2, *SIZE)
        flow[:, 0] = move
        # a textured floor, which shows that it is the camera
        floor = picture(30, SIZE[1], seed=1)
        before = sample(floor, -flow[..., 10:, :], mode="bicubic")
        content, source = (torch.cat((wall[..., :10, :], f), 2) for f in (floor, before))
        warp, coverage_ = still(known_warp(flow, torch.ones(1, 1, *SIZE)), content, source, coverage_)
        assert coverage_.withheld_motion[..., :5, :].norm(dim=1).max() <= LONGEST
        warps.append(known_warp(warp.flow[..., :5, :], warp.comparable[..., :5, :]))
    return warps


def test_a_wall_at_rest_does_not_nod_with_the_camera():
    assert all(warp.static.all() for warp in nodded([LONGEST * x for x in (0.6, -0.8, 0.6, -0.4)] * 20, moving=0))


@pytest.mark.slow
@given(st.floats(0.1, 0.9), st.integers(1, 40))
def test_a_wall_lags_behind_a_camera_by_little(step, frames):
    travelled = sum(warp.flow[:, 0] for warp in nodded([step] * frames, moving=0))
    assert isinstance(travelled, torch.Tensor)
    assert ((step * frames - travelled).abs() < LONGEST + 1e-3).all()


def test_a_wall_that_goes_with_the_camera_goes_on_with_it():
    for warp in nodded([0.08, 0.1, 0.09], moving=1):  # each within what a wall at rest would wait for
        assert not warp.static.any()


@pytest.mark.parametrize("seen", [0.0, 1.0])
def test_what_was_hidden_lags_behind_nothing(seen):
    wall, withheld_motion = torch.full((1, 3, *SIZE), 0.6), torch.zeros(1, 2, *SIZE)
    withheld_motion[:, 0] = 0.8 * LONGEST
    before = replace(Coverage.complete(wall), withheld_motion=withheld_motion, moving=torch.zeros(1, 1, *SIZE))
    _, updated = withhold_motion(standing(torch.full((1, 1, *SIZE), seen)), before)
    assert torch.equal(updated.withheld_motion, withheld_motion * seen)
    assert (updated.moving == 1 - seen).all()
