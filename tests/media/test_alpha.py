"""Transparency: kept where the output can hold it, laid on white where not, and said which."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from media_tools import MakeClip, passthrough
from PIL import Image

from videostyle.media import ffmpeg
from videostyle.media.encode import off_white
from videostyle.media.probe import probe
from videostyle.settings import MediaSettings

COLOUR = np.asarray([200, 40, 60])
WIDTH = 64


def ramp(make_clip: MakeClip, name: str = "ramp.mkv", pixel_format: str = "bgra", codec: str = "ffv1") -> Path:
    """One colour whose opacity grows from left to right, 0 to 252 of 255, and a hidden colour where it is 0."""
    return make_clip(
        name, "-f", "lavfi", "-i", f"color=black:s={WIDTH}x48:r=10:d=0.3", "-vf",
        "format=rgba,geq=r='if(lt(X,8),0,200)':g='if(lt(X,8),255,40)':b='if(lt(X,8),0,60)':a='if(lt(X,8),0,4*X)'",
        "-c:v", codec, "-pix_fmt", pixel_format,
    )  # fmt: skip


def opacity() -> np.ndarray:
    columns = np.arange(WIDTH)
    return np.where(columns < 8, 0, 4 * columns)


def read_rgba(path: Path) -> np.ndarray:
    """(48, WIDTH, 4) of the first frame, by ffmpeg alone."""
    decoder = ["-c:v", "libvpx-vp9"] if path.suffix == ".webm" else []
    command = [ffmpeg.find_ffmpeg().path, "-v", "error", *decoder, "-i", str(path), "-frames:v", "1"]
    done = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgba", "-"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return np.frombuffer(done.stdout, np.uint8).reshape(48, WIDTH, 4).astype(int)


def on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


@pytest.mark.parametrize(
    ("name", "codec", "tolerance"),
    [("out.webm", None, 8), ("out.mov", "prores", 3), ("out.mkv", "vp9", 8), ("out/", None, 2)],
)
def test_kept(name, codec, tolerance, make_clip, tmp_path, each_ffmpeg) -> None:
    _, encoder = passthrough(ramp(make_clip), f"{tmp_path}/{name}", MediaSettings(codec=codec, crf=None))
    assert "the clip's transparency is kept" in encoder.notices
    if name == "out/":
        found = np.asarray(Image.open(tmp_path / name / "000000.png")).astype(int)
    else:
        assert probe(tmp_path / name).has_alpha
        found = read_rgba(tmp_path / name if name != "out.mkv" else (tmp_path / name).rename(tmp_path / "out.webm"))
    assert np.abs(found[24, :, 3] - opacity()).max() <= tolerance
    wanted = COLOUR * (opacity() / 255)[:, None] + 255 * (1 - opacity() / 255)[:, None]
    assert np.abs(on_white(found)[24] - wanted)[12:].max() <= tolerance


@pytest.mark.parametrize(("name", "codec"), [("out.mp4", None), ("out.mov", None), ("out.gif", None)])
def test_laid_on_white(name: str, codec: str | None, make_clip: MakeClip, tmp_path: Path) -> None:
    _, encoder = passthrough(ramp(make_clip), tmp_path / name, MediaSettings(codec=codec))
    assert any("laid on white" in notice for notice in encoder.notices)
    found = read_rgba(tmp_path / name)[24]
    assert (found[:, 3] == 255).all() and (found[2, :3] > 250).all()
    assert np.abs(found[60, :3] - (COLOUR * 240 / 255 + 15)).max() <= 8


def test_ten_bits(make_clip: MakeClip, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    clip = ramp(make_clip, "ramp.mov", "yuva444p10le", "prores_ks")
    passthrough(clip, tmp_path / "out.mov", MediaSettings(codec="prores"))
    assert np.abs(read_rgba(tmp_path / "out.mov")[24, :, 3] - opacity()).max() <= 3


def test_off_white_is_undone_by_laying_on_white() -> None:
    alpha = torch.linspace(0, 1, 64).view(1, 1, 1, 64).expand(1, 1, 8, 64)
    seen = torch.rand(1, 3, 8, 64) * alpha + (1 - alpha)
    four = off_white(seen, alpha)
    assert four.shape == (1, 4, 8, 64) and (four[:, :3, :, 0] == 1).all()
    assert (four[:, :3] * four[:, 3:] + (1 - four[:, 3:]) - seen).abs().max() < 1e-4
    assert (off_white(seen, None)[:, 3] == 1).all()
