"""The samples are what they are said to be, and the script that draws them draws the same again."""

import tomllib
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from videostyle.errors import UsageError
from videostyle.media.still import read_picture
from videostyle.samples import sample, sample_names, samples_folder
from videostyle.settings import Settings, TrainSettings
from videostyle.stylise.style_images import as_style
from videostyle.stylise.style_networks import NetworkKey, find_network

ROOT = Path(__file__).parents[1]

import make_samples  # noqa: E402
from samples_art import paint, woodcut  # noqa: E402

STILLS = ["photo.jpg", "dark.jpg", "reference.jpg"]
STYLES = [f"styles/{name}.jpg" for name in make_samples.STYLES]
LOOKS = [f"looks/{name}" for name in ("boat.png", "boat.toml", "swell.toml", "true_colours.toml", "turn.toml")]
MEBIBYTE = 1024 * 1024


def pixels(name: str) -> np.ndarray:
    """Return a sample picture as float32 RGB in 0..1."""
    with Image.open(sample(name)) as picture:
        return np.asarray(picture.convert("RGB"), np.float32) / 255


@pytest.fixture(scope="module")
def clip_frames() -> np.ndarray:
    """Every fourth frame of the clip, float32 RGB in 0..1, [24, h, w, 3]."""
    with av.open(str(sample("clip.mp4"))) as container:
        frames = [f.to_ndarray(format="rgb24") for i, f in enumerate(container.decode(video=0)) if i % 4 == 0]
    return np.stack(frames).astype(np.float32) / 255


@pytest.mark.parametrize("name", STYLES)
def test_every_style_brings_its_network(name: str) -> None:
    """At the default settings and size of a CPU; a style that is drawn anew needs another."""
    key = NetworkKey.of(as_style(read_picture(sample(name))), Settings(), TrainSettings.size)
    assert find_network(key) is not None


def test_all_samples_are_there_and_small_together() -> None:
    assert sample_names() == sorted(["clip.mp4", *STILLS, *STYLES, *LOOKS])
    assert sum(sample(name).stat().st_size for name in sample_names()) < 5.5 * MEBIBYTE


@pytest.mark.parametrize("name", STILLS + STYLES)
def test_pictures_open_and_are_rich(name: str) -> None:
    picture = pixels(name)
    assert picture.shape == ((640, 640, 3) if name in STYLES else (432, 640, 3))
    grey = picture.mean(-1)
    fine = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    assert fine > 0.015, "there is no texture to speak of"
    assert np.ptp(np.percentile(grey, [2, 98])) > 0.15


def test_dark_is_dark_and_its_reference_is_not() -> None:
    assert pixels("dark.jpg").mean() < 0.2
    assert pixels("reference.jpg").mean() > 0.35


def test_styles_differ_from_one_another() -> None:
    """In palette (joint histogram) or in stroke (energy per octave): no two are near in both together."""
    marks = []
    for name in STYLES:
        picture = pixels(name)
        codes = (picture * 3.999).astype(int) @ [16, 4, 1]
        colour_fit = np.sqrt(np.bincount(codes.ravel(), minlength=64) / codes.size)
        marks.append(colour_fit)
    for i, one in enumerate(marks):
        for two in marks[i + 1 :]:
            assert np.linalg.norm(one - two) > 0.3


def test_clip_has_the_streams_it_should() -> None:
    with av.open(str(sample("clip.mp4"))) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height) == (640, 360)
        assert (video.frames, video.average_rate) == (96, 24)
        assert audio.codec_context.name == "aac"
        assert video.duration * video.time_base == 4
        assert abs(float(audio.duration * audio.time_base) - 4) < 0.1
        next(container.decode(video=0))
        context = video.codec_context
        assert (int(context.color_primaries), int(context.color_trc), int(context.colorspace)) == (1, 1, 1)


def test_sound_is_heard_and_not_clipped() -> None:
    with av.open(str(sample("clip.mp4"))) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert np.abs(sound).max() < 0.95
    assert np.sqrt((sound**2).mean()) > 0.01


def test_clip_moves_everywhere_and_its_light_changes(clip_frames: np.ndarray) -> None:
    steps = np.abs(np.diff(clip_frames, axis=0)).mean((0, 3))
    thirds = [part.mean() for part in np.array_split(steps, 3, axis=0)]
    assert min(thirds) > 0.015, "sky, scenery and water should all move"
    luma = clip_frames @ np.float32([0.2126, 0.7152, 0.0722])
    assert luma[-1].mean() > luma[0].mean() + 0.15
    warmth = (clip_frames[..., 0] - clip_frames[..., 2]).mean((1, 2))
    assert warmth[-1] > warmth[0] + 0.05


@pytest.mark.parametrize("draw", [paint.pointillism, woodcut.woodcut])
def test_a_picture_is_the_same_when_drawn_again(draw: make_samples.Draw) -> None:
    first, second = draw(96), draw(96)
    assert first.shape == (96, 96, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)


def test_script_draws_what_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(make_samples.STYLES, "woodcut", lambda: woodcut.woodcut(64))
    assert make_samples.main(["-o", str(tmp_path), "woodcut"]) == 0
    assert [path.name for path in tmp_path.rglob("*.jpg")] == ["woodcut.jpg"]
    with pytest.raises(SystemExit):
        make_samples.main(["nonsense"])
    assert "nonsense" in capsys.readouterr().err


def test_unknown_sample_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"'clip\.avi'.*clip\.mp4"):
        sample("clip.avi")
    with pytest.raises(UsageError):
        sample("../pyproject.toml")


def test_wheel_carries_every_sample() -> None:
    """The globs of pyproject.toml reach every file in the folder."""
    folder = ROOT / "samples"
    if samples_folder() != folder:
        pytest.skip("the package under test is installed from a wheel")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert settings["package-dir"]["videostyle._samples"] == "samples"
    carried = {path for glob in settings["package-data"]["videostyle._samples"] for path in folder.glob(glob)}
    assert carried == {path for path in folder.rglob("*") if path.is_file()}
