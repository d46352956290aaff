"""How much of a frame goes through the network at once, and frames in tiles from beginning to end."""

import pytest
import torch
from small_networks import small_backbone, smooth_picture

from videostyle.frames import Frame
from videostyle.settings import Settings
from videostyle.stylise import memory
from videostyle.stylise.sequence import stylise_frames
from videostyle.stylise.stylizer import Stylizer

QUICK = Settings(iterations=3, min_iterations=1, precision="fp32", device="cpu")
UHD = 3840 * 2160


def stylizer(settings: Settings = QUICK) -> Stylizer:
    return Stylizer(smooth_picture(48, 64, seed=9), settings, backbone=small_backbone())


def test_less_memory_means_smaller_tiles_which_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor, before = stylizer().extractor, 0
    for gib in (6.3, 7, 8, 16, 32, 64):
        settings = QUICK.replace(memory=gib)
        at_once = memory.pixels_at_once(settings, extractor, UHD)
        assert at_once is not None and at_once > before
        assert memory.needed_bytes(settings, extractor, UHD, at_once) <= gib * 2**30
        before = at_once
    assert before > UHD
    assert memory.pixels_at_once(QUICK.replace(memory=1), extractor, UHD) == memory.smallest_tile(extractor)
    monkeypatch.setattr(memory, "total_memory_bytes", lambda _: 10 * 2**30)
    assert memory.memory_bytes(QUICK, torch.device("cpu")) == 9 * 2**30
    monkeypatch.setattr(memory, "total_memory_bytes", lambda _: None)
    assert memory.pixels_at_once(QUICK, extractor, UHD) is None


def test_curvature_pairs_take_most_of_a_large_frame() -> None:
    extractor = stylizer().extractor
    lbfgs, short, adam = (
        memory.needed_bytes(QUICK.replace(octaves=1, **change), extractor, UHD, 0)
        for change in ({}, {"history_size": 4}, {"optimizer": "adam"})
    )
    assert lbfgs - short == pytest.approx(short - adam)
    assert lbfgs > 2 * adam > 2 * memory.needed_bytes(QUICK, extractor, UHD, 0) - lbfgs


def test_a_size_has_its_tiles_whatever_was_asked_before() -> None:
    p = stylizer(QUICK.replace(memory=8))
    assert p.tiles(2160, 3840) > 1
    assert p.tiles(48, 64) == 1 < p.tiles(2160, 3840) == p.tiles(2160, 3840)


def test_a_clip_in_tiles_is_the_clip_to_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Frame(smooth_picture(32, 48).roll(2 * i, dims=3), pts=i) for i in range(2)]
    settings = QUICK.replace(octaves=1)
    whole = list(stylise_frames(frames, stylizer(settings)))
    monkeypatch.setattr("videostyle.stylise.stylizer.pixels_at_once", lambda *_: 1)
    p = stylizer(settings)
    tiled = list(stylise_frames(frames, p))
    assert len(p.extractor.tiles((32, 48))) == 6
    for one, two in zip(whole, tiled, strict=True):
        assert one.evaluations == two.evaluations
        torch.testing.assert_close(two.pixels, one.pixels, rtol=0, atol=2e-3)
        assert two.loss == pytest.approx(one.loss, rel=1e-3)
