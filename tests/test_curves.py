"""Numbers over time: what is read, what is refused in one line, and the value between two keys."""

import json
import math
import random
import tomllib
from bisect import bisect_right
from dataclasses import FrozenInstanceError
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videostyle.errors import UsageError
from videostyle.settings.curves import (
    HOWS,
    Drive,
    Key,
    Keys,
    KeyTime,
    Timeline,
    curve_of,
    is_constant,
    limits,
    needs_cuts,
    needs_duration,
    needs_sound,
    plain,
    resolved,
    value_at,
)

CLIP = Timeline(10.0, cuts=(4.0, 7.0), loudness={("bass", 0.3): lambda seconds: seconds / 10})

numbers = st.floats(-1e12, 1e12)
amounts = st.floats(0, 1e6)
moments = st.one_of(
    st.builds(KeyTime, st.just("seconds"), amounts),
    st.builds(KeyTime, st.just("percent"), st.floats(0, 100)),
    st.builds(KeyTime, st.just("end"), amounts.map(lambda x: -x)),
    st.builds(KeyTime, st.just("cut"), st.floats(-1e6, 1e6), st.integers(1, 999)),
)
any_keys = st.lists(st.builds(Key, moments, numbers, st.sampled_from(HOWS)), min_size=1, max_size=5).map(
    lambda keys: Keys(tuple(keys))
)
drives = st.builds(Drive, st.sampled_from(["audio", "bass"]), numbers, numbers, st.floats(0, 60))


@st.composite
def timed_keys(draw, hows=HOWS):
    times = sorted(draw(st.sets(st.floats(0, 100), min_size=1, max_size=6)))
    return Keys(tuple(Key(KeyTime("seconds", t), draw(numbers), draw(st.sampled_from(hows))) for t in times))


ALWAYS = Timeline(None)


def test_the_three_kinds_of_curve():
    assert curve_of(3, "x") == 3.0 and isinstance(curve_of(3, "x"), float)
    assert curve_of(Fraction(1, 4), "x") == curve_of(np.float32(0.25), "x") == 0.25
    two = curve_of([[0, 0.3], ["50%", 1, "smooth"]], "x")
    assert two == Keys((Key(KeyTime("seconds", 0.0), 0.3), Key(KeyTime("percent", 50.0), 1.0, "smooth")))
    assert curve_of(((0, 0.3), ("50%", 1, "smooth")), "x") == two == curve_of(two, "x")
    assert curve_of({"drive": "bass", "low": 0, "high": 1}, "x") == Drive("bass", 0.0, 1.0, 0.3)
    assert len({two, Drive("bass", 0.0, 1.0), Drive("bass", 0.0, 1.0, 0.3), 0.5}) == 3
    with pytest.raises(FrozenInstanceError):
        two.keys = ()


def test_curves_are_read_from_toml():
    text = 'a = [[0, 1], ["cut2+0.5", 2, "hold"]]\nb = {drive = "audio", low = 1, high = 0.5, smooth = 1}'
    found = {name: curve_of(value, name) for name, value in tomllib.loads(text).items()}
    assert found["a"].keys[1] == Key(KeyTime("cut", 0.5, 2), 2.0, "hold")
    assert found["b"] == Drive("audio", 1.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("text", "seconds", "again"),
    [
        ("2.5", 2.5, 2.5), (" 2 ", 2.0, 2.0), (".5", 0.5, 0.5), ("1e-1", 0.1, 0.1), (3, 3.0, 3.0),
        ("50%", 5.0, "50%"), ("12.5 %", 1.25, "12.5%"), ("100%", 10.0, "100%"), ("0%", 0.0, "0%"),
        ("end", 10.0, "end"), ("end-1", 9.0, "end-1"), ("end - 0.5", 9.5, "end-0.5"), ("end-0", 10.0, "end"),
        ("cut", 4.0, "cut"), ("cut1", 4.0, "cut"), ("cut+0.5", 4.5, "cut+0.5"), ("cut-0.2", 3.8, "cut-0.2"),
        ("cut2+0.5", 7.5, "cut2+0.5"), ("cut2 - 1", 6.0, "cut2-1"),
    ],
)  # fmt: skip
def test_times(text, seconds, again):
    curve = curve_of([[text, 1]], "x")
    assert curve.keys[0].time.seconds(CLIP, "x") == pytest.approx(seconds)
    assert plain(curve) == [[again, 1.0]]


def test_values_between_keys():
    way = resolved(curve_of([[1, 10], [2, 20], [4, 40, "smooth"], [6, 0, "hold"], [7, 1]], "x"), CLIP, "x")
    assert [way(t) for t in (0, 1, 1.5, 2, 2.5, 3, 4, 5.999, 6, 6.5, 7, 99)] == pytest.approx(
        [10, 10, 15, 20, 20 + 20 * (3 / 16 - 2 / 64), 30, 40, 40, 0, 0.5, 1, 1]
    )


def test_cuts_are_counted_without_the_beginning_in_order_and_once():
    clip = Timeline(10.0, cuts=(7.0, 0.0, 4.0, 4.0))
    assert value_at(curve_of([["cut", 1], ["cut2", 2, "hold"]], "x"), 6.9, clip, "x") == 1
    with pytest.raises(UsageError, match=r"x has a key at cut3, and the clip has 2 cuts; give"):
        value_at(curve_of([["cut3", 1]], "x"), 0, clip, "x")


def test_a_drive_follows_the_sound():
    up, down = (Drive("bass", low, high) for low, high in ((2.0, 4.0), (4.0, 2.0)))
    assert [value_at(up, t, CLIP, "x") for t in (0, 5, 10, 20, -5)] == [2, 3, 4, 4, 2]
    assert [value_at(down, t, CLIP, "x") for t in (0, 5, 10, 20, -5)] == [4, 3, 2, 2, 4]
    with pytest.raises(UsageError, match=r"^tint follows the clip's sound \(bass\), and there is none; give"):
        resolved(Drive("bass", 0.0, 1.0, 0.4), CLIP, "tint")


def test_what_a_curve_needs():
    for value, cuts, duration, sound, constant, ends in [
        (2, False, False, set(), True, (2, 2)),
        ([[0, 1], ["cut", 3]], True, False, set(), False, (1, 3)),
        ([["10%", 3], [5, -1]], False, True, set(), False, (-1, 3)),
        ([["end-1", 3]], False, True, set(), True, (3, 3)),
        ({"drive": "bass", "low": 2, "high": 1}, False, False, {("bass", 0.3)}, False, (1, 2)),
        ({"drive": "audio", "low": 2, "high": 2, "smooth": 1}, False, False, {("audio", 1.0)}, True, (2, 2)),
    ]:
        curve = curve_of(value, "x")
        assert (needs_cuts(curve), needs_duration(curve), needs_sound(curve)) == (cuts, duration, sound)
        assert (is_constant(curve), limits(curve)) == (constant, ends)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            None,
            r"is None; expected a number up to 1e12, keys \[\[time, value\], \.\.\.\] or a drive \{drive = \.\.\.\}$",
        ),
        (True, r"is True; expected a number up to 1e12, keys"),
        ("0.5", r"is '0.5'; expected a number up to 1e12, keys"),
        (math.nan, r"is nan; expected a number up to 1e12"),
        (-math.inf, r"is -inf; expected a number up to 1e12"),
        (1e13, r"is 10000000000000.0; expected a number up to 1e12"),
        ([], r"is an empty list; expected keys"),
        ([1, 2], r"has the key 1; expected \[time, value\] or \[time, value, how\]$"),
        ([[1]], r"has the key \[1\]; expected \[time, value\]"),
        ([[1, 2, "linear", 3]], r"has the key \[1, 2, 'linear', 3\]"),
        ([[0, True]], r"at 0 is True; expected a number up to 1e12$"),
        ([["cut+1", "much"]], r"at cut\+1 is 'much'; expected a number up to 1e12$"),
        ([[0, math.nan]], r"at 0 is nan"),
        ([[0, 1, "ease"]], r"goes to its key at 0 by 'ease'; known ways are linear, smooth, hold$"),
        ([[0, 1, ["hold"]]], r"goes to its key at 0 by \['hold'\]; known ways"),
        ({}, r"lacks drive and low and high; a drive has drive, low, high, smooth \(only smooth may be left out\)$"),
        ({"drive": "bass", "low": 1}, r"lacks high; a drive has"),
        ({"drive": "drums", "low": 0, "high": 1}, r"has the drive 'drums'; known ones are audio, bass$"),
        ({"drive": "bass", "low": 0, "high": 1, "gain": 2}, r"has an unknown entry 'gain'; a drive has drive, low, h"),
        ({"drive": "bass", "low": "0", "high": 1}, r"'s low is '0'; expected a number up to 1e12$"),
        ({"drive": "bass", "low": 0, "high": 1, "smooth": -1}, r"'s smooth is -1; expected 0 to 60 seconds$"),
        ({"drive": "bass", "low": 0, "high": 1, "smooth": 61}, r"'s smooth is 61; expected 0 to 60"),
        ({"drive": "bass", "low": 0, "high": 1, "smooth": False}, r"'s smooth is False; expected"),
    ],
)
def test_what_is_malformed_is_refused(value, words):
    with pytest.raises(UsageError, match=f"^tint ?{words}") as caught:
        curve_of(value, "tint")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "time",
    [-1, -0.1, math.nan, math.inf, 1e13, True, None, [], "", "soon", "-1", "1 s", "120%", "-5%", "%", "end+1", "end-",
     "END", "cut0", "cut00+1", "cut+", "cut+-1", "cut2.5", "cut1234567", "1e999", "cut+1e400", "٣", "1\n2", "x" * 5000],
)  # fmt: skip
def test_times_that_cannot_be_read_are_refused(time):
    with pytest.raises(UsageError, match=r"^tint has a key at .*; expected seconds, \"50%\", \"end\"") as caught:
        curve_of([[time, 1]], "tint")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("value", "clip", "words"),
    [
        ([[10.06, 1]], CLIP, r"has a key at 10.06 \(10.06 s\), after the clip's end; expected times from 0 to 10 s$"),
        ([["cut2+4", 1]], CLIP, r"has a key at cut2\+4 \(11 s\), after the clip's end"),
        ([["cut-5", 1]], CLIP, r"has a key at cut-5 \(-1 s\), before the clip begins; expected times from 0 s$"),
        ([["end-11", 1]], CLIP, r"has a key at end-11 \(-1 s\), before the clip begins"),
        ([["cut3", 1]], CLIP, r"has a key at cut3, and the clip has 2 cuts; give a time that it has$"),
        ([["cut2", 1]], Timeline(5.0, (1.0,)), r"has a key at cut2, and the clip has 1 cut;"),
        ([["cut", 1]], Timeline(5.0), r"has a key at cut, and the clip has no cut;"),
        ([["end", 1]], ALWAYS, r"has a key at end, and the clip's length is not known; give times in seconds$"),
        ([["50%", 1]], ALWAYS, r"has a key at 50%, and the clip's length is not known"),
        ([[3, 1], [2, 1]], ALWAYS, r"has keys at 3 \(3 s\) and then at 2 \(2 s\); times of keys must increase$"),
        ([["cut", 1], [4, 1]], CLIP, r"has keys at cut \(4 s\) and then at 4 \(4 s\)"),
        ([[0, 1], ["50%", 1], ["cut+0.5", 2]], CLIP, r"has keys at 50% \(5 s\) and then at cut\+0.5 \(4.5 s\)"),
    ],
)
def test_keys_that_do_not_fit_the_clip_are_refused_before_the_first_frame(value, clip, words):
    curve = curve_of(value, "tint")
    with pytest.raises(UsageError, match=f"^tint {words}"):
        resolved(curve, clip, "tint")
    with pytest.raises(UsageError, match=f"^tint {words}"):
        value_at(curve, 0.0, clip, "tint")


def test_a_frame_beyond_the_clip_is_allowed():
    assert value_at(curve_of([[0, 0], [10.04, 1]], "x"), 10.04, CLIP, "x") == 1
    assert value_at(curve_of([["cut-4.04", 0], [1, 1]], "x"), 1, CLIP, "x") == 1


@given(st.one_of(numbers, any_keys, drives))
def test_plain_values_give_the_same_curve(curve):
    values = plain(curve)
    assert curve_of(values, "x") == curve
    assert curve_of(json.loads(json.dumps(values)), "x") == curve
    assert hash(curve_of(values, "x")) == hash(curve)


@given(timed_keys(), st.lists(st.floats(-10, 200), max_size=20))
def test_values_stay_within_the_limits_and_meet_the_keys(curve, times):
    least, greatest = limits(curve)
    way = resolved(curve, ALWAYS, "x")
    assert all(least <= way(t) <= greatest for t in times)
    assert all(way(key.time.amount) == key.value for key in curve.keys)
    assert way(-1) == way(0 if curve.keys[0].time.amount > 0 else -1) == curve.keys[0].value
    assert way(101) == curve.keys[-1].value


@given(timed_keys(("linear", "smooth")), st.lists(st.floats(0, 100), min_size=2, max_size=30))
def test_between_two_keys_the_value_goes_one_way(curve, times):
    way = resolved(curve, ALWAYS, "x")
    keys = [key.time.amount for key in curve.keys]
    for earlier, later in pairwise(sorted(times)):
        if (place := bisect_right(keys, earlier)) == bisect_right(keys, later) and 0 < place < len(keys):
            rise = curve.keys[place].value - curve.keys[place - 1].value
            assert (way(later) - way(earlier)) * math.copysign(1, rise) >= -1e-12 * abs(rise)


@given(timed_keys(("linear", "smooth")), st.floats(0, 100))
def test_the_value_does_not_jump(curve, time):
    way, step = resolved(curve, ALWAYS, "x"), 1e-7
    steepest = [
        1.5 * abs(b.value - a.value) / (b.time.amount - a.time.amount) for a, b in pairwise(curve.keys)
    ]  # smooth's slope is at most 1.5 times the line's
    most = max(steepest, default=0) * step * 1.01 + 1e-3
    assert abs(way(time + step) - way(time)) <= most


def test_whatever_is_broken_is_a_usage_error():
    rng = random.Random(4)
    junk = [
        None,
        True,
        "",
        "x",
        "120%",
        math.nan,
        math.inf,
        -1,
        [],
        {},
        [[]],
        b"1",
        1j,
        object(),
        "cut0",
        {1: 2},
        10**5000,
    ]
    good = [
        [[0, 0.3], ["50%", 0.7, "smooth"], ["end", 1, "hold"]],
        [["cut-0.2", 1.0], ["cut2+0.5", 2.0]],
        {"drive": "audio", "low": 0.3, "high": 0.7, "smooth": 0.3},
    ]
    for _ in range(200):
        value = json.loads(json.dumps(rng.choice(good)))
        if isinstance(value, dict):
            value[rng.choice([*value, "more"])] = rng.choice([j for j in junk if j != -1])
        elif rng.random() < 0.3:
            value[rng.randrange(len(value))] = rng.choice(junk)
        else:
            key = rng.choice(value)
            place = rng.randrange(len(key))
            key[place] = rng.choice(junk if place != 1 else [j for j in junk if j != -1])
        with pytest.raises(UsageError, match=r"^x[ ']") as caught:
            curve_of(value, "x")
        assert "\n" not in str(caught.value)
