"""Training pictures: read once, kept as bytes, cropped and perturbed at random."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp"}
SHORTER_SIDE, SMALLEST_SIDE, LONGEST_SIDE = 288, 160, 512


class Pictures:
    """RGB pictures, uint8 (H, W, 3), about ``SHORTER_SIDE`` px high or wide, from folders read recursively.

    ``exclude``: words; a file whose name contains one stays out. ``cache``: where the shrunk pictures are kept.
    """

    def __init__(self, folders: Sequence[Path], exclude: Sequence[str] = (), cache: Path | None = None) -> None:
        if cache and cache.is_file():
            self.folders: list[list[np.ndarray]] = torch.load(cache, weights_only=False)
        else:
            self.folders = [_read_folder(folder, exclude) for folder in folders]
            if cache:
                torch.save(self.folders, cache)
        if not any(self.folders):
            raise SystemExit(f"no pictures in {', '.join(map(str, folders))}")

    def __len__(self) -> int:
        return sum(map(len, self.folders))

    def any(self, rng: np.random.Generator, weights: Sequence[float] | None = None) -> np.ndarray:
        """A picture from a folder drawn with ``weights`` (default: by the number of pictures)."""
        w = np.array(weights or [len(f) for f in self.folders], float) * [bool(f) for f in self.folders]
        folder = self.folders[rng.choice(len(self.folders), p=w / w.sum())]
        return folder[rng.integers(len(folder))]


def _read_folder(folder: Path, exclude: Sequence[str]) -> list[np.ndarray]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in EXTENSIONS or any(word in path.name.lower() for word in exclude):
            continue
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None or min(image.shape[:2]) < SMALLEST_SIDE:
            continue
        ratio = SHORTER_SIDE / min(image.shape[:2])
        if ratio < 1:
            image = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        found.append(np.ascontiguousarray(image[:LONGEST_SIDE, :LONGEST_SIDE, ::-1]))
    return found


def crop(image: np.ndarray, side: int, rng: np.random.Generator) -> torch.Tensor:
    """A square (1, 3, side, side) in [0, 1]: a part of the picture, between its own scale and the whole of it."""
    shorter = min(image.shape[:2])
    part = int(rng.integers(min(side, shorter), shorter + 1))
    y, x = rng.integers(image.shape[0] - part + 1), rng.integers(image.shape[1] - part + 1)
    patch = image[y : y + part, x : x + part]
    if part != side:
        patch = cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA if part > side else cv2.INTER_CUBIC)
    if rng.random() < 0.5:
        patch = patch[:, ::-1]
    return torch.from_numpy(np.ascontiguousarray(patch)).permute(2, 0, 1)[None].float() / 255


def perturbed(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The picture with noise of some scale, another contrast, a colour cast or a flat area: what optimisers pass by."""
    n, c, h, w = x.shape
    kind = rng.integers(5)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    if kind == 0:  # noise, from single pixels to low frequencies
        cell = int(2 ** rng.integers(0, 6))
        noise = torch.randn(n, c, -(-h // cell), -(-w // cell), generator=generator)
        noise = F.interpolate(noise, size=(h, w), mode="bilinear") if cell > 1 else noise
        return x + noise * float(rng.uniform(0.01, 0.25))
    if kind == 1:
        return (x - x.mean()) * float(rng.uniform(0.3, 1.6)) + x.mean()
    if kind == 2:
        return x + torch.from_numpy(rng.uniform(-0.2, 0.2, (1, 3, 1, 1))).float()
    if kind == 3:  # softened
        return F.interpolate(F.avg_pool2d(x, 2), size=(h, w), mode="bilinear")
    x = x.clone()
    top, left = int(rng.integers(h // 2)), int(rng.integers(w // 2))
    x[..., top : top + h // 2, left : left + w // 2] = torch.from_numpy(rng.uniform(0, 1, (1, 3, 1, 1))).float()
    return x
