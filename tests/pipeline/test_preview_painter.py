"""One frame at a time: the pictures on the way, and that a preview is what a run paints."""

from pathlib import Path

import pytest
import torch

from videostyle.errors import VideoStyleError
from videostyle.frames import Frame
from videostyle.media.probe import probe
from videostyle.pipeline.facts import facts_of, frame_at
from videostyle.pipeline.picture import preview_video
from videostyle.pipeline.preview_painter import FrameRequest, PreviewPainter
from videostyle.samples import sample
from videostyle.settings import MediaSettings, Settings
from videostyle.settings.look import ColourLook, as_look
from videostyle.stylise.sequence import stylise_frames
from videostyle.stylise.stylizer import Stylizer

CLIP = Path(sample("clip.mp4"))
LOOK = as_look(str(sample("styles/brush.jpg")))
FEW = Settings(iterations=3)


def request(**changes) -> FrameRequest:
    return FrameRequest(**{"source": CLIP, "at_seconds": 0.5, "size": 64, "look": LOOK, "settings": FEW} | changes)


def test_the_pictures_on_the_way_are_shown():
    shown: list[torch.Tensor] = []
    frame = PreviewPainter().paint(request(), lambda pixels: shown.append(pixels.clone()))
    assert [tuple(pixels.shape[2:]) for pixels in shown] == [(36, 64)] * 3
    assert all(pixels.min() >= 0 and pixels.max() <= 1 for pixels in shown)
    assert frame.evaluations == 3 and frame.pixels.shape == (1, 3, 36, 64)


def test_a_second_one_has_the_network_and_the_same_pixels():
    painter = PreviewPainter()
    first = painter.paint(request())
    other = painter.paint(request(settings=FEW.replace(strength=0.9)))
    again = painter.paint(request())
    assert torch.equal(first.pixels, again.pixels) and not torch.equal(first.pixels, other.pixels)


def test_it_is_the_frame_of_the_command_line(tmp_path, monkeypatch):
    written = {}
    monkeypatch.setattr("videostyle.pipeline.picture.write_picture", lambda _, pixels, **__: written.update(p=pixels))
    preview_video(CLIP, LOOK, tmp_path / "x.png", FEW, MediaSettings(size=64), at_seconds=0.5)
    assert torch.equal(PreviewPainter().paint(request()).pixels, written["p"])


def test_few_evaluations_when_it_is_quick():
    frame = PreviewPainter().paint(request(settings=Settings(iterations=40, min_iterations=40)), quick=True)
    assert frame.evaluations == 10


def test_an_exception_ends_it():
    painter = PreviewPainter()

    def enough(_: torch.Tensor) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        painter.paint(request(), enough)
    assert painter.paint(request()).evaluations == 3


def test_pictures_on_the_way_have_the_colours_that_are_wanted():
    shown: list[torch.Tensor] = []
    look = LOOK.replace(colours=ColourLook("source"))
    frame = PreviewPainter().paint(request(look=look), lambda pixels: shown.append(pixels.clone()))
    assert (shown[-1].mean((2, 3)) - frame.pixels.mean((2, 3))).abs().max() < 0.02


def test_a_stylizer_tells_of_finer_octaves_too():
    shown: list[tuple[int, ...]] = []
    stylizer = Stylizer(torch.rand(1, 3, 64, 64), Settings(iterations=1, backbone="compact"))
    stylizer.on_picture = lambda pixels: shown.append(tuple(pixels.shape[2:]))
    list(stylise_frames([Frame(torch.rand(1, 3, 384, 512))], stylizer))
    assert (192, 256) in shown and (384, 512) in shown


def test_facts_and_frames_of_a_clip():
    facts = facts_of(CLIP)
    assert (facts["kind"], facts["width"], len(facts["times"])) == ("clip", 640, 96)
    assert facts["seconds"] == 4.0 and max(facts["waveform"]) == 1.0
    for index in (0, 7, 95):
        assert float(frame_at(CLIP, facts["times"][index], 64).time_seconds) == pytest.approx(index / 24, abs=1e-6)
    assert facts_of(Path(sample("photo.jpg")))["kind"] == "picture"
    assert probe(CLIP).frames == 96
    with pytest.raises(VideoStyleError):
        facts_of(Path(sample("looks/boat.toml")))


def test_what_is_kept_is_bounded_by_bytes(monkeypatch):
    """Frames of 3 * 36 * 64 floats: three of them fit, and the one that is used again and again stays."""
    monkeypatch.setattr("videostyle.pipeline.preview_painter.KEPT_BYTES", 3 * 3 * 36 * 64 * 4)
    painter = PreviewPainter()
    made = []

    def make(name: int) -> Frame:
        made.append(name)
        return Frame(torch.zeros(1, 3, 36, 64))

    for name in range(6):
        painter._once("style", make, -1)
        painter._once(name, make, name)
    painter._once(5, make, 5)
    painter._once(3, make, 3)
    assert made == [-1, 0, 1, 2, 3, 4, 5, 3]
