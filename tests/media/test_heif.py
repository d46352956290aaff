"""HEIC files such as telephones write: read right, or refused in one line."""

import io
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from videostyle.errors import MissingLibraryError, UsageError, VideoStyleError
from videostyle.media import heif
from videostyle.media.still import read_picture

pillow_heif = pytest.importorskip("pillow_heif", reason="writes the tests' HEIC files")
pytest.importorskip("pi_heif", reason="reads HEIC")

ORIENTATION, WIDTH, HEIGHT = 0x0112, 96, 64
LOSSLESS = {"quality": -1, "chroma": 444}
DISPLAY_P3 = (12, 13)  # primaries and transfer curve in H.273's tables; 13 is sRGB's curve


def scene(bits: int = 8) -> np.ndarray:
    """(H, W, 3) with a gradient, and a corner that tells which side is up."""
    values = np.zeros((HEIGHT, WIDTH, 3))
    values[..., 0] = np.linspace(0.1, 0.9, WIDTH)[None]
    values[..., 1] = np.linspace(0.2, 0.8, HEIGHT)[:, None]
    values[:8, :24] = (1, 0, 0)
    return values if bits == 8 else np.round(values * (2**bits - 1)) / (2**bits - 1)


def write(path: Path, values: np.ndarray, **more: object) -> Path:
    """8-bit HEIC without loss."""
    pixels = Image.fromarray(np.round(values * 255).astype(np.uint8))
    pillow_heif.from_pillow(pixels).save(path, **LOSSLESS, **more)
    return path


def write_deep(path: Path, values: np.ndarray, **more: object) -> Path:
    """10-bit HEIC without loss."""
    data = np.round(values * 65535).astype(np.uint16)
    made = pillow_heif.from_bytes(mode="RGB;16", size=(WIDTH, HEIGHT), data=data.tobytes())
    made.save(path, **LOSSLESS, **more)
    return path


def read(path: Path) -> np.ndarray:
    return read_picture(path)[0].permute(1, 2, 0).numpy()


def numbered(primaries: int, curve: int) -> dict[str, int]:
    matrix = {"matrix_coefficients": 6, "full_range_flag": 1}
    return {"color_primaries": primaries, "transfer_characteristics": curve, **matrix}


def p3_as_srgb(values: np.ndarray) -> np.ndarray:
    """Display P3 -> sRGB with the matrix of the CSS Color 4 specification."""
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    matrix = np.array(
        [[1.2249401763, -0.2249401763, 0], [-0.0420569547, 1.0420569547, 0], [-0.0196375546, -0.0786360455, 1.0982736]]
    )
    mapped = np.clip(linear @ matrix.T, 0, 1)
    return np.where(mapped <= 0.0031308, mapped * 12.92, 1.055 * mapped ** (1 / 2.4) - 0.055)


def off(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, in 255ths."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() * 255)


def test_a_plain_one(tmp_path: Path) -> None:
    assert off(read(write(tmp_path / "a.heic", scene())), scene()) < 3


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_it_is_upright(orientation: int, tmp_path: Path) -> None:
    """As a telephone held on its side writes it; what stands on the disk lies on its side."""
    lying = Image.fromarray(np.round(scene() * 255).astype(np.uint8))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turns = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
    upright = np.asarray(lying.transpose(turns[orientation])) / 255
    pillow_heif.from_pillow(lying).save(tmp_path / "a.heic", exif=exif.tobytes(), **LOSSLESS)
    assert off(read(tmp_path / "a.heic"), upright) < 3


def test_ten_bits(tmp_path: Path) -> None:
    path = write_deep(tmp_path / "a.heic", scene(10))
    assert pillow_heif.open_heif(path, convert_hdr_to_8bit=False).info["bit_depth"] == 10
    assert off(read(path), scene(10)) < 3


def test_colours_by_number(tmp_path: Path) -> None:
    muted = 0.3 + 0.4 * scene()  # near black a step of the file is many of sRGB's
    path = write(tmp_path / "a.heic", muted, **numbered(*DISPLAY_P3))
    assert off(read(path), p3_as_srgb(muted)) < 4
    assert off(read(path), muted) > 10  # it would be seen


def test_colours_by_profile(tmp_path: Path) -> None:
    """A profile decides, whatever the numbers beside it say. LittleCMS has sRGB's alone to give here."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = Image.fromarray(np.round(scene() * 255).astype(np.uint8))
    pixels.info["icc_profile"] = profile
    pillow_heif.from_pillow(pixels).save(tmp_path / "a.heic", **LOSSLESS)
    assert off(read(tmp_path / "a.heic"), scene()) < 3
    both = {"icc_profile": profile, "nclx_profile": {"color_primaries": 12, "transfer_characteristics": 13}}
    assert heif.numbered_colours(Path("a.heic"), both) is None


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    values = np.dstack([scene(), np.full((HEIGHT, WIDTH), 0.5)])
    expected = scene() * (128 / 255) + (127 / 255)
    assert off(read(write(tmp_path / "a.heic", values)), expected) < 3


def test_grey(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.heic", scene()[..., 0]))
    assert off(found, np.repeat(scene()[..., :1], 3, axis=2)) < 3


@pytest.mark.parametrize(("curve", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused(curve: int, name: str, tmp_path: Path) -> None:
    path = write_deep(tmp_path / "a.heic", scene(10), **numbered(9, curve))
    with pytest.raises(UsageError, match=rf"high dynamic range \({name}\); save it as JPEG or PNG first"):
        read_picture(path)


def test_a_sequence_gives_its_first_picture(tmp_path: Path) -> None:
    file = pillow_heif.HeifFile()
    for values in (scene(), 1 - scene()):
        file.add_from_pillow(Image.fromarray(np.round(values * 255).astype(np.uint8)))
    file.save(tmp_path / "a.heic", **LOSSLESS)
    assert off(read(tmp_path / "a.heic"), scene()) < 3


def test_without_pi_heif_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.heic", scene())
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(
        MissingLibraryError, match=r"is HEIC, and pi-heif cannot be imported .*: pip install pi-heif, or"
    ):
        read_picture(path)


def test_damaged_ones_are_one_line(tmp_path: Path) -> None:
    whole, chance = write(tmp_path / "a.heic", scene()).read_bytes(), random.Random(1)
    refused = 0
    for _ in range(200):
        data = bytearray(whole[: chance.choice([len(whole), chance.randrange(16, len(whole))])])
        for _ in range(chance.choice([1, 4, 40])):
            data[chance.randrange(12, len(data))] = chance.randrange(256)
        (tmp_path / "b.heic").write_bytes(data)
        try:
            assert read(tmp_path / "b.heic").shape[2] == 3
        except VideoStyleError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 50


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_numbered_colours_keep_white_and_range(colour: tuple[float, float, float]) -> None:
    with io.BytesIO() as file:
        made = pillow_heif.from_pillow(Image.new("RGB", (16, 16)))
        made.save(file, **LOSSLESS, **numbered(*DISPLAY_P3))
        colours = pillow_heif.open_heif(file).info["nclx_profile"]
    found = heif.to_srgb(np.asarray([[colour]]), colours)
    assert found.min() >= 0 and found.max() <= 1
    assert np.allclose(heif.to_srgb(np.ones((1, 1, 3)) * colour[0], colours), colour[0], atol=2e-3)
    if max(colour) - min(colour) < 0.2:  # inside sRGB unless it is vivid
        assert np.allclose(found, p3_as_srgb(np.asarray([[colour]])), atol=2e-3)
