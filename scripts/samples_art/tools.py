"""What every picture here needs: noise, smooth steps, sampling, tone curves and saving."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]  # float32 unless a docstring says otherwise
Number = float | np.floating[Any]
Bytes = NDArray[np.uint8]


def colour(code: str) -> Array:
    """Return the linear-light RGB, shape [3], of a hexadecimal sRGB code such as "e0a458"."""
    srgb = np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255
    return to_linear(srgb)


def f32(values: Any) -> Array:
    """Return numbers, lists or arrays as a float32 array."""
    return np.asarray(values, np.float32)


def to_linear(srgb: Array) -> Array:
    """Map sRGB values in 0..1 to linear light (a plain 2.2 power: these pictures are made, not measured)."""
    return np.power(np.clip(srgb, 0, None), 2.2).astype(np.float32)


def to_srgb(linear: Array) -> Array:
    """Map linear light to sRGB values; the inverse of `to_linear`."""
    return np.power(np.clip(linear, 0, None), 1 / 2.2).astype(np.float32)


def filmic(linear: Array) -> Array:
    """Compress linear light of any brightness to 0..1 as film does (Narkowicz's fit of the ACES curve)."""
    x = np.clip(linear, 0, None)
    return np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1).astype(np.float32)


def smoothstep(low: float, high: float, x: Array | Number) -> Array:
    """Rise smoothly from 0 at `low` to 1 at `high` (either may be the greater)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def mix(a: Array, b: Array, weight: Array | Number) -> Array:
    """Return a where weight is 0 and b where it is 1; a weight of shape [...] meets colours of shape [..., 3]."""
    w = np.asarray(weight, np.float32)
    if w.ndim and (w.ndim < np.ndim(a) or w.ndim < np.ndim(b) or np.shape(a)[-1:] == (3,) == np.shape(b)[-1:]):
        w = w[..., None] if w.shape[-1:] != (1,) else w
    return (a * (1 - w) + b * w).astype(np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], wavelength: float, beta: float = 3.0) -> Array:
    """Return isotropic noise of mean 0 and standard deviation 1 that wraps at its edges.

    Its power falls as frequency to the power -beta below `wavelength` (pixels) and is flat above it, so
    `wavelength` is the size of its largest features and a small beta makes it rough.
    """
    height, width = shape
    spectrum = np.fft.rfft2(rng.standard_normal(shape, np.float32))
    fy = np.fft.fftfreq(height)[:, None]
    fx = np.fft.rfftfreq(width)[None, :]
    frequency = np.hypot(fx, fy) * wavelength
    gain = (1 + frequency**2) ** (-beta / 4)
    gain *= 1 - np.exp(-((frequency / 0.35) ** 2))  # nothing much wider than asked for
    field = np.fft.irfft2(spectrum * gain, s=shape)
    return ((field - field.mean()) / field.std()).astype(np.float32)


def sample(image: Array, x: Array, y: Array, wrap: bool = False) -> Array:
    """Look up `image` bilinearly at pixel positions of any shape; outside, the edge repeats or the image wraps."""
    shape, count = x.shape, x.size
    rows = max(-(-count // 4096), 1)  # OpenCV wants a table of at most 32767 in either direction
    table = np.zeros((2, rows * 4096), np.float32)
    table[0, :count], table[1, :count] = x.ravel(), y.ravel()
    if wrap:
        table[0] %= image.shape[1]
        table[1] %= image.shape[0]
    border = cv2.BORDER_WRAP if wrap else cv2.BORDER_REPLICATE
    found = cv2.remap(image, table[0].reshape(rows, 4096), table[1].reshape(rows, 4096), cv2.INTER_LINEAR, None, border)
    return found.reshape(rows * 4096, *image.shape[2:])[:count].reshape(*shape, *image.shape[2:])


def grid(height: int, width: int) -> tuple[Array, Array]:
    """Return the pixel coordinates x and y, each of shape [height, width]."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x, y


def blur(image: Array, sigma: float) -> Array:
    """Blur by a Gaussian of `sigma` pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma)


def bloom(linear: Array, sigma: float, amount: float, threshold: float = 1.0) -> Array:
    """Add the glow that a lens spreads round whatever is brighter than `threshold`."""
    bright = np.clip(linear - threshold, 0, 8)
    return linear + amount * (blur(bright, sigma) + 0.5 * blur(bright, sigma * 4))


def shrink(image: Array, width: int, height: int) -> Array:
    """Average down to width x height (pictures are drawn larger than they are saved, against jagged edges)."""
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def to_bytes(srgb: Array) -> NDArray[np.uint8]:
    """Round sRGB values in 0..1 to bytes."""
    return (np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8)


def save_jpeg(path: Path, srgb: NDArray[np.uint8], quality: int = 90) -> None:
    """Write an RGB picture as a JPEG with full-resolution chroma where the quality allows it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(srgb).save(path, quality=quality, optimize=True, subsampling=1)
