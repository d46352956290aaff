"""Optical flow by DIS and the mask that says where to trust it."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_networks import smooth_picture

from videostyle.temporal.flow import dis_flow, farneback_flow, flow_named, off_boundaries, reduced, visible_mask
from videostyle.temporal.warp import sample, warp


def texture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Blobs of a few pixels, (1, 3, height, width) float32 in [0, 1]: something for a flow to hold on to."""
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    blurred = F.avg_pool2d(F.pad(noise, (4, 4, 4, 4), mode="reflect"), 5, stride=1)[..., 2:-2, 2:-2]
    return ((blurred - 0.5) * 4 + 0.5).clamp(0, 1)


# --- a scene of which everything is known: a square moves to the right by SHIFT over a background that stands still

SIDE, SHIFT, SIZE = 40, 8, (96, 128)
ROWS, BEFORE, AFTER = slice(28, 28 + SIDE), slice(40, 40 + SIDE), slice(40 + SHIFT, 40 + SHIFT + SIDE)
REVEALED = (slice(None), slice(None), ROWS, slice(40, 40 + SHIFT))  # behind it: seen now, hidden before


def moving_square() -> tuple[torch.Tensor, torch.Tensor]:
    """(current, previous) frames."""
    background, square = texture(*SIZE, seed=1), texture(SIDE, SIDE, seed=2)
    current, previous = background.clone(), background.clone()
    current[..., ROWS, AFTER] = square
    previous[..., ROWS, BEFORE] = square
    return current, previous


def exact_flows() -> tuple[torch.Tensor, torch.Tensor]:
    """(current to previous, previous to current)."""
    backward, forward = torch.zeros(1, 2, *SIZE), torch.zeros(1, 2, *SIZE)
    backward[:, 0, ROWS, AFTER] = -SHIFT
    forward[:, 0, ROWS, BEFORE] = SHIFT
    return backward, forward


def test_what_was_hidden_before_was_not_seen_and_everything_else_was():
    mask = visible_mask(*exact_flows())
    assert mask.shape == (1, 1, *SIZE)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert not mask[REVEALED].any()
    mask[REVEALED] = 1
    assert mask.all()


def test_motion_boundaries_are_the_edges_of_what_moves():
    backward, _ = exact_flows()
    mask = off_boundaries(backward)
    assert mask.shape == (1, 1, *SIZE)
    assert not mask[..., ROWS, AFTER.start - 1].any()  # differences look to the right and down
    assert not mask[..., ROWS, AFTER.stop - 1].any()
    assert not mask[..., ROWS.start - 1, AFTER].any()
    assert not mask[..., ROWS.stop - 1, AFTER].any()
    assert int((1 - mask).sum()) == 4 * SIDE - 1  # one corner is the end of two edges
    assert off_boundaries(torch.full((1, 2, 9, 9), 7.0)).all()


def test_a_faster_flow_may_vary_more():
    """|grad|^2 = 0.01 is a boundary for what stands still, none for what moves by more than a pixel."""
    ramp = 0.1 * torch.arange(12.0).expand(1, 1, 10, 12)
    slow, fast = (torch.cat((ramp + speed, torch.zeros_like(ramp)), dim=1) for speed in (-0.5, 2.0))
    assert off_boundaries(fast).all()
    assert not off_boundaries(slow)[..., 3:8].any()


def test_what_comes_in_at_the_border_was_not_seen():
    backward = torch.zeros(1, 2, 20, 30)
    backward[:, 0], backward[:, 1] = 3.0, -2.0
    mask = visible_mask(backward, -backward)
    assert not mask[..., :2, :].any()
    assert not mask[..., -3:].any()
    assert mask[..., 2:, :-3].all()


@pytest.mark.parametrize(("error", "visible"), [(0.6, True), (0.8, False)])
def test_the_tolerance_of_the_consistency_check(error, visible):
    """Standing still, |w~ + w|^2 must stay below 0.5: an error of up to 0.707 pixels."""
    backward, forward = torch.zeros(1, 2, 20, 20), torch.zeros(1, 2, 20, 20)
    forward[:, 0] = error
    assert bool(visible_mask(backward, forward).all()) is visible


def test_dis_masks_what_a_moving_square_reveals():
    current, previous = moving_square()
    found = dis_flow(current, previous)
    # Small patches find a like of some of it
    assert found.comparable[REVEALED].mean() < 0.25
    assert found.visible[REVEALED].mean() < 0.35
    assert (found.comparable <= found.visible).all()
    square = (..., slice(ROWS.start + 8, ROWS.stop - 8), slice(AFTER.start + 8, AFTER.stop - 8))
    assert found.flow[:, 0][square].median().item() == pytest.approx(-SHIFT, abs=0.2)
    assert found.comparable[square].mean() > 0.9
    assert found.comparable[..., :16].mean() > 0.9
    assert found.flow[..., :16].abs().mean() < 0.1


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, -2), (-4, 5), (0, 0)])
def test_dis_finds_a_shift_with_the_right_sign(dx, dy):
    """Both frames are windows of one texture; the current pixel (x, y) was at (x + dx, y + dy)."""
    scene, margin, height, width = texture(120, 150), 8, 96, 120
    previous = scene[..., margin : margin + height, margin : margin + width]
    current = scene[..., margin + dy : margin + dy + height, margin + dx : margin + dx + width]
    found = dis_flow(current, previous)
    assert found.flow.shape == (1, 2, height, width)
    assert found.flow.dtype == found.comparable.dtype == torch.float32
    inside = (slice(12, -12), slice(12, -12))
    assert found.flow[0, 0][inside].median().item() == pytest.approx(dx, abs=0.2)
    assert found.flow[0, 1][inside].median().item() == pytest.approx(dy, abs=0.2)
    assert found.comparable[0, 0][inside].mean() > 0.9
    residual = (current - warp(previous, found.flow))[..., 12:-12, 12:-12].abs().mean()
    assert residual < 0.02
    if dx or dy:
        assert residual < 0.1 * (current - previous)[..., 12:-12, 12:-12].abs().mean()


def test_equal_frames_stand_still_and_are_trusted():
    frame = texture(48, 64)
    found = dis_flow(frame, frame)
    assert torch.equal(found(frame), frame)
    assert found.comparable.all()


@pytest.mark.parametrize("size", [(1, 1), (15, 40), (40, 15), (16, 16), (17, 33)], ids=str)
def test_small_frames(size):
    current, previous = smooth_picture(*size), smooth_picture(*size, seed=1)
    found = dis_flow(current, previous)
    assert found.flow.shape == (1, 2, *size)
    assert found.comparable.shape == (1, 1, *size)
    assert torch.isfinite(found.flow).all()
    if min(size) < 16:
        assert not found.flow.any()
        assert found.comparable.all()


# --- ground truth: `flow` in the shared folder leads from a frame to the next, so the later one is our "previous"

SCENES = {
    # frame, the later frame, its flow, the largest mean endpoint error of DIS, share of the residual left after warping
    "middlebury_RubberWhale": ("frame10.png", "frame11.png", "flow10.npz", 0.2, 0.7),
    "middlebury_Urban2": ("frame10.png", "frame11.png", "flow10.npz", 1.0, 0.3),
    "sintel_alley_1": ("frame_0002.png", "frame_0003.png", "flow_0002.npz", 0.5, 0.6),
}


def read(path) -> torch.Tensor:
    rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("scene", SCENES)
def test_ground_truth(shared, scene):
    here, there, name, largest_error, left = SCENES[scene]
    folder = shared / "flow" / scene
    current, other = read(folder / here), read(folder / there)
    truth = torch.from_numpy(np.load(folder / name)["flow"].astype(np.float32)).permute(2, 0, 1)[None]
    known = torch.isfinite(truth).all(1, keepdim=True)
    truth = torch.where(known, truth, 0.0)
    found = dis_flow(current, other)
    endpoint_error = (found.flow - truth).square().sum(1, keepdim=True).sqrt()
    assert endpoint_error[known].mean() < largest_error
    trusted = known & (found.comparable > 0)
    assert endpoint_error[trusted].mean() < endpoint_error[known].mean()  # the mask picks the better part
    assert 0.5 < found.comparable.mean() < 1

    def residual(flow):
        """Mean squared error of ``other`` brought to ``current`` over the known, trusted pixels."""
        return (current - warp(other, flow)).square().mean(1, keepdim=True)[trusted].mean()

    unmoved = residual(torch.zeros_like(truth))
    assert residual(truth) < left * unmoved
    assert residual(found.flow) < left * unmoved
    assert residual(-truth) > unmoved  # the other sign of the convention


@pytest.mark.parametrize("estimator", [farneback_flow, reduced(dis_flow, 80), flow_named("farneback", 80)])
def test_every_estimator_keeps_the_convention(estimator):
    scene, margin, height, width = texture(120, 150), 8, 96, 128
    previous = scene[..., margin : margin + height, margin : margin + width]
    current = scene[..., margin + 2 : margin + 2 + height, margin - 3 : margin - 3 + width]
    found = estimator(current, previous)
    assert found.flow.shape == (1, 2, height, width)
    assert found.comparable.shape == found.visible.shape == (1, 1, height, width)
    inside = (slice(16, -16), slice(16, -16))
    assert found.flow[0, 0][inside].median().item() == pytest.approx(-3, abs=0.3)
    assert found.flow[0, 1][inside].median().item() == pytest.approx(2, abs=0.3)
    assert found.comparable.min() >= 0 and found.comparable.max() == 1


def test_a_frame_that_is_small_enough_is_not_reduced():
    current, previous = moving_square()
    assert torch.equal(reduced(dis_flow, 128)(current, previous).flow, dis_flow(current, previous).flow)


def noisy(scene: torch.Tensor, seed: int) -> torch.Tensor:
    return (scene + torch.randn(scene.shape, generator=torch.Generator().manual_seed(seed)) * 2 / 255).clamp(0, 1)


def test_noise_does_not_move():
    """DIS alone finds motion of up to a pixel in a still, noisy picture; what does not move must be copied."""
    scene = 0.5 + 0.3 * (smooth_picture(96, 128) - 0.5)
    found = dis_flow(noisy(scene, 1), noisy(scene, 2))
    assert found.static.mean() > 0.99
    assert found.comparable.mean() > 0.98


def test_a_camera_that_moves_slowly_is_followed():
    scene = texture(96, 128)
    current = sample(scene, torch.full((1, 2, 96, 128), 0.4), mode="bicubic")
    found = dis_flow(noisy(current, 1), noisy(scene, 2))
    assert found.static.mean() < 0.05
    assert found.flow[0, 0, 16:-16, 16:-16].median().item() == pytest.approx(0.4, abs=0.15)


def test_something_small_moves_before_a_still_background():
    current, previous = moving_square()
    found = dis_flow(noisy(current, 1), noisy(previous, 2))
    assert found.flow[:, 0, ROWS, AFTER][..., 8:-8, 8:-8].median().item() == pytest.approx(-SHIFT, abs=0.2)
    assert found.static[..., :16].mean() > 0.9
