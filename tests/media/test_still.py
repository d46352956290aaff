"""Pictures of every kind in, and pictures out."""

import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from videostyle.errors import MediaError, UsageError, VideoStyleError
from videostyle.media.still import MAX_PIXELS, check_picture_output, read_picture, shrink, write_picture

RED = (200, 40, 60)


def colour(pixels: torch.Tensor, x: int = 0, y: int = 0) -> list[float]:
    return [round(value * 255, 2) for value in pixels[0, :, y, x].tolist()]


def gradient(width: int = 24, height: int = 16) -> Image.Image:
    """A picture whose orientation shows: red grows to the right, green downwards."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 0 * x + 40], axis=-1).astype(np.uint8))


def test_plain(tmp_path: Path) -> None:
    Image.new("RGB", (12, 8), RED).save(tmp_path / "a.png")
    pixels = read_picture(tmp_path / "a.png")
    assert pixels.shape == (1, 3, 8, 12) and pixels.dtype == torch.float32 and pixels.is_contiguous()
    assert colour(pixels) == [*map(float, RED)]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_round_trip(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    pixels = torch.tensor(np.asarray(gradient())).permute(2, 0, 1)[None] / 255
    write_picture(path, pixels, overwrite=False, comment='{"seed": 0}')
    assert (read_picture(path) - pixels).abs().mean() < (0.02 if suffix in (".jpg", ".webp") else 1e-6)
    assert os.listdir(tmp_path) == [path.name]
    with Image.open(path) as picture:
        said = {".png": picture.info.get("Comment"), ".jpg": (picture.info.get("comment") or b"").decode()}
        assert said.get(suffix, picture.getexif().get(0x010E)) == '{"seed": 0}'


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int, tmp_path: Path) -> None:
    turns = {
        1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1],
        5: lambda x: x.transpose(1, 0, 2), 6: lambda x: np.rot90(x, -1), 7: lambda x: np.rot90(x, 2).transpose(1, 0, 2),
        8: lambda x: np.rot90(x, 1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    gradient().save(tmp_path / "a.png", exif=exif)
    pixels = read_picture(tmp_path / "a.png")[0].permute(1, 2, 0).numpy()
    assert np.allclose(pixels, turns[orientation](np.asarray(gradient())) / 255)


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "a.png")
    assert colour(read_picture(tmp_path / "a.png"))[0] == pytest.approx(127, abs=0.1)
    Image.new("LA", (4, 4), (0, 0)).save(tmp_path / "b.png")
    assert colour(read_picture(tmp_path / "b.png")) == [255.0] * 3
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30])
    palette.save(tmp_path / "c.png", transparency=0)
    assert colour(read_picture(tmp_path / "c.png")) == [255.0] * 3


def test_other_kinds(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0x8000, np.uint16)).save(tmp_path / "deep.png")
    assert colour(read_picture(tmp_path / "deep.png"))[0] == pytest.approx(127.5, abs=0.1)
    Image.fromarray(np.full((4, 4), 0.25, np.float32)).save(tmp_path / "float.tif")
    assert colour(read_picture(tmp_path / "float.tif"))[0] == pytest.approx(63.75, abs=0.1)
    Image.new("L", (4, 4), 77).save(tmp_path / "grey.jpg")
    assert colour(read_picture(tmp_path / "grey.jpg")) == [77.0] * 3
    Image.new("1", (4, 4), 1).save(tmp_path / "bit.png")
    assert colour(read_picture(tmp_path / "bit.png")) == [255.0] * 3
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    red = colour(read_picture(tmp_path / "cmyk.jpg"))
    assert red[0] > 200 and red[1] < 60 and red[2] < 60
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30])
    palette.save(tmp_path / "palette.gif")
    assert colour(read_picture(tmp_path / "palette.gif")) == [10.0, 20.0, 30.0]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_sixteen_bit_rgb(tmp_path: Path) -> None:
    """Pillow cannot write one, so the chunks are put together by hand."""
    row = b"\x00" + struct.pack(">HHH", 51400, 10280, 15420) * 4
    header = struct.pack(">IIBBBBB", 4, 2, 16, 2, 0, 0, 0)
    path = tmp_path / "deep.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * 2)) + chunk(b"IEND", b"")
    )
    assert np.abs(np.asarray(colour(read_picture(path))) - RED).max() <= 1


def test_profile_is_applied(tmp_path: Path) -> None:
    """The same numbers in another colour space are another colour; a broken profile counts as none."""
    lab = ImageCms.createProfile("LAB")
    wide = ImageCms.profileToProfile(
        Image.new("RGB", (4, 4), RED), ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
    )
    assert wide is not None
    wide.save(tmp_path / "lab.tif", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    assert np.abs(np.asarray(colour(read_picture(tmp_path / "lab.tif"))) - RED).max() <= 2
    Image.new("RGB", (4, 4), RED).save(tmp_path / "broken.png", icc_profile=b"no profile at all")
    assert colour(read_picture(tmp_path / "broken.png")) == [*map(float, RED)]


def test_longest(tmp_path: Path) -> None:
    gradient(640, 400).save(tmp_path / "a.jpg", quality=95)
    small = read_picture(tmp_path / "a.jpg", longest=64)
    assert small.shape == (1, 3, 40, 64)
    assert 0.4 < small[0, 0, 20, 32] < 0.6
    assert read_picture(tmp_path / "a.jpg", longest=4000).shape == (1, 3, 400, 640)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 200))
def test_shrink(width: int, height: int, longest: int) -> None:
    small = shrink(torch.full((1, 3, height, width), 0.5), longest)
    assert max(small.shape[2:]) == min(longest, max(width, height))
    assert torch.allclose(small, torch.tensor(0.5), atol=1e-5)


def bomb(path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))))


def test_bad_pictures_are_one_line(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 90).save(tmp_path / "whole.png")
    files = {
        "begins as HEIC does|pi-heif": struct.pack(">I4s4sI", 24, b"ftyp", b"heic", 0) + bytes(200),
        "is a clip": struct.pack(">I4s4sI", 24, b"ftyp", b"isom", 0) + bytes(200),
        "is not a picture": b"just a text " * 20,
        "is empty": b"",
        "damaged or cut off": (tmp_path / "whole.png").read_bytes()[:900],
    }
    for words, content in files.items():
        path = tmp_path / "bad.png"
        path.write_bytes(content)
        with pytest.raises(VideoStyleError, match=words) as raised:
            read_picture(path)
        assert "\n" not in str(raised.value) and str(path) in str(raised.value)
    for path, words in ((tmp_path / "missing.png", "does not exist"), (tmp_path, "is not a file")):
        with pytest.raises(UsageError, match=words):
            read_picture(path)
    bomb(tmp_path / "bomb.png")
    with pytest.raises(MediaError, match=f"the limit is {MAX_PIXELS // 1_000_000} megapixels"):
        read_picture(tmp_path / "bomb.png")


def test_postscript_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    with pytest.raises(UsageError, match="is not a picture"):
        read_picture(tmp_path / "a.eps")


def test_output_is_refused_early(tmp_path: Path) -> None:
    (tmp_path / "there.png").write_bytes(b"old")
    (tmp_path / "folder.png").mkdir()
    refused = {
        "there.png": "exists already",
        "a.bmp": "no ending",
        "no/a.png": "not a folder",
        "folder.png": "is a folder",
    }
    for name, words in refused.items():
        with pytest.raises(UsageError, match=words):
            check_picture_output(tmp_path / name, overwrite=False)
    write_picture(tmp_path / "there.png", torch.rand(1, 3, 4, 4), overwrite=True)
    assert (tmp_path / "there.png").read_bytes() != b"old"


def test_nothing_stays_after_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("videostyle.media.publish.sync_file", fail)
    with pytest.raises(MediaError, match="No space left"):
        write_picture(tmp_path / "a.png", torch.rand(1, 3, 4, 4), overwrite=False)
    assert not os.listdir(tmp_path)


def mutated(content: bytes, generator: random.Random) -> bytes:
    """A file with some bytes changed, a piece cut out, or its end missing."""
    data = bytearray(content)
    for _ in range(generator.choice([1, 4, 40])):
        data[generator.randrange(len(data))] = generator.randrange(256)
    if generator.random() < 0.3:
        del data[generator.randrange(len(data)) :]
    if generator.random() < 0.2 and len(data) > 20:
        at = generator.randrange(len(data) - 10)
        del data[at : at + generator.randrange(1, 10)]
    return bytes(data)


@pytest.mark.parametrize("each", [12, pytest.param(90, marks=pytest.mark.slow)])
def test_mutated_pictures(each: int, tmp_path: Path) -> None:
    """Whatever the bytes: a picture, or one of our errors."""
    generator = random.Random(0)
    names = ("a.png", "a.jpg", "a.webp", "a.tif", "a.gif", "a.bmp", "a.ppm")
    for name in names:
        gradient(40, 30).save(tmp_path / name)
    gradient().save(tmp_path / "b.png", pnginfo=PngImagePlugin.PngInfo(), exif=Image.Exif())
    for name in names:
        content = (tmp_path / name).read_bytes()
        for _ in range(each):
            path = tmp_path / f"mutated{Path(name).suffix}"
            path.write_bytes(mutated(content, generator))
            try:
                pixels = read_picture(path, longest=64)
            except VideoStyleError as error:
                assert "\n" not in str(error)
            else:
                assert pixels.shape[:2] == (1, 3) and torch.isfinite(pixels).all()
