"""Cuts and fades found in the stream, and times given by hand."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import picture, smooth_picture

from videostyle.frames import Frame
from videostyle.temporal.cuts import DETECTION_WIDTH, LOOK_AHEAD, cut_at, find_shots, thumbnail

TICK = Fraction(1, 1000)


def scene(seed: int, frames: int, size=(48, 64)) -> list[torch.Tensor]:
    """A picture that moves by a pixel a frame."""
    wide = smooth_picture(size[0], size[1] + frames, seed=seed)
    return [wide[..., t : t + size[1]].contiguous() for t in range(frames)]


def clip(pictures: list[torch.Tensor], durations: list[int] | None = None) -> list[Frame]:
    """Frames at 25 a second, or lasting ``durations`` milliseconds."""
    frames, pts = [], 0
    for i, pixels in enumerate(pictures):
        frames.append(Frame(pixels, pts, TICK))
        pts += durations[i] if durations else 40
    return frames


def cuts(frames: list[Frame]) -> list[int]:
    return [i for i, f in enumerate(frames) if f.cut]


def test_cuts_are_found_and_nothing_else():
    frames = clip(scene(1, 20) + scene(2, 15) + scene(3, 20))
    assert cuts(list(find_shots(frames))) == [20, 35]


def test_timestamps_decide_not_frame_numbers():
    """Frames of very different length: a frame number made from the time would be far off."""
    durations = ([5] * 10 + [400] * 10) + [20] * 15
    frames = clip(scene(1, 20) + scene(2, 15), durations)
    assert cuts(list(find_shots(frames))) == [20]


def test_a_fade_through_black_begins_a_shot_when_it_lights_up():
    out, up = scene(1, 20), scene(2, 20)
    down = [p * (1 - t / 10) for t, p in enumerate(out[10:])]
    rise = [p * (t / 10) for t, p in enumerate(up[:10])]
    found = cuts(list(find_shots(clip(out[:10] + down + [torch.zeros_like(out[0])] * 5 + rise + up[10:]))))
    assert len(found) == 1
    assert 25 <= found[0] <= 28


def test_a_clip_that_begins_in_the_dark_begins_a_shot_when_it_lights_up():
    """Otherwise a picture painted on black would be where all the others start from."""
    up = scene(2, 20)
    frames = clip([torch.zeros_like(up[0])] * 10 + [p * min(1, t / 10) for t, p in enumerate(up)])
    assert cuts(list(find_shots(frames))) == [11]


def test_noise_and_a_change_of_light_are_no_cuts():
    pictures = [(p * (0.6 + 0.02 * t) + 0.03 * picture(48, 64, seed=t)).clamp(0, 1) for t, p in enumerate(scene(1, 20))]
    assert cuts(list(find_shots(clip(pictures)))) == []


def test_frames_come_through_in_order_with_little_held_back():
    read = []

    def frames():
        for f in clip(scene(1, 12)):
            read.append(f.pts)
            yield f

    for delivered, frame in enumerate(find_shots(frames())):
        assert frame.pts == 40 * delivered
        assert len(read) <= delivered + 1 + LOOK_AHEAD <= delivered + 16
    assert delivered == 11


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_very_short_clips(count):
    frames = clip(scene(1, 5)[:count])
    assert [f.pts for f in find_shots(frames)] == [f.pts for f in frames]


def test_times_given_by_hand():
    frames = clip(scene(1, 10))  # 0.00, 0.04, ... 0.36 s
    assert cuts(list(cut_at(frames, [0.12, 0.21, 9.0]))) == [3, 6]
    assert cuts(list(cut_at(frames, [0.0]))) == []  # the clip's own beginning is no cut
    assert cuts(list(cut_at(frames, [0.13, 0.14]))) == [4]
    assert cuts(list(cut_at(frames, []))) == []


@given(st.lists(st.floats(0, 1), max_size=5))
def test_every_given_time_inside_the_clip_is_a_cut_at_or_just_after_it(times):
    frames = [Frame(torch.zeros(1, 3, 4, 4), 40 * i, TICK) for i in range(20)]
    found = {float(f.time_seconds) for f in cut_at(frames, times) if f.cut}
    inside = [t for t in times if 0.01 < t < 0.75]
    assert all(any(-0.006 <= cut - t <= 0.04 for cut in found) for t in inside)
    assert len(found) <= len(times)


def test_thumbnails_are_small_bgr_bytes():
    pixels = torch.zeros(1, 3, 300, 1024)
    pixels[:, 0] = 1.0  # red
    small = thumbnail(pixels)
    assert small.shape == (75, DETECTION_WIDTH, 3)
    assert small.dtype == "uint8"
    assert small[10, 10].tolist() == [0, 0, 255]
    assert thumbnail(pixels[..., :20, :30]).shape == (20, 30, 3)


@pytest.mark.slow
@pytest.mark.shared
def test_the_cuts_of_a_real_clip(shared):
    decode = pytest.importorskip("videostyle.media.decode")
    probe = pytest.importorskip("videostyle.media.probe")
    info = probe.probe(shared / "clips" / "skv_bikes.mp4")
    found = [f for f in find_shots(decode.decode(info, size=(256, 108))) if f.cut]
    assert [float(f.time_seconds) for f in found] == [1.2, 3.04, 5.48, 7.48, 9.68]
