"""What is kept is what was used: a run that goes on from a stored state gives the same bits."""

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest
import safetensors.torch
import torch
from small_networks import picture, smooth_picture

from videostyle.checkpoint.state_codec import from_plain, to_plain
from videostyle.checkpoint.state_store import distinct
from videostyle.frames import Frame
from videostyle.settings import Settings
from videostyle.stylise.sequence import stylise_frames
from videostyle.stylise.state import SEQUENCE_STATE_TYPES, SequenceState
from videostyle.stylise.stylizer import Stylizer

QUICK = Settings(backbone="compact", iterations=4, min_iterations=2, device="cpu")
STYLE = picture(40, 40, seed=2).square()


def clip() -> list[Frame]:
    """Six frames that move, with a cut before the fourth, beside noise that does not."""
    frames = [smooth_picture(48, 64, seed=i // 3).roll(i, dims=3) for i in range(6)]
    return [Frame(f, pts=i, time_base=Fraction(1, 25), cut=i == 3) for i, f in enumerate(frames)]


def through_a_file(position: SequenceState, path: Path) -> SequenceState:
    tensors: dict[str, torch.Tensor] = {}
    value = to_plain(position, SEQUENCE_STATE_TYPES, tensors)
    safetensors.torch.save_file(distinct(tensors), path)
    return from_plain(value, SEQUENCE_STATE_TYPES, safetensors.torch.load_file(path))


OTHERS = ({"precision": "fp32"}, {"init": "previous"}, {"init": "noise"}, {"optimizer": "adam"})


@pytest.mark.parametrize(
    "changes",
    [{}, {"coherence": 0.0}, *(pytest.param(case, marks=pytest.mark.slow) for case in OTHERS)],
)
def test_going_on_from_every_position_gives_the_same_bits(changes: dict[str, object], tmp_path: Path) -> None:
    settings = replace(QUICK, **changes)  # type: ignore[arg-type]
    positions: list[SequenceState] = []
    whole = list(stylise_frames(clip(), Stylizer(STYLE, settings), on_state=positions.append))
    assert [p.index for p in positions] == [1, 2, 3, 4, 5, 6]
    for position in positions[:-1]:
        kept = through_a_file(position, tmp_path / "state.safetensors")
        rest = list(stylise_frames(clip()[position.index :], Stylizer(STYLE, settings), resume_from=kept))
        for one, other in zip(whole[position.index :], rest, strict=True):
            assert torch.equal(one.pixels, other.pixels), (position.index, one.index)
            assert (one.index, one.shot, one.loss) == (other.index, other.shot, other.loss)


def test_every_kind_of_value_comes_back() -> None:
    @dataclass(frozen=True)
    class Pair:
        first: object
        second: object

    tensors: dict[str, torch.Tensor] = {}
    value = Pair((1, 2.5, None, "x", True), {"a": torch.arange(3), "b": Pair(torch.tensor(7), ())})
    again = from_plain(to_plain(value, [Pair], tensors), [Pair], tensors)
    assert again.first == value.first
    assert torch.equal(again.second["a"], torch.arange(3))
    assert again.second["b"].first.item() == 7 and again.second["b"].second == ()
    with pytest.raises(TypeError, match="cannot be kept"):
        to_plain(Pair(object(), 1), [Pair], {})


@pytest.mark.parametrize(
    "plain",
    [
        {"class": "Path", "fields": {}},
        {"class": "SequenceState", "fields": [1]},
        {"tensor": "absent"},
        {"tensor": 3},
        {"tuple": {}},
        {"other": 1},
        [1],
    ],
)
def test_what_was_not_kept_is_not_made(plain: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_plain(plain, SEQUENCE_STATE_TYPES, {})


def test_tensors_that_share_memory_are_told_apart(tmp_path: Path) -> None:
    one = torch.arange(4.0)
    kept = distinct({"a": one, "b": one, "c": torch.zeros(2)})
    assert len({t.data_ptr() for t in kept.values()}) == 3
    assert all(torch.equal(a, b) for a, b in itertools.pairwise([kept["a"], kept["b"], one]))
