"""Keyframes: which frames are painted, what lies between them, and runs that go on in the middle of a group."""

from fractions import Fraction
from typing import Any

import pytest
import torch
from small_networks import known_warp, picture, small_backbone, smooth_picture

from videostyle.checkpoint.state_codec import from_plain, to_plain
from videostyle.errors import UsageError
from videostyle.frames import Frame, StylisedFrame
from videostyle.settings import Settings
from videostyle.stylise.between import with_variance_of
from videostyle.stylise.choose_maker import frame_maker_of
from videostyle.stylise.direction import Area, Colours, Moment
from videostyle.stylise.keyframes import Keyframes
from videostyle.stylise.recolour import to_lab
from videostyle.stylise.sequence import EveryFrame
from videostyle.stylise.state import SequenceState
from videostyle.stylise.style_images import as_style
from videostyle.stylise.stylizer import Stylizer

SIZE = 48, 64
QUICK = Settings(
    iterations=4, min_iterations=2, precision="fp32", device="cpu", statistic="gram", grain_weight=0.0, style_weight=1e6
)
STYLE = smooth_picture(40, 48, seed=1) ** 2


def clip(count: int, step: int = 1, cut: int | None = None) -> list[Frame]:
    """A picture that moves to the right; another one from the frame ``cut`` on."""
    shots = [smooth_picture(*SIZE, seed=s) for s in (5, 6)]
    return [
        Frame(shots[cut is not None and i >= cut].roll(step * i, dims=3), i, Fraction(1, 25), cut=i == cut)
        for i in range(count)
    ]


def maker(keyframes: str, **changes: object) -> Keyframes:
    made = frame_maker_of(Stylizer(STYLE, QUICK.replace(keyframes=keyframes, **changes), backbone=small_backbone()))
    assert isinstance(made, Keyframes)
    return made


def keys(frames: list[StylisedFrame]) -> list[int]:
    return [frame.index for frame in frames if frame.start != "between"]


@pytest.mark.parametrize("spacing, expected", [("2", [0, 2, 4, 6]), ("4", [0, 4, 6]), ("16", [0, 6])])
def test_a_key_at_both_ends_and_after_so_many_frames(spacing, expected):
    found = list(maker(spacing).frames(clip(7)))
    assert [f.index for f in found] == [f.pts for f in found] == list(range(7))
    assert keys(found) == expected
    assert all((f.evaluations > 0) == (f.index in expected) for f in found)
    assert all(f.pixels.shape == (1, 3, *SIZE) and f.pixels.min() >= 0 and f.pixels.max() <= 1 for f in found)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_shots(count):
    found = list(maker("4").frames(clip(count)))
    assert len(found) == count and keys(found)[-1] == count - 1


@pytest.mark.parametrize("changes", [{"keyframes": "off"}, {"init": "previous"}, {"init": "content"}])
def test_every_frame_is_painted_where_keyframes_are_off_or_nothing_is_carried(changes: dict[str, Any]):
    stylizer = Stylizer(STYLE, QUICK.replace(**changes), backbone=small_backbone())
    assert isinstance(frame_maker_of(stylizer), EveryFrame)


def test_keyframes_are_the_default():
    assert isinstance(frame_maker_of(Stylizer(STYLE, QUICK, backbone=small_backbone())), Keyframes)


def test_a_shot_ends_with_a_key_and_begins_as_if_nothing_had_been_before():
    frames = clip(9, cut=5)
    found = list(maker("4").frames(frames))
    assert keys(found) == [0, 4, 5, 8] and [f.shot for f in found] == [0] * 5 + [1] * 4
    alone = list(maker("4").frames([Frame(f.pixels, f.pts, f.time_base) for f in frames[5:]]))
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(found[5:], alone, strict=True))


def test_what_stands_still_needs_few_keys_and_what_is_new_many():
    still, changing = clip(20, step=0), [Frame(smooth_picture(*SIZE, seed=i), i) for i in range(9)]
    assert keys(list(maker("auto").frames(still))) == [0, 16, 19]
    assert keys(list(maker("auto").frames(changing))) == [0, 2, 4, 6, 8]


def test_between_two_keys_lies_what_both_show():
    """Still pixels stay, moving ones follow: nearer to the moved keys than to either as it stands."""
    still = list(maker("4").frames(clip(5, step=0)))
    assert all((f.pixels - still[0].pixels).abs().max() < 1e-5 for f in still)
    moving = list(maker("4").frames(clip(5, step=2)))
    inner = (..., slice(8, 40), slice(16, 48))
    for f in moving[1:4]:
        away = [
            (f.pixels - k.pixels.roll(2 * (f.index - k.index), 3))[inner].abs().mean() for k in (moving[0], moving[4])
        ]
        stood = (f.pixels - moving[0].pixels)[inner].abs().mean()
        assert min(away) < 0.5 * stood


@pytest.mark.parametrize("spacing", ["3", "auto"])
@pytest.mark.parametrize("at", range(9))
def test_a_run_goes_on_to_the_bit(spacing, at):
    frames, states = clip(10, step=2, cut=7), []
    whole = list(maker(spacing).frames(frames, on_state=states.append))
    assert len(states) == 10 and [s.index for s in states] == list(range(1, 11))
    tensors: dict[str, torch.Tensor] = {}
    stored = to_plain(states[at], Keyframes.state_types, tensors)
    position: SequenceState = from_plain(stored, Keyframes.state_types, tensors)
    rest = list(maker(spacing).frames(frames[at + 1 :], position))
    assert [f.index for f in rest] == list(range(at + 1, 10))
    for a, b in zip(whole[at + 1 :], rest, strict=True):
        assert torch.equal(a.pixels, b.pixels) and a.start == b.start


def test_what_is_kept_and_whose_colours_it_has_holds_for_every_frame():
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., :20] = 1
    settings = QUICK.replace(keyframes="4")
    moment = Moment(settings, (Area(as_style(STYLE), 1 - mask),), mask, Colours(1.0, of_source=True))
    stylizer = Stylizer(STYLE, settings, direction=lambda _: moment, backbone=small_backbone())
    frames = clip(5, step=2)
    for source, found in zip(frames, frame_maker_of(stylizer).frames(frames), strict=True):
        assert torch.equal(found.pixels[..., :20], source.pixels[..., :20])
        assert (to_lab(found.pixels) - to_lab(source.pixels))[:, 1:].abs().mean() < 1


@pytest.mark.parametrize("value", ["1", "17", "yes", "", "4.5", "-3", "²"])
def test_what_keyframes_can_be(value):
    with pytest.raises(UsageError, match="keyframes is"):
        Settings(keyframes=value)


@pytest.mark.parametrize("other", [{"init": "content"}, {"quality": "draft"}])
def test_what_keyframes_do_not_go_with(other):
    with pytest.raises(UsageError, match="keyframes is 4 and"):
        Settings(keyframes="4", **other)
    with pytest.raises(UsageError, match="touch-up is 2 and"):
        Settings(touch_up=2, **other)


# --- averages and motion over several steps


def test_an_average_has_the_variance_of_its_sides():
    a, b = (0.5 + 0.2 * (picture(64, 64, seed=s) - 0.5) for s in (1, 2))
    half = torch.full((1, 1, 64, 64), 0.5)
    plain, found = (a + b) / 2, with_variance_of(a, b, half)
    assert plain.std() < 0.75 * a.std()
    assert found.std().item() == pytest.approx(a.std().item(), rel=0.1)
    torch.testing.assert_close(with_variance_of(a, a, half), a, rtol=0, atol=1e-6)
    for share, side in ((0.0, a), (1.0, b)):
        torch.testing.assert_close(with_variance_of(a, b, torch.full_like(half, share)), side, rtol=0, atol=1e-6)


def test_motion_over_two_steps():
    ramp = torch.arange(32.0).expand(1, 1, 24, 32)
    one, other = (
        known_warp(torch.full((1, 2, 24, 32), shift) * torch.tensor([1.0, 0]).view(1, 2, 1, 1)) for shift in (1.5, 2.0)
    )
    both = one.after(other)
    torch.testing.assert_close(both.flow[:, 0], torch.full((1, 24, 32), 3.5))
    torch.testing.assert_close(both(ramp)[..., 4:20], ramp[..., 4:20] + 3.5, rtol=0, atol=1e-4)
    hidden = known_warp(one.flow, (torch.arange(32) >= 16).float().expand(1, 1, 24, 32))
    assert torch.equal(hidden.after(other).visible[..., :13], torch.zeros(1, 1, 24, 13))
    assert hidden.after(other).visible[..., 15:].min() == 1
    still = known_warp(torch.zeros(1, 2, 24, 32))
    assert torch.equal(one.after(still).flow, one.flow)
