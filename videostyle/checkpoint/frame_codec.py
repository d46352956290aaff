"""Pictures as bytes, without loss: differences between neighbours, then Huffman codes, as strokes do not repeat."""

import zlib

import numpy as np
import torch

from videostyle.frames import to_array

TYPES: dict[int, np.dtype] = {8: np.dtype(np.uint8), 16: np.dtype("<u2")}


def quantised(pixels: torch.Tensor, depth: int) -> np.ndarray:
    """float32 (1, 3, H, W) in [0, 1] to (3, H, W) of ``depth`` = 8 or 16 bits; values outside are clamped."""
    return np.moveaxis(to_array(pixels, depth), -1, 0).astype(TYPES[depth], copy=False)


def picture(levels: np.ndarray) -> torch.Tensor:
    """`quantised` undone: (3, H, W) of uint8 or uint16 to float32 (1, 3, H, W) in [0, 1]."""
    top = float(np.iinfo(levels.dtype).max)
    return torch.from_numpy(levels.astype(np.float32)).div_(top)[None]


def pack(levels: np.ndarray) -> bytes:
    """(3, H, W) of uint8 or uint16 to bytes: green from red and blue, above and left from every pixel."""
    zero = levels.dtype.type(0)
    differences = levels.copy()
    differences[[0, 2]] -= levels[1]
    differences = np.diff(np.diff(differences, axis=1, prepend=zero), axis=2, prepend=zero)
    planes = np.moveaxis(differences.view(np.uint8).reshape(*levels.shape, -1), -1, 0)  # high and low bytes apart
    coder = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    return coder.compress(planes.tobytes()) + coder.flush()


def unpack(data: bytes, size: tuple[int, int], depth: int) -> np.ndarray:
    """``pack`` undone for a picture of ``size`` = (width, height). Raises ValueError or zlib.error."""
    kind, (width, height) = TYPES[depth], size
    planes = np.frombuffer(zlib.decompress(data, -zlib.MAX_WBITS), np.uint8).reshape(kind.itemsize, 3, height, width)
    differences = np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view(kind)[..., 0]
    levels = np.cumsum(np.cumsum(differences, axis=2, dtype=kind), axis=1, dtype=kind)
    levels[[0, 2]] += levels[1]
    return levels
