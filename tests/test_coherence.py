"""Frames in, stylised frames out: what is carried from one to the next, and what never is."""

import pytest
import torch
from networks import picture, small_backbone, smooth_picture

from videostyle.frame import Frame
from videostyle.painter import Painter, stylise_frames
from videostyle.settings import Settings

SIZE = (32, 40)
STYLE = picture(32, 32, seed=2).square()
SETTINGS = Settings(
    content_layers=("conv2_2",),
    style_layers=("conv1_1", "conv2_1", "conv3_1"),
    iterations=6,
    min_iterations=2,
    precision="fp32",
)


def painter(**changes) -> Painter:
    return Painter(STYLE, SETTINGS.but(**changes), backbone=small_backbone())


def clip(*seeds: int, cuts: tuple[int, ...] = ()) -> list[Frame]:
    return [Frame(smooth_picture(*SIZE, seed=s), pts=i, cut=i in cuts) for i, s in enumerate(seeds)]


def paint(frames: list[Frame], **changes):
    made = painter(**changes)
    return list(stylise_frames(frames, STYLE, painter=made))


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


def test_the_first_frame_may_carry_a_cut():
    assert [f.shot for f in paint(clip(1, 1, cuts=(0,)))] == [0, 0]
