"""What starts.py compares: where a frame begins, what of the history it keeps, and when it is there."""

import pytest
import starts
import torch
from frame import Clip, own_targets
from small_networks import picture, small_backbone

from videostyle.frames import Frame
from videostyle.optimise.lbfgs import History
from videostyle.settings import Settings
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.warp import Warp

SETTINGS = Settings(precision="fp32", grain_weight=0.0)


def still(height: int, width: int, seen: torch.Tensor) -> Warp:
    return Warp(torch.zeros(1, 2, height, width), seen, seen)


def test_starts_differ_where_nothing_was_seen_before():
    source, stylised, content = (picture(16, 24, seed=seed) for seed in range(3))
    seen = torch.ones(1, 1, 16, 24)
    seen[..., 12:] = 0
    before, warp = starts.Before(source, stylised, None), still(16, 24, seen)
    begun = {name: starts.begun(name, before, content, warp) for name in ("content", "previous", "warped", "filled")}
    assert torch.equal(begun["content"], content)
    assert torch.equal(begun["previous"], stylised) and torch.equal(begun["warped"], stylised)
    assert not torch.allclose(begun["filled"][..., 12:], stylised[..., 12:], atol=0.05)


def test_histories_are_dropped_kept_or_masked():
    history = History(torch.rand(4, 3, 8, 8), torch.ones(2, dtype=torch.bool), torch.tensor(0))
    seen = torch.ones(1, 1, 8, 8)
    seen[..., :3] = 0
    found = {name: of(history, still(8, 8, seen)) for name, of in starts.HISTORIES.items()}
    assert found["fresh"] is None and found["as it was"] is history
    torch.testing.assert_close(found["warped"].pairs, history.pairs)
    torch.testing.assert_close(found["masked"].pairs, history.pairs * seen)


@pytest.mark.parametrize("way", [starts.Way("content"), starts.Way("previous"), starts.Way("filled", "masked")])
def test_a_frame_ends_at_its_own_yardstick(way, monkeypatch):
    monkeypatch.setattr(starts, "YARDSTICK_EVALUATIONS", 6)
    frames, style = [Frame(picture(32, 32), pts=i) for i in range(2)], picture(32, 32, seed=9)
    stylizer = Stylizer(style, way.settings(SETTINGS), backbone=small_backbone())
    # The second frame is the first one again: with its picture it is there at once, from the content after as many.
    begin = starts.FrameTask("content", frames[0].pixels, min_evaluations=6, target=float("inf"))
    first, _ = stylizer.optimise(frames[0].pixels, begin)
    clip = Clip(frames, style, [1e30, first.losses.without_priors.item() * 1.0001])
    targets = own_targets(clip, stylizer)
    counts = starts.followed(way, clip, targets, stylizer, [still(32, 32, torch.ones(1, 1, 32, 32))])
    assert counts[0] == 1 if way.start != "content" else 1 < counts[0] <= 6


def test_coarse_ways_are_told_in_evaluations_of_the_whole_size(monkeypatch):
    monkeypatch.setattr(starts, "MARKS", (2, 5))
    monkeypatch.setattr(starts, "COARSE_EVALUATIONS", (4,))
    monkeypatch.setattr(starts, "Stylizer", lambda style, s: Stylizer(style, s, backbone=small_backbone()))
    monkeypatch.setattr(starts, "until", lambda curve, loss: len(curve))
    rows = dict(starts.first_frame(picture(64, 64), picture(64, 64, seed=9), SETTINGS, "content"))
    assert rows.pop("at once") == [5, 5]
    assert len(rows) == 2 and all(counts == [5 + 4 / 4] * 2 for counts in rows.values())


def test_until_is_the_first_evaluation_that_is_low_enough():
    curve = torch.tensor([[5.0], [3.0], [4.0], [2.0]])
    assert [starts.until(curve, loss) for loss in (5.0, 3.5, 2.0, 1.0)] == [1, 2, 4, None]
