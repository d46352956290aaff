"""Looks from file to file: regions, colours and change over time, with stops, previews, records and their likes."""

import itertools
import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from videostyle import MediaSettings, RunSettings, Settings, copy_video, run, stylise_image, stylise_video
from videostyle.cli.main import main
from videostyle.errors import StoppedError, UsageError
from videostyle.media.decode import decode
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.pipeline.job import open_job
from videostyle.pipeline.look import LookDirection
from videostyle.pipeline.look_record import look_of_output
from videostyle.pipeline.picture import preview_video
from videostyle.pipeline.progress import Progress
from videostyle.pipeline.request import Request
from videostyle.pipeline.shot import finished_frames, plan_shots, stylise_shot
from videostyle.samples import sample
from videostyle.settings.curves import curve_of
from videostyle.settings.look import ColourLook, Look, RegionLook, StylePicture
from videostyle.stylise.recolour import to_lab

QUICK = Settings(backbone="compact", iterations=3, min_iterations=2, device="cpu")
MEDIA = MediaSettings(size=48, duration_seconds=0.5)
BRUSH, WOOD = str(sample("styles/brush.jpg")), str(sample("styles/woodcut.jpg"))
TURN = Look(
    (
        StylePicture(BRUSH, curve_of([[0.1, 1], [0.4, 0]], "w")),
        StylePicture(WOOD, curve_of([[0.1, 0], [0.4, 1, "smooth"]], "w"), 0.5),
    ),
    colours=ColourLook("source", curve_of([["0%", 0], ["50%", 1]], "share")),
    changing=(("strength", curve_of([[0, 0.3], [0.2, 0.6, "hold"], ["end", 0.4]], "strength")),),
    name="turn",
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of the sample, small, with its sound."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    copy_video(sample("clip.mp4"), path, QUICK, MEDIA)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """White in the left half."""
    path = tmp_path / "left.png"
    pixels = np.zeros((28, 48), np.uint8)
    pixels[:, :24] = 255
    Image.fromarray(pixels).save(path)
    return path


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def pictures(folder: Path) -> list[torch.Tensor]:
    return [read_picture(path) for path in sorted(folder.glob("*.png"))]


def test_a_look_of_one_style_is_that_style(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(f'strength = 0.6\nstyle = "{BRUSH}"\n')
    words = [str(clip), "--size", "48", "--iterations", "3", "--min-iterations", "2", "--quiet", "--overwrite"]
    assert main(["video", *words, "--look", str(tmp_path / "one.toml"), "-o", str(tmp_path / "a.mp4")]) == 0
    assert main(["video", *words, "--style", BRUSH, "--strength", "0.6", "-o", str(tmp_path / "b.mp4")]) == 0
    assert np.array_equal(decoded(tmp_path / "a.mp4"), decoded(tmp_path / "b.mp4"))
    given = ["--strength", "0.6", "--look", str(tmp_path / "turn.toml"), "--style", BRUSH, "--colours", "style"]
    (tmp_path / "turn.toml").write_text('strength = [[0, 0], [0.4, 1]]\ncolours = "source"\nstyle = "none.jpg"\n')
    assert main(["video", *words, *given, "-o", str(tmp_path / "c.mp4")]) == 0  # what is given wins
    assert np.array_equal(decoded(tmp_path / "c.mp4"), decoded(tmp_path / "b.mp4"))


@pytest.mark.parametrize("frames", [3, 7])
def test_a_stop_in_the_middle_of_a_change(clip: Path, tmp_path: Path, mask: Path, frames: int) -> None:
    look = TURN.replace(regions=(RegionLook(str(mask), None, (StylePicture(WOOD),), 2.0),))
    whole = decoded(stylise_video(clip, look, tmp_path / "whole.mp4", QUICK, MEDIA).output)
    count: list[int] = []

    def should_stop() -> bool:
        count.append(1)
        return len(count) == frames

    every = RunSettings(state_seconds=0)
    with pytest.raises(StoppedError):
        stylise_video(clip, look, tmp_path / "out.mp4", QUICK, MEDIA, every, should_stop=should_stop)
    result = stylise_video(clip, look, tmp_path / "out.mp4", QUICK, MEDIA, every)
    assert result.restored == frames and np.array_equal(decoded(result.output), whole)
    assert (whole[0].astype(int) - whole[-1]).std() > 5


def test_what_changed_in_a_look_is_named(clip: Path, tmp_path: Path, mask: Path) -> None:
    look = Look((StylePicture(BRUSH),), (RegionLook(str(mask)),))

    def attempt(asked: Look) -> str:
        with pytest.raises((UsageError, StoppedError)) as refused:
            stylise_video(clip, asked, tmp_path / "out.mp4", QUICK, MEDIA, should_stop=lambda: True)
        return str(refused.value)

    assert "1 of 12 frames" in attempt(look)
    assert "look colours was" in attempt(look.replace(colours=ColourLook("source")))
    assert "look feather was 8.0, is 3.0" in attempt(look.replace(feather=3.0))
    assert "look strength was None" in attempt(look.replace(changing=(("strength", curve_of([[0, 0.5]], "s")),)))
    Image.fromarray(255 - np.asarray(Image.open(mask))).save(mask)
    words = attempt(look)
    assert "look mask 1 (left.png) was" in words and "--restart" in words


def test_a_region_without_a_style_is_the_source(clip: Path, tmp_path: Path, mask: Path) -> None:
    look = Look((StylePicture(BRUSH),), (RegionLook(str(mask)),), feather=2.0)
    stylise_video(clip, look, f"{tmp_path}/frames/", QUICK, MEDIA)
    sources = list(decode(probe(clip), size=(48, 28)))
    found = pictures(tmp_path / "frames")
    assert len(found) == len(sources) == 12
    for source, pixels in zip(sources, found, strict=True):
        away = (pixels - source.pixels).abs()
        assert away[..., :21].max() <= 1 / 255 and away[..., 27:].mean() > 0.02


def test_the_sources_colours(clip: Path, tmp_path: Path) -> None:
    stylise_video(clip, Look((StylePicture(BRUSH),), colours=ColourLook("source")), f"{tmp_path}/frames/", QUICK, MEDIA)
    for source, pixels in zip(decode(probe(clip), size=(48, 28)), pictures(tmp_path / "frames"), strict=True):
        assert (to_lab(pixels) - to_lab(source.pixels))[:, 1:].square().sum(1).sqrt().mean() < 3


def test_a_preview_shows_the_look_at_its_time(clip: Path, tmp_path: Path) -> None:
    media = MediaSettings(size=48)
    preview_video(clip, TURN, tmp_path / "a.png", QUICK, media, at_seconds=0.3)
    info = probe(clip)
    (first, *_) = list(decode(info, size=(48, 28), start_seconds=0.3))
    moment = LookDirection(TURN, QUICK, info, media, (48, 28))(first)
    assert 0.4 < moment.settings.strength < 0.6 and moment.colours.share == 1
    assert [image.scale for image in moment.areas[0].style] == [1.0, 0.5]
    share = 1 - moment.areas[0].style[0].weight
    blend = Look((StylePicture(BRUSH, 1 - share), StylePicture(WOOD, share, 0.5)), colours=ColourLook("source"))
    preview_video(clip, blend, tmp_path / "b.png", moment.settings, media, at_seconds=0.3)
    assert torch.equal(read_picture(tmp_path / "a.png"), read_picture(tmp_path / "b.png"))


def test_a_picture_has_the_look_of_time_0(tmp_path: Path) -> None:
    photo = sample("photo.jpg")
    driven = TURN.replace(
        changing=(
            ("strength", curve_of({"drive": "audio", "low": 0.4, "high": 0.9}, "s")),
            ("style_weight", curve_of([["cut+1", 5000], ["end", 10]], "w")),
        )
    )
    stylise_image(photo, driven, tmp_path / "a.png", QUICK, MEDIA)
    still = QUICK.replace(strength=0.4)
    colours = ColourLook("source", 0.0)
    stylise_image(photo, Look((StylePicture(BRUSH),), colours=colours), tmp_path / "b.png", still, MEDIA)
    assert torch.equal(read_picture(tmp_path / "a.png"), read_picture(tmp_path / "b.png"))


def test_sound_drives_a_number(tmp_path: Path) -> None:
    clip = sample("clip.mp4")
    look = Look(
        (StylePicture(BRUSH),), changing=(("strength", curve_of({"drive": "audio", "low": 0, "high": 1}, "s")),)
    )
    info = probe(clip)
    direction = LookDirection(look, QUICK, info, MEDIA, (48, 28))
    frames = list(decode(info, size=(48, 28)))
    found = [direction(frame).settings.strength for frame in frames]
    assert 0 <= min(found) < 0.3 and 0.7 < max(found) <= 1
    assert max(abs(a - b) for a, b in itertools.pairwise(found)) < 0.3


@pytest.mark.slow
def test_an_output_is_painted_like_another(
    clip: Path, tmp_path: Path, mask: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    look = TURN.replace(regions=(RegionLook(str(mask), None, (StylePicture(WOOD),), 2.0),))
    record, output = tmp_path / "run.json", tmp_path / "out.mkv"
    stylise_video(clip, look, output, QUICK, MEDIA, record_to=record)
    assert str(tmp_path) not in record.read_text()
    for told in (output, record):
        found, settings = look_of_output(told)
        assert found.replace(name="turn") == look and settings["iterations"] == 3
    words = [str(clip), "--size", "48", "--duration", "0.5", "--quiet"]
    assert main(["video", *words, "--like", str(record), "-o", str(tmp_path / "again.mkv")]) == 0
    assert np.array_equal(decoded(tmp_path / "again.mkv"), decoded(output))
    assert main(["look", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "iterations = 3" in printed and "weight = [[0.1, 1.0], [0.4, 0.0]]" in printed
    names = {"brush.jpg": BRUSH, "woodcut.jpg": WOOD}
    for name, path in names.items():
        shutil.copy(path, tmp_path / name)
    (tmp_path / "l.toml").write_text(printed)
    assert main(["video", *words, "--look", str(tmp_path / "l.toml"), "-o", str(tmp_path / "third.mkv")]) == 0
    assert np.array_equal(decoded(tmp_path / "third.mkv"), decoded(output))


def test_a_picture_that_has_gone_is_named(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.png"
    Image.open(BRUSH).resize((64, 64)).save(own)
    record = tmp_path / "run.json"
    stylise_video(clip, own, tmp_path / "out.mp4", QUICK, MEDIA, record_to=record)
    Image.open(WOOD).resize((64, 64)).save(own)  # another picture of that name
    words = [str(clip), "--size", "48", "--like", str(record), "-o", str(tmp_path / "b.mp4")]
    assert main(["video", *words]) == 2
    assert "own.png, which run.json was painted with, is neither beside it nor here" in capsys.readouterr().err
    assert main(["video", *words, "--duration", "0.1", "--style", BRUSH]) == 0


def test_an_output_of_an_older_version_has_a_look(clip: Path, tmp_path: Path) -> None:
    record = tmp_path / "run.json"
    stylise_video(clip, BRUSH, tmp_path / "out.mp4", QUICK.replace(strength=0.4), MEDIA, record_to=record)
    heading = json.loads(record.read_text())
    del heading["look"]
    record.write_text(json.dumps(heading))
    look, settings = look_of_output(record)
    assert look.styles == (StylePicture(str(sample("styles/brush.jpg"))),)
    assert settings["strength"] == 0.4


@pytest.mark.parametrize(
    "words, said",
    [
        (["--look", "none.toml"], "none.toml cannot be read"),
        (["--like", "clip.mkv"], "clip.mkv does not say how it was painted"),
        (["--like", "none.json"], "none.json cannot be read"),
        (["--style", BRUSH, "--blend", WOOD], "--style and --blend were given"),
        (["--look", "a", "--like", "b"], "--look and --like were given"),
        (["--blend", "x.jpg:y"], "not a style"),
        (["--blend", "x.jpg:0"], "no weight above 0"),
        (["--style", BRUSH, "--region", "none.png"], "none.png does not exist"),
        (["--style", BRUSH, "--region", BRUSH + ":none.jpg"], "none.jpg does not exist"),
        (["--style", BRUSH, "--colours", "none.jpg"], "none.jpg does not exist"),
        (["--style", BRUSH, "--colours", "source", "--quality", "draft"], "a style's network"),
        (["--look", "late.toml"], "after the clip's end"),
        (["--look", "cut.toml"], "the clip has no cut"),
        (["--look", "gap.toml"], "have no weight at"),
        (["--look", "gone.toml"], "gone.jpg does not exist"),
        ([], "no style was given"),
    ],
    ids=lambda words: " ".join(words)[-30:] if isinstance(words, list) else "",
)
def test_what_is_wrong_is_said_in_one_line(
    clip: Path,
    tmp_path: Path,
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, "clip.mkv")
    style = f'style = "{BRUSH}"\n'
    Path("late.toml").write_text(f"strength = [[0, 0.1], [9, 0.5]]\n{style}")
    Path("cut.toml").write_text(f'strength = [["cut", 0.1], ["cut+0.1", 0.5]]\n{style}')
    Path("gone.toml").write_text('style = "gone.jpg"\n')
    gap = '[[style]]\npicture = "{}"\nweight = [[0, {}], [0.2, {}]]\n'
    Path("gap.toml").write_text(gap.format(BRUSH, 1, 0) + gap.format(WOOD, 1, 0))
    assert main(["video", "clip.mkv", "--size", "48", *words, "-o", "out.mp4"]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("videostyle: ")]
    assert len(lines) == 1 and said in lines[0]
    assert not Path("out.mp4").exists() and not Path("out.mp4.videostyle").exists()


def test_shots_by_themselves_have_the_look_of_their_time(tmp_path: Path) -> None:
    """What a worker paints is to the bit what the whole run paints."""
    media, keep = MediaSettings(size=48, duration_seconds=0.5, cuts=(0.25,)), RunSettings(keep=True)
    request = Request("video", sample("clip.mp4"), TURN, tmp_path / "out.mp4", QUICK, media, keep)
    job = open_job(request)
    run(request)
    whole = list(finished_frames(tmp_path / "out.mp4.videostyle", job))
    shots = plan_shots(replace(request, output=tmp_path / "x.mp4"))
    assert [shot.start_seconds for shot in shots] == [0, Fraction(1, 4)]
    alone = stylise_shot(shots[1], replace(request, output=tmp_path / "x.mp4"), tmp_path)
    found = list(finished_frames(alone, job))
    assert len(whole) == 12 and len(found) == 6
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(whole[-len(found) :], found, strict=True))


def test_a_part_may_stay_in_part_and_a_scale_changes_in_steps(mask: Path) -> None:
    fading = RegionLook(str(mask), weight=curve_of([[0, 1], [2, 0]], "weight"))
    changing = (("style_scale", curve_of([[0, 1], [2, 2]], "style_scale")),)
    look = Look((StylePicture(BRUSH),), (fading,), feather=0.0, changing=changing)
    info = probe(sample("clip.mp4"))
    direction, scales = LookDirection(look, QUICK, info, MEDIA, (48, 28)), set()
    for frame in decode(info, size=(48, 28), duration_seconds=1.5):
        moment, left = direction(frame), 1 - float(frame.time_seconds) / 2
        assert moment.kept is not None and moment.areas[0].mask is not None
        assert moment.kept[..., :20].mean().item() == pytest.approx(left, abs=1e-4)
        torch.testing.assert_close(moment.areas[0].mask + moment.kept, torch.ones(1, 1, 28, 48))
        scales.add(moment.settings.style_scale)
    assert len(scales) < 16 and min(scales) == 1 and 1.6 < max(scales) < 1.9


def test_a_number_that_does_not_go_with_another_is_refused_before_any_work() -> None:
    look = Look((StylePicture(BRUSH),), changing=(("coherence", curve_of([[0, 0], [1, 1]], "coherence")),))
    with pytest.raises(UsageError, match="coherence 0"):
        LookDirection(look, QUICK.replace(temporal_weight=1.0), None, MEDIA, (48, 28))


@pytest.mark.slow
def test_a_preview_carries_a_mask_no_further_than_it_looks(tmp_path: Path, mask: Path) -> None:
    """A second after the mask's own frame, of a clip that goes on for three."""
    seen: list[Progress] = []
    look = Look((StylePicture(BRUSH),), (RegionLook(str(mask), 0.0),))
    media = MediaSettings(size=48, no_shots=True)
    preview_video(sample("clip.mp4"), look, tmp_path / "a.png", QUICK, media, at_seconds=1.0, on_progress=seen.append)
    assert 24 < sum(p.stage == "mask" for p in seen) < 60
