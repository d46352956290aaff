"""Pairs of frames whose flow is known: files of true flow (Middlebury, MPI-Sintel), and generated things that move fast
over a background."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from masks import outline, texture
from PIL import Image

from videostyle.media.still import read_picture
from videostyle.temporal import box_filter
from videostyle.temporal.flow import inside
from videostyle.temporal.scales import NOISE
from videostyle.temporal.warp import sample

GENERATED_SIZE = (512, 288)  # width, height
FINER = 2  # generated frames are drawn at so many times the size and averaged
# name -> (pixels that the thing moves in a frame, degrees that it turns, pixels that the background moves)
MOTIONS = {
    "still": ((0.0, 0.0), 0.0, (0.0, 0.0)),
    "slow": ((2.0, 0.5), 0.5, (0.0, 0.0)),
    "fast": ((14.0, -5.0), 3.0, (-3.0, 1.0)),
    "very fast": ((38.0, 9.0), 6.0, (-11.0, 2.0)),
}
RADIUS = 60  # of the thing, in pixels
ALIKE = 0.02  # squared difference of colours, summed: below, the source agrees with itself along the true flow
BOUNDARY_PX = 1.0  # a step of the true flow between neighbours that is a motion boundary
NEAR_BOUNDARY_PX = 8


@dataclass(frozen=True)
class TrueFlow:
    """``current``, ``previous``: frames (1, 3, H, W) in [0, 1]. ``flow``: from current to previous, in pixels.

    bool (1, 1, H, W): ``known``; ``seen``, in the previous frame too; ``edge``, near a motion boundary and seen.
    """

    name: str
    current: torch.Tensor
    previous: torch.Tensor
    flow: torch.Tensor
    known: torch.Tensor
    seen: torch.Tensor

    def resized(self, longest: int) -> "TrueFlow":
        """The same at another size, where it is larger."""
        height, width = self.flow.shape[2:]
        scale = longest / max(height, width)
        if scale >= 1:
            return self
        size = round(height * scale), round(width * scale)
        factors = self.flow.new_tensor([size[1] / width, size[0] / height]).view(1, 2, 1, 1)
        current, previous, flow = (
            F.interpolate(x, size, mode="area") for x in (self.current, self.previous, self.flow)
        )
        known, seen = (F.interpolate(x.float(), size, mode="area") > 0.999 for x in (self.known, self.seen))
        return TrueFlow(self.name, current, previous, flow * factors, known, seen)

    @property
    def edge(self) -> torch.Tensor:
        steps = F.pad(self.flow, (1, 1, 1, 1), mode="replicate")
        across = (steps[..., 1:-1, 2:] - steps[..., 1:-1, :-2]).square()
        down = (steps[..., 2:, 1:-1] - steps[..., :-2, 1:-1]).square()
        boundary = ((across + down).sum(1, keepdim=True) > BOUNDARY_PX**2) & self.known
        return (box_filter.maximum(boundary.float(), NEAR_BOUNDARY_PX) > 0) & self.seen

    @property
    def alike(self) -> torch.Tensor:
        """bool (1, 1, H, W): where the source looks the same along the true flow."""
        change = (self.current - sample(self.previous, self.flow, mode="bilinear")).square().sum(1, keepdim=True)
        return (change < ALIKE) & self.seen


def from_files(folder: Path, size: int) -> Iterator[TrueFlow]:
    """Every frame of every sub-folder that has a file of flow to the next one, at ``size`` on the longer side."""
    for file in sorted(folder.glob("*/flow*.npz")):
        number = file.stem.removeprefix("flow").removeprefix("_")
        later = f"{int(number) + 1:0{len(number)}d}"
        current, previous = (
            read_picture(next(iter(file.parent.glob(f"frame*{n}.png"))), longest=size) for n in (number, later)
        )
        height, width = current.shape[2:]
        raw = torch.from_numpy(np.load(file)["flow"].astype(np.float32)).permute(2, 0, 1)[None]
        finite = torch.isfinite(raw).all(1, keepdim=True).float()
        known = F.interpolate(finite, (height, width), mode="area") > 0.999
        scale = torch.tensor([width / raw.shape[3], height / raw.shape[2]]).view(1, 2, 1, 1)
        flow = F.interpolate(raw.nan_to_num(), (height, width), mode="area") * scale
        hidden = file.parent / f"occlusions_{number}.png"
        seen = known & inside(flow)
        name = file.parent.name.split("_", 1)[1] + f" {int(number)}"
        made = TrueFlow(name, current, previous, flow, known, seen)
        if hidden.is_file():
            covered = torch.from_numpy(np.asarray(Image.open(hidden).convert("L")).copy())[None, None].float() / 255
            seen = seen & (F.interpolate(covered, (height, width), mode="area") < 0.01)
        else:  # what is covered in the next frame looks different there
            seen = made.alike
        yield TrueFlow(name, current, previous, flow, known, seen)


def generated(photos: Sequence[Path], seeds: Sequence[int]) -> Iterator[TrueFlow]:
    """A lobed thing over a background for every motion: of ``photos`` in pairs, of noise where there are none."""
    for seed in seeds:
        for name, motion in MOTIONS.items():
            random = np.random.default_rng(seed)
            width, height = (2 * side * FINER for side in GENERATED_SIZE)
            if photos:
                pictures = [photos[(2 * seed + i) % len(photos)] for i in range(2)]
                layers = [_filling(path, width, height) for path in pictures]
            else:
                layers = [texture(random, width, height, random.uniform(0.3, 0.7, 3), 0.15) for _ in range(2)]
            yield _generated(f"{name} {seed}", layers, motion, random)


def _filling(path: Path, width: int, height: int) -> Any:
    picture = read_picture(path)[0].permute(1, 2, 0).numpy()
    zoom = max(width / picture.shape[1], height / picture.shape[0])
    large = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(large[:height, :width])


def _generated(name: str, layers: list[Any], motion: Any, random: Any) -> TrueFlow:
    moved, degrees, (bx, by) = motion
    width, height = GENERATED_SIZE
    side = layers[0].shape[:2]
    shape = np.zeros(side, np.float32)
    drawn = outline(random, 4 * RADIUS * FINER, RADIUS * FINER)
    top, left = (side[0] - len(drawn)) // 2, (side[1] - len(drawn)) // 2
    shape[top : top + len(drawn), left : left + len(drawn)] = drawn
    middle = np.array([width * random.uniform(0.4, 0.6), height * random.uniform(0.4, 0.6)])
    # Sheet coordinates of each layer's middle -> the frame's, at the current frame and at the one before it
    now = [_placed(side, (width / 2, height / 2), 0.0), _placed(side, middle, 0.0)]
    before = [
        _placed(side, (width / 2 + bx, height / 2 + by), 0.0),
        _placed(side, middle + np.array(moved), degrees),
    ]
    current, covers = _drawn(layers, shape, now, random)
    previous, covered = _drawn(layers, shape, before, random)
    flows = [_flow(a, b) for a, b in zip(now, before, strict=True)]
    front = covers > 0.5
    flow = torch.where(front, flows[1], flows[0])
    hidden = sample(covered, flow, mode="bilinear") > 0.5
    # A pixel that both layers share has two motions
    sure = (covers < 0.02) | (covers > 0.98)
    return TrueFlow(name, current, previous, flow, sure, sure & inside(flow) & (front | ~hidden))


def _placed(side: tuple[int, int], middle: Any, degrees: float) -> Any:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([side[1], side[0]]) / 2
    return np.column_stack((turn, np.asarray(middle) * FINER - turn @ centre))


def _drawn(layers: list[Any], shape: Any, places: list[Any], random: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(frame with noise, the front thing's share of every pixel)."""
    width, height = GENERATED_SIZE
    size = (width * FINER, height * FINER)

    def moved(image: Any, place: Any, border: int) -> Any:
        # OpenCV has pixel centres at whole numbers, the places have them at halves
        shifted = place.copy()
        shifted[:, 2] += place[:, :2] @ (0.5, 0.5) - 0.5
        return cv2.warpAffine(image, shifted, size, flags=cv2.INTER_LINEAR, borderMode=border)

    back = moved(layers[0], places[0], cv2.BORDER_REFLECT)
    front, cover = moved(layers[1], places[1], cv2.BORDER_REFLECT), moved(shape, places[1], cv2.BORDER_CONSTANT)
    picture = cv2.resize(back + cover[..., None] * (front - back), (width, height), interpolation=cv2.INTER_AREA)
    noisy = np.clip(picture + NOISE * random.standard_normal(picture.shape), 0, 1)
    frame = torch.from_numpy(np.round(noisy * 255).astype(np.float32) / 255).permute(2, 0, 1)[None]
    share = cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA)
    return frame, torch.from_numpy(share)[None, None]


def _flow(now: Any, before: Any) -> torch.Tensor:
    """(1, 2, H, W): where each pixel of a layer was, in the frame's pixels."""
    width, height = GENERATED_SIZE
    y, x = np.mgrid[0:height, 0:width] + 0.5
    at = np.stack((x * FINER, y * FINER), -1)
    sheet = (at - now[:, 2]) @ np.linalg.inv(now[:, :2]).T
    moved = (sheet @ before[:, :2].T + before[:, 2] - at) / FINER
    return torch.from_numpy(moved.astype(np.float32)).permute(2, 0, 1)[None]
