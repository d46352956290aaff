"""Given frames: the frame is the picture, what follows takes its paint, and what lies between two goes over."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from small_networks import small_backbone, smooth_picture

from videostyle.checkpoint.state_codec import from_plain, to_plain
from videostyle.frames import Frame, StylisedFrame
from videostyle.settings import Settings
from videostyle.stylise.choose_maker import frame_maker_of
from videostyle.stylise.given import Given, GivenFrames
from videostyle.stylise.keyframes import Keyframes
from videostyle.stylise.state import SequenceState
from videostyle.stylise.stylizer import Stylizer

SIZE = 48, 64
QUICK = Settings(
    iterations=4, min_iterations=2, precision="fp32", device="cpu", statistic="gram", grain_weight=0.0, style_weight=1e5
)
PAINTED = smooth_picture(*SIZE, seed=9)


def picture(pixels: torch.Tensor, share: float = 1.0, begins: bool = True) -> Given:
    return Given(lambda: pixels, share, begins)


WAYS = pytest.mark.parametrize("keyframes", ["off", "3", "auto"])


def clip(count: int) -> list[Frame]:
    shown = smooth_picture(*SIZE, seed=5)
    return [Frame(shown.roll(i, dims=3), i, Fraction(1, 25)) for i in range(count)]


def frames_of(keyframes: str, given: GivenFrames, count: int = 9, **changes: object) -> list[StylisedFrame]:
    stylizer = Stylizer(PAINTED, QUICK.replace(keyframes=keyframes, **changes), backbone=small_backbone())
    return list(frame_maker_of(stylizer, given=given).frames(clip(count)))


def at(places: dict[int, Given]) -> GivenFrames:
    return lambda frame: places.get(frame.pts)


@WAYS
def test_the_given_frame_is_the_picture_to_the_bit(keyframes):
    found = frames_of(keyframes, at({0: picture(PAINTED), 4: picture(PAINTED.flip(3))}))
    assert torch.equal(found[0].pixels, PAINTED) and torch.equal(found[4].pixels, PAINTED.flip(3))
    assert found[0].start == found[4].start == "given" and [f.index for f in found] == list(range(9))


@WAYS
def test_what_follows_has_the_paint_moved_along(keyframes):
    """A still clip keeps it; in one that moves, the frame is nearer to the moved paint than to the paint as it was."""
    found = frames_of(keyframes, at({0: picture(PAINTED)}), 7)
    inner = (..., slice(8, 40), slice(16, 56))
    for frame in found[1:]:
        moved = (frame.pixels - PAINTED.roll(frame.index, 3))[inner].abs().mean()
        assert moved < 0.5 * (frame.pixels - PAINTED)[inner].abs().mean()


@WAYS
def test_frames_that_are_ready_are_left_as_they_are(keyframes):
    ready = {i: picture(torch.full((1, 3, *SIZE), i / 10), begins=False) for i in range(3)}
    found = frames_of(keyframes, at(ready | {3: picture(PAINTED)}))
    assert all(torch.equal(found[i].pixels, ready[i].pixels) for i in range(3))
    assert [f.start for f in found[:4]] == ["carried back"] * 3 + ["given"] and found[4].start in ("warped", "between")


@WAYS
def test_paint_goes_over_to_the_next_given_frame_bit_by_bit(keyframes):
    """Nearer to it with every frame, and all but there at the last."""
    goal = PAINTED.flip(2)
    back = {i: picture(goal.roll(i - 8, 3), i / 8, begins=False) for i in range(1, 8)}
    found = frames_of(keyframes, at({0: picture(PAINTED), 8: picture(goal)} | back))
    inner = (..., slice(8, 40), slice(20, 50))
    away = [(f.pixels - goal.roll(f.index - 8, 3))[inner].abs().mean().item() for f in found]
    assert all(b < a + 0.01 for a, b in pairwise(away))
    assert away[4] < 0.8 * away[0] and away[7] < 0.35 * away[0] and away[8] == 0


@pytest.mark.parametrize("keyframes", ["3", "auto"])
@pytest.mark.parametrize("stop", range(8))
def test_a_run_with_given_frames_goes_on_to_the_bit(keyframes, stop):
    goal = PAINTED.flip(2)
    back = {i: picture(goal.roll(i - 6, 3), (i - 2) / 4, begins=False) for i in range(3, 6)}
    ready = {i: picture(PAINTED.roll(i - 2, 3), begins=False) for i in range(2)}
    given, states = at(ready | {2: picture(PAINTED), 6: picture(goal)} | back), list[SequenceState]()
    stylizer = Stylizer(PAINTED, QUICK.replace(keyframes=keyframes), backbone=small_backbone())
    whole = list(frame_maker_of(stylizer, given=given).frames(clip(9), None, states.append))
    tensors: dict[str, torch.Tensor] = {}
    position = from_plain(to_plain(states[stop], Keyframes.state_types, tensors), Keyframes.state_types, tensors)
    rest = list(frame_maker_of(stylizer, given=given).frames(clip(9)[stop + 1 :], position))
    for a, b in zip(whole[stop + 1 :], rest, strict=True):
        assert torch.equal(a.pixels, b.pixels) and a.start == b.start


def test_a_picture_of_a_higher_loss_is_not_painted_over():
    """Later frames of a still clip are taken no lower than the given one."""
    rough = (PAINTED + 0.3 * torch.randn(PAINTED.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    still = [replace(f, pixels=clip(1)[0].pixels) for f in clip(4)]
    stylizer = Stylizer(PAINTED, QUICK, backbone=small_backbone())
    found = list(frame_maker_of(stylizer, given=at({0: picture(rough)})).frames(still))
    assert all((f.pixels - rough).abs().max() < 1 / 255 for f in found[1:])


def test_touching_up_lowers_the_loss_of_frames_between():
    moving = clip(5)
    losses = {}
    for touch_up in (0, 4):
        settings = QUICK.replace(keyframes="4", touch_up=touch_up, coherence=0.0)
        stylizer = Stylizer(PAINTED, settings, backbone=small_backbone())
        found = list(frame_maker_of(stylizer).frames(moving))[1:4]
        assert all(f.evaluations == touch_up for f in found)
        losses[touch_up] = [
            stylizer.losses(a.pixels, b.pixels).without_priors.item() for a, b in zip(moving[1:4], found, strict=True)
        ]
    assert all(b < a for a, b in zip(losses[0], losses[4], strict=True))
