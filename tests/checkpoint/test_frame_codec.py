"""Stored pictures come back to the bit, and as the encoder would have had them."""

import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from videostyle.checkpoint.frame_codec import pack, picture, quantised, unpack


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([8, 16]), st.integers(0, 99))
def test_packing_loses_nothing(width: int, height: int, depth: int, seed: int) -> None:
    kind = {8: np.uint8, 16: np.uint16}[depth]
    levels = np.random.default_rng(seed).integers(0, 1 << depth, (3, height, width)).astype(kind)
    assert np.array_equal(unpack(pack(levels), (width, height), depth), levels)


@pytest.mark.parametrize("depth", [8, 16])
def test_every_level_is_the_same_level_again(depth: int) -> None:
    levels = np.arange(1 << depth).astype({8: np.uint8, 16: np.uint16}[depth]).reshape(1, 1, -1).repeat(3, 0)
    assert np.array_equal(quantised(picture(levels), depth), levels)


def test_values_outside_are_clamped() -> None:
    pixels = torch.tensor([-1.0, 0.5, 2.0]).view(1, 3, 1, 1)
    assert quantised(pixels, 8).flatten().tolist() == [0, 128, 255]


def test_a_smooth_picture_becomes_small() -> None:
    ramp = np.linspace(0, 255, 300).astype(np.uint8)
    levels = np.broadcast_to(ramp, (3, 200, 300)).copy()
    assert len(pack(levels)) < levels.size / 5


def test_what_is_no_picture_is_refused() -> None:
    good = pack(np.zeros((3, 4, 5), np.uint8))
    for data, size in ((b"", (5, 4)), (b"\xff\xff", (5, 4)), (good, (6, 4)), (good[:-2], (5, 4))):
        with pytest.raises((ValueError, zlib.error)):
            unpack(data, size, 8)
