"""Frames in, stylised frames out: what is carried from one to the next, and what never is."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import known_warp, picture, small_backbone, smooth_picture

from videostyle.frames import Frame
from videostyle.measure.metrics import warp_error
from videostyle.optimise.image_optimiser import strength_factor
from videostyle.settings import Settings
from videostyle.stylise.sequence import stylise_frames
from videostyle.stylise.stylizer import Stylizer

SIZE = (32, 40)
STYLE = picture(32, 32, seed=2).square()
SETTINGS = Settings(
    content_layers=("conv2_2",),
    style_layers=("conv1_1", "conv2_1", "conv3_1"),
    iterations=6,
    min_iterations=2,
    precision="fp32",
)


def stylizer(**changes) -> Stylizer:
    return Stylizer(STYLE, SETTINGS.replace(**changes), backbone=small_backbone())


def clip(*seeds: int, cuts: tuple[int, ...] = ()) -> list[Frame]:
    return [Frame(smooth_picture(*SIZE, seed=s), pts=i, cut=i in cuts) for i, s in enumerate(seeds)]


def paint(frames: list[Frame], **changes):
    made = stylizer(**changes)
    return list(stylise_frames(frames, made))


@pytest.mark.parametrize(
    "changes", [{}, {"init": "noise"}, {"first_init": "noise"}, {"init": "previous"}, {"optimizer": "adam"}]
)
def test_nothing_crosses_a_cut(changes):
    """Every frame of a shot is the same, to the bit, as when that shot is painted alone."""
    whole = paint(clip(1, 1, 1, 2, 2, cuts=(3,)), **changes)
    alone = paint(clip(2, 2), **changes)
    for a, b in zip(whole[3:], alone, strict=True):
        assert torch.equal(a.pixels, b.pixels)
        assert (a.start, a.evaluations, a.loss) == (b.start, b.evaluations, b.loss)
    assert [f.shot for f in whole] == [0, 0, 0, 1, 1]
    assert [f.index for f in whole] == [0, 1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.shared
def test_the_shots_of_a_real_clip_begin_as_if_alone(shared):
    """Cuts found in the stream; every shot's first frame is the same, to the bit, as when it is painted alone."""
    decode = pytest.importorskip("videostyle.media.decode")
    probe = pytest.importorskip("videostyle.media.probe")
    shots = pytest.importorskip("videostyle.temporal.cuts")
    info = probe.probe(shared / "clips" / "skv_bikes.mp4")
    frames = list(shots.find_shots(decode.decode(info, size=(128, 54))))
    painted = stylise_frames(iter(frames), stylizer())
    began = [(frame, p) for frame, p in zip(frames, painted, strict=True) if frame.cut]
    assert [float(frame.time_seconds) for frame, _ in began] == [1.2, 3.04, 5.48, 7.48, 9.68]
    for frame, p in began:
        (alone,) = stylise_frames([frame], stylizer())
        assert torch.equal(p.pixels, alone.pixels)
        assert (p.start, p.evaluations, p.loss) == (alone.start, alone.evaluations, alone.loss)


def test_the_first_frame_may_carry_a_cut():
    assert [f.shot for f in paint(clip(1, 1, cuts=(0,)))] == [0, 0]


def test_a_still_clip_with_noise_stays_as_it_is():
    """Nothing crawls, darkens, blurs or piles up: what nothing happens to is the same to the bit."""
    scene = smooth_picture(64, 64, seed=1)
    generator = torch.Generator().manual_seed(0)
    frames = [Frame(scene + torch.randn(scene.shape, generator=generator) * 2 / 255, pts=i) for i in range(12)]
    painted = paint([Frame(f.pixels.clamp(0, 1), f.pts) for f in frames])
    unchanged = (painted[-1].pixels == painted[0].pixels).all(1).float().mean()
    assert unchanged > 0.95


def test_coherence_holds_a_moving_picture_to_the_one_before():
    wide = smooth_picture(32, 80, seed=3) * 0.7 + 0.3 * picture(32, 80, seed=4)
    frames = [Frame(wide[..., 2 * t : 2 * t + 40].contiguous(), pts=t) for t in range(4)]

    def flow(current, previous):
        shift = torch.zeros(1, 2, 32, 40)
        shift[:, 0] = 2.0
        mask = torch.ones(1, 1, 32, 40)
        mask[..., -2:] = 0
        return known_warp(shift, mask)

    def error(**changes):
        made = stylizer(style_weight=1e6, **changes)
        out = list(stylise_frames(frames, made, flow=flow))
        return sum(warp_error(b.pixels, a.pixels, flow(None, None)) for a, b in itertools.pairwise(out))

    free, held = error(coherence=0.0), error(temporal_weight=1e6)
    assert held < 0.5 * free


def test_without_coherence_the_content_start_gives_independent_frames():
    whole = paint(clip(1, 2, 3), init="content", coherence=0.0)
    for frame, alone in zip(whole, (1, 2, 3), strict=True):
        (single,) = paint(clip(alone), init="content", coherence=0.0)
        assert torch.equal(frame.pixels, single.pixels)


def test_the_loss_that_is_reported_is_the_pictures_own():
    for frame in paint(clip(1, 2, 3)):
        expected = frame.content_loss + SETTINGS.style_weight * frame.style_loss
        assert frame.loss == pytest.approx(expected, rel=1e-4)


@given(st.floats(0, 1))
def test_strength_multiplies_beta(strength):
    assert strength_factor(0.5) == 1
    assert strength_factor(strength) == pytest.approx(1 / strength_factor(1 - strength))
    assert 0.01 <= strength_factor(strength) <= 100.001
