"""Masks from pictures: white is inside, black outside; where a picture is transparent its opacity counts instead."""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from videostyle.frames import luma
from videostyle.media.still import READ_FORMATS, read_picture


def is_picture(path: Path) -> bool:
    """Whether the file's beginning is that of a picture that can be read."""
    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=[name for name in READ_FORMATS if name in Image.OPEN]):
                return True
    except Image.DecompressionBombError:
        return True  # `read_mask` says what is wrong
    except (OSError, ValueError, SyntaxError):
        return False


def read_mask(path: Path) -> torch.Tensor:
    """A picture as a mask, float32 (1, 1, H, W) in [0, 1]: its opacity where any of it is transparent, else its luma.

    Raises UsageError and MediaError as `still.read_picture` does.
    """
    pixels = read_picture(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is strange about the file was no reason to refuse it
        with Image.open(path) as image:
            if image.has_transparency_data:
                alpha = np.asarray(ImageOps.exif_transpose(image).convert("RGBA").getchannel("A"), dtype=np.float32)
                if alpha.min() < 255:
                    return torch.from_numpy(alpha / 255)[None, None]
    return luma(pixels).clamp_(0, 1)
