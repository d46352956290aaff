"""Colours: flat patches coded by the standards' formulas come out as the colours that they are."""

import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from videostyle.media import ffmpeg
from videostyle.media.decode import decode
from videostyle.media.probe import probe

PATCHES = ((200, 40, 60), (30, 180, 90), (20, 60, 220), (128, 128, 128), (250, 250, 250), (5, 5, 5))
WEIGHTS = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593)}  # K_R, K_B


def write_patches(
    path: Path, matrix: str, full: bool, number: int, deep: bool = False, primaries: int = 2, transfer: int = 2
) -> None:
    """An FFV1 file of flat patches, coded by the formulas of H.273, tagged (2: not said)."""
    k_r, k_b = WEIGHTS[matrix]
    rgb = np.repeat(np.asarray(PATCHES, dtype=np.float64)[None] / 255, 16, axis=0).repeat(16, axis=1)
    luma = rgb @ np.asarray([k_r, 1 - k_r - k_b, k_b])
    chroma = (rgb[..., 2] - luma) / (2 - 2 * k_b), (rgb[..., 0] - luma) / (2 - 2 * k_r)
    unit = 4 if deep else 1
    if full:
        planes = [luma * (256 * unit - 1), *(c * (256 * unit - 1) + 128 * unit for c in chroma)]
    else:
        planes = [luma * 219 * unit + 16 * unit, *(c * 224 * unit + 128 * unit for c in chroma)]
    dtype, pixel_format = (np.uint16, "yuv444p10le") if deep else (np.uint8, "yuv444p")
    array = np.stack([np.clip(np.round(plane), 0, 256 * unit - 1) for plane in planes]).astype(dtype)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = array.shape[2], array.shape[1], pixel_format
        stream.codec_context.colorspace = number
        stream.codec_context.color_range = 2 if full else 1
        stream.codec_context.color_primaries, stream.codec_context.color_trc = primaries, transfer
        for index in range(3):
            frame = av.VideoFrame(array.shape[2], array.shape[1], pixel_format)
            for plane, values in zip(frame.planes, array, strict=True):
                row = plane.line_size // values.itemsize
                plane.update(np.pad(values, ((0, 0), (0, row - values.shape[1]))).tobytes())
            frame.pts = index
            frame.colorspace, frame.color_range = number, 2 if full else 1
            if hasattr(frame, "color_primaries"):  # PyAV 17; before it, the stream alone says them
                frame.color_primaries, frame.color_trc = primaries, transfer
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("matrix", "number"), [("bt709", 1), ("smpte170m", 6), ("bt2020nc", 9)])
def test_colours(matrix: str, number: int, full: bool, deep: bool, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    path = tmp_path / "patches.mkv"
    write_patches(path, matrix, full, number, deep)
    info = probe(path)
    assert (info.color_matrix, info.full_range, info.bit_depth) == (matrix, full, 10 if deep else 8)
    pixels = next(iter(decode(info))).pixels * 255
    for index, colour in enumerate(PATCHES):
        patch = pixels[0, :, 8, 16 * index + 8]
        assert (patch - torch.tensor(colour)).abs().max() <= 2, f"{colour} became {patch.tolist()}"


def reference(path: Path, chain: str) -> np.ndarray:
    """The centres of the patches, uint8 (6, 3), through a chain of zscale alone."""
    command = [ffmpeg.find_ffmpeg().path, "-v", "error", "-i", str(path), "-frames:v", "1", "-vf", chain]
    done = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return np.frombuffer(done.stdout, np.uint8).reshape(16, -1, 3)[8, 8::16].astype(int)


def patches(path: Path) -> np.ndarray:
    return (next(iter(decode(probe(path)))).pixels[0, :, 8, 8::16].T * 255).numpy()


def test_wide_primaries(tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    path = tmp_path / "wide.mkv"
    write_patches(path, "bt2020nc", False, 9, deep=True, primaries=9, transfer=14)
    chain = "zscale=min=2020_ncl:pin=2020:tin=709:rin=limited:m=gbr:p=709:t=709:r=full,format=gbrp"
    found = patches(path)
    assert np.abs(found - reference(path, chain)).max() <= 2
    assert np.abs(found[0] - PATCHES[0]).max() > 5  # red is another one
    assert np.abs(found[3:] - PATCHES[3:]).max() <= 2  # greys are the same


@pytest.mark.parametrize(("transfer", "name"), [(18, "arib-std-b67"), (16, "smpte2084")])
def test_hdr_is_mapped_and_said(transfer: int, name: str, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    path = tmp_path / "hdr.mkv"
    write_patches(path, "bt2020nc", False, 9, deep=True, primaries=9, transfer=transfer)
    info = probe(path)
    assert any("is HDR" in notice for notice in info.notices) and info.color_transfer == name
    chain = (
        "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,"
        "zscale=t=bt709:m=bt709:r=tv,format=yuv444p10le,zscale=m=gbr:r=full,format=gbrp"
    )
    found = patches(path)
    assert np.abs(found - reference(path, chain)).max() <= 2
    assert (np.ptp(found[3:], axis=1) <= 2).all()  # greys stay grey
    assert found[4].mean() > found[3].mean() > found[5].mean()


def test_grey_and_rgb(tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    for pixel_format in ("gray", "rgb24", "gbrp", "gray10le"):
        path = tmp_path / f"{pixel_format}.nut"
        codec = "rawvideo" if pixel_format == "rgb24" else "ffv1"
        command = [ffmpeg.find_ffmpeg().path, "-v", "error", "-f", "lavfi", "-i", "color=0x808080:s=32x32:d=0.2"]
        subprocess.run([*command, "-pix_fmt", pixel_format, "-c:v", codec, str(path)], check=True, timeout=60)
        pixels = next(iter(decode(probe(path)))).pixels * 255
        assert (pixels - 128).abs().max() <= 2, pixel_format


@pytest.mark.parametrize(
    ("transfer", "curve", "changes"), [(5, "bt470bg", True), (8, "linear", True), (13, "709", False)]
)
def test_other_curves(transfer: int, curve: str, changes: bool, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    """Gamma 2.8 and linear light become BT.709's; sRGB is left as it is, as players show it."""
    path = tmp_path / "curve.mkv"
    write_patches(path, "bt709", False, 1, deep=True, primaries=1, transfer=transfer)
    chain = f"zscale=min=709:pin=709:tin={curve}:rin=limited:m=gbr:p=709:t=709:r=full,format=gbrp"
    found = patches(path)
    assert np.abs(found - reference(path, chain)).max() <= 2
    assert (np.abs(found[3] - PATCHES[3]).max() > 2) == changes
