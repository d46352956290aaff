"""Octaves in a stylizer: how many, and large forms first."""

import pytest
import torch
from small_networks import picture, small_backbone, smooth_picture

from videostyle.frames import Frame
from videostyle.optimise.octaves import halved
from videostyle.settings import Settings
from videostyle.stylise.sequence import stylise_frames
from videostyle.stylise.stylizer import Stylizer

QUICK = Settings(iterations=4, min_iterations=1, tolerance=0.0, precision="fp32", device="cpu", grain_weight=0.0)


@pytest.mark.parametrize(
    ("size", "octaves"), [((512, 288), 4), ((480, 360), 4), ((1920, 1080), 6), ((256, 256), 3), ((64, 48), 1)]
)
def test_octaves_go_down_to_about_64_pixels(size, octaves):
    made = Stylizer(picture(600, 700, seed=9), QUICK, backbone=small_backbone())
    assert made.octaves(size[1], size[0]) == octaves
    alone = Stylizer(picture(600, 700, seed=9), QUICK.replace(octaves=1), backbone=small_backbone())
    assert alone.octaves(size[1], size[0]) == 1


def test_no_octave_is_too_small_for_the_network():
    made = Stylizer(picture(300, 40, seed=9), QUICK.replace(octaves=8), backbone=small_backbone())
    count, smallest = made.octaves(400, 500), made.extractor.smallest_side
    # The style's shorter side is 40 / 300 of its longer one, which is that of the picture.
    assert 500 * 40 / 300 / 2 ** (count - 1) >= smallest > 500 * 40 / 300 / 2**count


def test_large_forms_are_painted_first():
    """The start is the content's detail on what the coarser octave has become."""
    style, content = smooth_picture(96, 96, seed=4), smooth_picture(96, 96, seed=5)
    made = Stylizer(style, QUICK.replace(octaves=2, iterations=20, first_init="content"), backbone=small_backbone())
    start = made.painted_coarsely(content, content)
    before, after = (made.losses(halved(content), halved(x)).total for x in (content, start))
    assert after < before
    one = Stylizer(style, QUICK.replace(octaves=1), backbone=small_backbone())
    assert torch.equal(one.painted_coarsely(content, content), content)


def test_a_shots_first_frame_begins_in_the_styles_colours():
    style = torch.cat((torch.full((1, 1, 64, 64), 0.8), 0.3 * picture(64, 64)[:, 1:]), 1)
    content = picture(64, 64, seed=3)
    made = Stylizer(style, QUICK.replace(iterations=1), backbone=small_backbone())
    (frame,) = stylise_frames([Frame(content)], made)
    assert frame.start == "palette"
    assert torch.equal(frame.pixels, made.start("palette", content))
    torch.testing.assert_close(frame.pixels.mean((2, 3)), style.mean((2, 3)), atol=0.05, rtol=0)
