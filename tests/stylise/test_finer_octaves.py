"""Octaves that are finished from the one that a frame is painted at."""

import itertools
from collections.abc import Iterator
from fractions import Fraction

import pytest
import torch
from small_networks import small_backbone, smooth_picture

from videostyle.checkpoint.state_codec import from_plain, to_plain
from videostyle.frames import Frame
from videostyle.losses.style import StyleTarget
from videostyle.networks import compact
from videostyle.optimise.lbfgs import History
from videostyle.optimise.octaves import halved
from videostyle.settings import Settings
from videostyle.stylise import stylizer as stylizer_room
from videostyle.stylise.choose_network import finer_backbone
from videostyle.stylise.sequence import stylise_frames
from videostyle.stylise.state import SEQUENCE_STATE_TYPES, SequenceState
from videostyle.stylise.stylizer import Stylizer

QUICK = Settings(iterations=12, min_iterations=2, precision="fp32", device="cpu", grain_weight=0.0, statistic="gram")
STYLE = smooth_picture(96, 96, seed=4).square()


@pytest.fixture(autouse=True)
def _painted_small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stylizer_room, "PAINTED_OCTAVE", 48)
    yield


def made(**changes: object) -> Stylizer:
    return Stylizer(STYLE, QUICK.replace(**changes), backbone=small_backbone())


def clip(count: int, step: int = 2) -> list[Frame]:
    """A picture that moves right by ``step`` pixels a frame."""
    wide = smooth_picture(72, 128, seed=5)
    return [Frame(wide.roll(step * i, dims=3)[..., :96], pts=i, time_base=Fraction(1, 25)) for i in range(count)]


@pytest.mark.parametrize(
    ("size", "octaves"), [((96, 72), 2), ((60, 90), 2), ((64, 64), 1), ((200, 100), 3), ((800, 400), 3)]
)
def test_a_frame_is_painted_at_one_octave_and_finished_at_those_above(size, octaves):
    content = torch.rand(1, 3, *size)
    contents = made().in_octaves(content)
    assert len(contents) == octaves and torch.equal(contents[-1], content)
    assert all(torch.equal(halved(finer), coarser) for coarser, finer in itertools.pairwise(contents))
    assert len(made(octaves=1).in_octaves(content)) == 1


def test_a_film_is_the_same_painting_at_twice_the_size():
    """Half of it is nearer to the film of half the size than that is to its source."""
    frames = clip(3)
    large = list(stylise_frames(frames, made()))
    small_frames = [Frame(halved(f.pixels), f.pts, f.time_base) for f in frames]
    small = list(stylise_frames(small_frames, made()))
    assert [f.evaluations for f in large] == [f.evaluations for f in small]
    for one, other, source in zip(large, small, small_frames, strict=True):
        assert one.size == (96, 72) and one.pixels.min() >= 0 and one.pixels.max() <= 1
        away = (halved(one.pixels) - other.pixels).abs().mean()
        assert away < 0.25 * (other.pixels - source.pixels).abs().mean()


def test_a_finer_octave_is_painted_too():
    """Its own style loss is below that of the smaller picture, enlarged."""
    (frame,) = stylise_frames(clip(1), stylizer := made())
    small = halved(frame.pixels)
    enlarged = torch.nn.functional.interpolate(small, frame.pixels.shape[2:], mode="bicubic").clamp(0, 1)
    assert stylizer.losses(clip(1)[0].pixels, frame.pixels).total < stylizer.losses(clip(1)[0].pixels, enlarged).total


def test_still_pixels_stay_to_the_bit():
    first, *later = stylise_frames(clip(3, step=0), made())
    assert all(torch.equal(frame.pixels, first.pixels) for frame in later)


@pytest.mark.parametrize("init", ["warped", "previous", "content"])
def test_a_run_goes_on_to_the_bit(init):
    """From a state that was stored; the optimiser's pairs that it holds are not written to."""
    frames, states = clip(4), []
    whole = list(stylise_frames(frames, made(init=init), on_state=states.append))
    tensors: dict[str, torch.Tensor] = {}
    stored = to_plain(states[1], SEQUENCE_STATE_TYPES, tensors)
    copies = {name: t.clone() for name, t in tensors.items()}
    position: SequenceState = from_plain(stored, SEQUENCE_STATE_TYPES, tensors)
    rest = list(stylise_frames(frames[2:], made(init=init), resume_from=position))
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(whole[2:], rest, strict=True))
    assert all(torch.equal(tensors[name], copy) for name, copy in copies.items())


def test_a_shot_begins_at_every_octave_anew():
    frames = clip(3)
    cut = [frames[0], frames[1], Frame(frames[2].pixels, 2, Fraction(1, 25), cut=True)]
    *_, last = stylise_frames(cut, made())
    (alone,) = stylise_frames([frames[2]], made())
    assert torch.equal(last.pixels, alone.pixels)


def test_the_newest_pairs_are_kept():
    pairs = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 2, 2)  # steps 0 1 2, differences 3 4 5
    history = History(pairs, torch.tensor([True, False, True]), torch.tensor(0))
    kept = history.newest(2)
    assert kept.pairs[:, 0, 0, 0].tolist() == [2, 0, 5, 3] and kept.valid.tolist() == [True, True]
    assert kept.newest_slot == 1 and history.newest(5).size == 3


def test_a_finer_octave_has_other_judges():
    """Without the deepest layer, the others as heavy as before, content twice, and the style no larger than it is."""
    content = clip(1)[0].pixels
    stylizer = made(
        style_layers=("conv1_1", "conv2_1", "conv3_1"), style_weight=3.0, content_weight=1.0, style_scale=4.0
    )
    whole, finer = stylizer.optimiser(content), stylizer.optimiser(content, finer=True)
    assert finer.settings.style_layers == ("conv1_1", "conv2_1") and finer.weights.content == 2 * whole.weights.content
    assert finer.weights.style / 2 == pytest.approx(whole.weights.style / 3)
    own = StyleTarget(finer.extractor, STYLE, ("conv1_1",)).statistics["conv1_1"].gram
    assert torch.equal(finer.areas[0].target.statistics["conv1_1"].gram, own)
    assert not torch.allclose(whole.areas[0].target.statistics["conv1_1"].gram, own)


def test_the_embedded_network_finishes_what_another_has_painted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stylizer_room, "load_chosen", lambda *_: small_backbone())
    stylizer = Stylizer(STYLE, QUICK)
    assert [n.name for n in stylizer.networks] == ["small", "compact"]
    passes = stylizer.passes(72, 96)
    assert [(e.backbone.name, pixels) for e, pixels in passes] == [("small", 72 * 96 // 4), ("compact", 72 * 96)]
    frames = list(stylise_frames(clip(2), stylizer))
    assert all(torch.isfinite(f.pixels).all() for f in frames)
    assert [e.backbone.name for e, _ in stylizer.passes(32, 48)] == ["small"]


@pytest.mark.parametrize("change", [{"pooling": "average"}, {"style_layers": ("conv1_2",)}], ids=str)
def test_a_network_finishes_its_own_where_the_embedded_one_has_not_what_is_asked_for(change):
    backbone, settings = small_backbone(), QUICK.replace(**change)
    assert finer_backbone(backbone, settings) is backbone
    assert finer_backbone(backbone, QUICK).name == "compact"
    embedded = compact.load()
    assert finer_backbone(embedded, settings) is embedded
