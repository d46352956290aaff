"""Which frames show all of a shot, checked by motion that is known."""

import weakref
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import picture

from videostyle.frames import Frame
from videostyle.temporal.seen import APART_SECONDS, SHARE, ChosenFrame, choose_frames

HEIGHT, WIDTH, RATE = 64, 96, 25
# Of a picture of this size: the flow's smear at the border and at edges, a few pixels wide.
SMEAR = 0.1


def textured(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Spots of about four pixels, so that motion can be seen everywhere."""
    coarse = picture(height // 4 + 1, width // 4 + 1, seed=seed)
    return F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False).clamp(0, 1)


def clip(pictures: list[torch.Tensor], cuts: tuple[int, ...] = ()) -> list[Frame]:
    return [Frame(p.contiguous(), i, Fraction(1, RATE), cut=i in cuts) for i, p in enumerate(pictures)]


def pan(wide: torch.Tensor, at: list[float]) -> list[torch.Tensor]:
    """Windows of a wide picture whose left edges are ``at`` (pixels, fractions too)."""
    found = []
    for x in at:
        whole, part = int(x), x - int(x)
        found.append(torch.lerp(wide[..., whole : whole + WIDTH], wide[..., whole + 1 : whole + 1 + WIDTH], part))
    return found


def numbers(chosen: list[ChosenFrame]) -> list[int]:
    return [c.frame.pts for c in chosen]


def chosen_of(pictures: list[torch.Tensor], cuts: tuple[int, ...] = ()) -> list[int]:
    return numbers(list(choose_frames(clip(pictures, cuts))))


@pytest.mark.slow
@settings(max_examples=4)
@given(st.floats(0.8, 2.5), st.integers(0, 9), st.booleans())
def test_a_pan_is_covered_by_few_frames(speed: float, seed: int, backwards: bool):
    """At its end as much may stay unseen as comes into view before another frame is worth it."""
    travel, widths_a_second = 110, speed * RATE / WIDTH
    soon = widths_a_second * APART_SECONDS / (1 + widths_a_second * APART_SECONDS)
    at = [speed * t for t in range(int(travel / speed))]
    at = at[::-1] if backwards else at
    chosen = chosen_of(pan(textured(HEIGHT, WIDTH + travel + 2, seed), at))
    columns = torch.zeros(WIDTH + travel + 2)
    for n in chosen:
        columns[round(at[n]) : round(at[n]) + WIDTH] = 1
    for x in at:
        assert 1 - columns[round(x) : round(x) + WIDTH].mean() <= max(SHARE, soon) + SMEAR
    assert len(chosen) <= -(-(WIDTH + travel) // WIDTH) + 1


def test_a_still_shot_needs_one_frame_and_noise_no_more():
    still = textured(HEIGHT, WIDTH)
    assert chosen_of([still] * 30) == [0]
    noisy = [(still + 0.02 * (picture(HEIGHT, WIDTH, seed=t) - 0.5)).clamp(0, 1) for t in range(30)]
    (only,) = choose_frames(clip(noisy))
    assert only.newly_shown == pytest.approx(1, abs=0.01)


def test_every_side_of_a_cut_has_one():
    sides = [textured(HEIGHT, WIDTH, seed) for seed in (1, 2, 3)]
    assert chosen_of([s for s in sides for _ in range(6)], cuts=(6, 12)) == [0, 6, 12]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
@settings(max_examples=10)
def test_every_shot_has_at_least_one_however_short(lengths: list[int]):
    pictures = [textured(HEIGHT, WIDTH, seed) for seed, n in enumerate(lengths) for _ in range(n)]
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    assert chosen_of(pictures, tuple(starts[1:])) == starts


@pytest.mark.parametrize("frames", [5, 10, 25])
def test_of_a_fade_from_black_the_bright_end_is_chosen(frames: int):
    bright = textured(HEIGHT, WIDTH)
    rising = [bright * t / frames for t in range(frames)]
    (only,) = chosen_of([bright * 0] * 3 + rising + [bright] * 10)
    assert only >= 3 + 0.8 * frames


def test_of_a_fade_to_black_the_bright_beginning_is_chosen():
    bright = textured(HEIGHT, WIDTH)
    assert chosen_of([bright] * 10 + [bright * (9 - t) / 10 for t in range(10)]) == [0]


def test_a_black_or_grey_frame_before_a_picture_is_left_out_and_a_black_shot_has_none():
    bright = textured(HEIGHT, WIDTH)
    assert chosen_of([bright * 0] + [bright] * 8) == [1]
    assert chosen_of([bright * 0] * 8) == []
    grey = [torch.full_like(bright, 0.5)] * 5
    fading = [torch.lerp(grey[0], bright, t / 10) for t in range(11)]
    assert min(chosen_of(grey + fading + [bright] * 5)) >= 13
    assert chosen_of(grey) == [0]


def with_visitor(background: torch.Tensor, visitor: torch.Tensor, left: int) -> torch.Tensor:
    """A square of 48 pixels a side in front of the background, its left edge at ``left``."""
    shown = background.clone()
    first, last = max(0, left), min(WIDTH, left + 48)
    if first < last:
        shown[..., 8:56, first:last] = visitor[..., first - left : last - left]
    return shown


def test_what_is_there_only_briefly_is_shown_whole():
    """A visitor of three eighths of the picture comes in, stays a fifth of a second, and leaves."""
    background, visitor = textured(HEIGHT, WIDTH, 1), textured(48, 48, 2)
    there = [-48] * 25 + [-48 + 6 * t for t in range(1, 12)] + [18] * 5 + [18 + 6 * t for t in range(1, 14)] + [96] * 25
    chosen = chosen_of([with_visitor(background, visitor, x) for x in there])
    assert chosen[0] == 0 and len(chosen) == 2
    assert min(WIDTH, there[chosen[1]] + 48) - max(0, there[chosen[1]]) >= 40


def test_what_is_uncovered_again_is_known():
    """Behind a visitor that crosses the picture nothing is new."""
    background, visitor = textured(HEIGHT, WIDTH, 1), textured(48, 48, 2)
    there = [-48] * 20 + [-48 + 4 * t for t in range(36)] + [96] * 40
    assert len(chosen_of([with_visitor(background, visitor, x) for x in there])) == 2


def test_the_share_is_of_what_is_new():
    wide = textured(HEIGHT, WIDTH + 50)
    first, second = choose_frames(clip(pan(wide, [min(t, 48) for t in range(70)])))
    assert first.newly_shown == pytest.approx(1, abs=0.01)
    assert second.newly_shown == pytest.approx(second.frame.pts / WIDTH, abs=SMEAR)


def test_bars_are_not_counted():
    bars = textured(HEIGHT, WIDTH)
    bars[..., :10, :] = bars[..., -10:, :] = 0
    (only,) = choose_frames(clip([bars] * 5))
    assert only.newly_shown == pytest.approx(1, abs=0.02)


def test_two_frames_at_most_are_held():
    alive: list[weakref.ref[torch.Tensor]] = []

    def frames():
        wide = textured(HEIGHT, WIDTH + 120)
        for t in range(40):
            frame = Frame(wide[..., 3 * t : 3 * t + WIDTH].clone(), t, Fraction(1, RATE))
            alive.append(weakref.ref(frame.pixels))
            yield frame
            del frame
            assert sum(pixels() is not None for pixels in alive) <= 2 + 1  # the caller has the one chosen last

    times = [chosen.frame.pts for chosen in choose_frames(frames(), longest=48)]
    assert times == sorted(times) and len(times) >= 2 and len(alive) == 40
    assert list(choose_frames([])) == []


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (15, 15), (40, 2)])
def test_tiny_frames(size: tuple[int, int]):
    pixels = picture(*size).clamp_min(0.2)
    assert chosen_of([pixels] * 3) == [0]


@pytest.mark.slow
def test_the_choice_does_not_depend_on_the_frames_size():
    pictures = pan(textured(HEIGHT, WIDTH + 120), [2.0 * t for t in range(60)])
    large = [F.interpolate(p, scale_factor=4, mode="bicubic").clamp(0, 1) for p in pictures]
    small, found = clip(pictures), clip(large)
    assert numbers(list(choose_frames(found, longest=WIDTH))) == pytest.approx(
        numbers(list(choose_frames(small, longest=WIDTH))), abs=2
    )
    assert all(c.frame.size == (4 * WIDTH, 4 * HEIGHT) for c in choose_frames(found[:3], longest=WIDTH))
