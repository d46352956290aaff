"""Long shots in parts: they end where the picture is stillest, and none is too long or too short."""

import itertools
from fractions import Fraction

import torch
from hypothesis import given
from hypothesis import strategies as st

from videostyle.frames import Frame
from videostyle.temporal.split import SHORTEST_SHARE, Motion, stillest_splits


def times(count: int, rate: int = 10) -> list[Fraction]:
    return [Fraction(n, rate) for n in range(count)]


def test_a_short_shot_is_left_whole() -> None:
    assert stillest_splits(times(20), [1.0] * 20, 2.0) == []


def test_the_stillest_place_is_taken() -> None:
    motion = [5.0] * 40
    motion[17], motion[2] = 0.5, 0.1  # the second is too near to the beginning
    assert stillest_splits(times(40), motion, 3.0) == [17]


@given(st.lists(st.floats(0, 10), min_size=2, max_size=200), st.sampled_from([1.0, 2.5, 4.0]))
def test_no_part_is_too_long_or_too_short(motion: list[float], longest: float) -> None:
    at = times(len(motion))
    starts = [0, *stillest_splits(at, motion, longest)]
    assert starts == sorted(set(starts))
    for first, end in itertools.pairwise([*starts, len(at)]):
        assert at[end - 1] - at[first] < longest
        assert len(starts) == 1 or at[end - 1] - at[first] >= Fraction(longest) * SHORTEST_SHARE - Fraction(1, 10)


def test_motion_is_the_difference_to_the_frame_before() -> None:
    motion, grey = Motion(), torch.full((1, 3, 16, 16), 0.5)
    assert motion.of(Frame(grey)) == 0.0 == motion.of(Frame(grey.clone()))
    assert motion.of(Frame(grey + 0.2)) > 40
