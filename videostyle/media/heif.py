"""HEIC pictures, as telephones take them, through pi-heif.

It decodes to 8 bits, upright, and hands an ICC profile on; colours that a file only numbers (ITU-T H.273) are up to us.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from videostyle.errors import MissingLibraryError, UsageError

FORMAT = "HEIF"  # Pillow's name for it
BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"mif1", b"msf1")
HDR_CURVES = {16: "PQ", 18: "HLG"}
SRGB_PRIMARIES = (1, 2)  # BT.709, and "not said"
WHITE_XY = (0.3127, 0.329)  # D65
SRGB_XY = ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06))  # red, green, blue


def is_heif(head: bytes) -> bool:
    """Whether a file that begins so is HEIC or HEIF."""
    return head[4:8] == b"ftyp" and head[8:12] in BRANDS


def enable(path: Path) -> None:
    """Let Pillow read HEIF from here on. Raises MissingLibraryError, for ``path``."""
    try:
        import pi_heif
    except ImportError as error:
        words = "pip install pi-heif, or convert it to JPEG or PNG first"
        raise MissingLibraryError(f"{path} is HEIC, and pi-heif cannot be imported ({error}): {words}") from None
    pi_heif.register_heif_opener()


def numbered_colours(path: Path, info: Mapping[Any, Any]) -> Mapping[str, Any] | None:
    """The colours that a HEIF picture's ``info`` numbers; None where an ICC profile says them, or where they are sRGB.

    Raises UsageError for high dynamic range.
    """
    colours = info.get("nclx_profile") or {}
    if curve := HDR_CURVES.get(colours.get("transfer_characteristics", 0)):
        raise UsageError(f"{path} is a picture of high dynamic range ({curve}); save it as JPEG or PNG first")
    if info.get("icc_profile") or colours.get("color_primaries", 2) in SRGB_PRIMARIES:
        return None
    return colours


def to_srgb(pixels: np.ndarray, colours: Mapping[str, Any]) -> np.ndarray:
    """(H, W, 3) floats in [0, 1] of the numbered primaries -> sRGB, clipped to it; the curve counts as sRGB's."""
    names = ("red", "green", "blue")
    own = tuple((colours[f"color_primary_{name}_x"], colours[f"color_primary_{name}_y"]) for name in names)
    matrix = np.linalg.solve(_to_xyz(SRGB_XY), _to_xyz(own))
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    mapped = np.clip(linear @ matrix.T, 0, 1)
    return np.where(mapped <= 0.0031308, mapped * 12.92, 1.055 * mapped ** (1 / 2.4) - 0.055).astype(np.float32)


def _to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """(3, 3): linear RGB of these chromaticities and white D65 -> CIE XYZ."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (*primaries, WHITE_XY)]).T
    scale = np.linalg.solve(columns[:, :3], columns[:, 3])
    return columns[:, :3] * scale
