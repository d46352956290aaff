"""Masks carried along the flow, against known ones; the width of soft edges against the width asked for.

    python scripts/benchmark/masks.py [--shared FOLDER] [--seeds 0 1 2] -o OUT

A generated clip of three textured things over a moving background: ``under`` and ``over`` cross each other and turn,
``leaving`` leaves the picture. Each is carried from the first frame for three seconds (IoU of mask > 0.5), and a second
time from the last frame backwards. With the shared folder also MPI-Sintel's alley_1, where the truth is the painted
mask moved by the true flow, where that is known. Writes ``masks.json``.
"""

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from common import say, write_json
from temporal_scenes import true_scene

from videostyle.pipeline.mask_edges import feathered, refined
from videostyle.temporal import carried_mask
from videostyle.temporal.flow import dis_flow
from videostyle.temporal.scales import NOISE
from videostyle.temporal.warp import sample

SECOND = 25  # frames
THINGS = ("under", "over", "leaving")
RADII = (50, 38, 44)  # of the things, in pixels of a picture 512 wide
SHEET = 512  # that picture's width
FINER = 2  # drawn at so many times the size and averaged
FEATHERS = (0, 2, 4, 8, 16, 32)
GONE = 0.0005  # share of the picture: less of a thing than this counts as none


@dataclass(frozen=True)
class Drawn:
    """Frames (1, 3, H, W), and of every frame the visible part of each thing, (1, 1, H, W)."""

    frames: list[torch.Tensor]
    masks: list[list[torch.Tensor]]


def draw(seed: int, *, size: tuple[int, int] = (512, 288), frames: int = 3 * SECOND + 1) -> Drawn:
    """The clip of three seconds, or its beginning; ``size``: (width, height)."""
    random = np.random.default_rng(seed)
    unit = size[0] / SHEET * FINER
    background = texture(random, round(1024 * unit), round(576 * unit), random.uniform(0.3, 0.7, 3), 0.16)
    things = []
    for radius in RADII:
        side = round(4 * radius * unit)
        colours = texture(random, side, side, random.uniform(0.25, 0.75, 3), 0.14)
        things.append((colours, outline(random, side, radius * unit)))
    turns = random.choice([-1, 1], 3)
    made = Drawn([], [])
    for number in range(frames):
        picture, masks = _compose(background, things, turns, number / (3 * SECOND), size)
        noisy = np.clip(picture + NOISE * random.standard_normal(picture.shape), 0, 1)
        made.frames.append(torch.from_numpy(np.round(noisy * 255).astype(np.float32) / 255).permute(2, 0, 1)[None])
        made.masks.append([torch.from_numpy(mask)[None, None] for mask in masks])
    return made


def texture(random: Any, width: int, height: int, mean: Any, contrast: float) -> Any:
    """(height, width, 3) float32: noise of all scales in colours about ``mean``."""
    total = np.zeros((height, width, 3), np.float32)
    for step in (96, 48, 24, 12, 6, 3):
        noise = random.standard_normal((height // step + 2, width // step + 2, 3)).astype(np.float32)
        noise = 1.2 * noise.mean(2, keepdims=True) + 0.6 * noise
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(mean + contrast * total / total.std(), 0, 1).astype(np.float32)


def outline(random: Any, side: int, radius: float) -> Any:
    """(side, side) float32 in [0, 1]: a lobed shape in the middle."""
    angle = np.linspace(0, 2 * np.pi, 256, endpoint=False)
    lobes = sum(random.uniform(0.1, 0.4) / n * np.cos(n * angle + random.uniform(0, 2 * np.pi)) for n in (2, 3, 4, 5))
    points = side / 2 + radius * (1 + lobes)[:, None] * np.stack((np.cos(angle), np.sin(angle)), 1)
    drawn = np.zeros((side, side), np.uint8)
    cv2.fillPoly(drawn, [np.round(points * 16).astype(np.int32)], (255,), shift=4, lineType=cv2.LINE_AA)
    return drawn.astype(np.float32) / 255


def _compose(background: Any, things: Any, turns: Any, u: float, size: tuple[int, int]) -> tuple[Any, list[Any]]:
    """The frame at the share ``u`` of the three seconds, with the visible masks."""
    places = (
        (130 + 230 * u, 150 - 10 * u, turns[0] * 50 * u, 1 - 0.25 * u),
        (390 - 260 * u, 108 + 25 * np.sin(3 * u), turns[1] * 75 * u, 1.0),
        (420 + 230 * u, 225.0, turns[2] * 40 * u, 1 + 0.15 * u),
    )
    camera = (256 + 80 * u, 144 - 25 * u, np.rad2deg(0.08 * u), 1.0)
    picture = _placed(background, camera, size, zoom=1 + 0.12 * u)
    masks: list[Any] = []
    for (colours, shape), place in zip(things, places, strict=True):
        mask = _placed(shape, place, size, border=cv2.BORDER_CONSTANT)
        picture = picture * (1 - mask[..., None]) + _placed(colours, place, size) * mask[..., None]
        masks = [m * (1 - mask) for m in masks] + [mask]
    return _smaller(picture, size), [_smaller(m, size) for m in masks]


def _placed(
    image: Any, place: Any, size: tuple[int, int], *, zoom: float = 1.0, border: int = cv2.BORDER_REFLECT
) -> Any:
    """``image`` with its middle at ``place``: x, y, degrees, stretch along its own x."""
    x, y, degrees, stretch = place
    unit, angle = size[0] / SHEET * FINER, np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = zoom * turn @ np.diag([stretch, 1.0])
    shift = np.array([x, y]) * unit - linear @ (np.array(image.shape[1::-1]) / 2)
    matrix = np.column_stack((linear, shift)).astype(np.float32)
    return cv2.warpAffine(image, matrix, (size[0] * FINER, size[1] * FINER), borderMode=border)


def _smaller(image: Any, size: tuple[int, int]) -> Any:
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def iou(found: torch.Tensor, truth: torch.Tensor, known: torch.Tensor | None = None) -> float:
    """Intersection over union where both exceed 0.5; 1 where there is nothing to find and nothing was found."""
    a, b = found > 0.5, truth > 0.5
    if known is not None:
        a, b = a & known, b & known
    union = float((a | b).sum())
    return 1.0 if union < GONE * a.numel() else float((a & b).sum()) / union


def carried(frames: list[torch.Tensor], mask: torch.Tensor) -> tuple[list[torch.Tensor], float]:
    """(the mask at every frame, milliseconds a frame, the flow included)."""
    state, masks, began = carried_mask.begin(frames[0], mask), [mask], time.perf_counter()
    for frame in frames[1:]:
        state = carried_mask.follow(state, frame, dis_flow)
        masks.append(state.mask)
    return masks, 1000 * (time.perf_counter() - began) / max(1, len(frames) - 1)


def generated_rows(seed: int) -> list[dict[str, Any]]:
    made, rows = draw(seed), list[dict[str, Any]]()
    for i, name in enumerate(THINGS):
        for way in ("forwards", "backwards"):
            order = slice(None) if way == "forwards" else slice(None, None, -1)
            frames, truth = made.frames[order], [masks[i] for masks in made.masks[order]]
            if (truth[0] > 0.5).float().mean() < GONE:
                continue
            found, cost = carried(frames, truth[0])
            row = {"scene": f"generated {seed}", "thing": name, "way": way, "ms": round(cost, 1)}
            scores = [iou(a, b) for a, b in zip(found, truth, strict=True)]
            at = {"1 s": scores[SECOND], "3 s": scores[3 * SECOND], "worst": min(scores)}
            rows.append(row | {k: round(v, 3) for k, v in at.items()})
    return rows


def sintel_rows(folder: Path) -> list[dict[str, Any]]:
    """Boxes of the last frame are carried backwards, to where the true flow takes them."""
    scene, rows = true_scene(folder, SHEET, torch.device("cpu")), list[dict[str, Any]]()
    height, width = scene.frames[0].shape[2:]
    for name, (left, top, right, bottom) in {"girl": (0.36, 0.1, 0.66, 1.0), "wall": (0.05, 0.2, 0.3, 0.8)}.items():
        mask = torch.zeros(1, 1, height, width)
        mask[..., round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = 1
        found, cost = carried(scene.frames, mask)
        truth, known, scores = mask, torch.ones_like(mask), []
        for i in range(1, len(scene.frames)):
            warp = scene.flow(scene.frames[i], scene.frames[i - 1])
            truth = sample(truth, warp.flow, mode="bilinear")
            known = sample(known, warp.flow, mode="bilinear") * warp.visible
            scores.append(iou(found[i], truth, known > 0.5))
        row = {"scene": folder.name, "thing": name, "frames": len(scores), "ms": round(cost, 1)}
        rows.append(row | {"last": round(scores[-1], 3), "worst": round(min(scores), 3)})
    return rows


def edge_rows() -> list[dict[str, Any]]:
    """Of a straight edge at 17 degrees: pixels from 0.99 to 0.01, and how far from it the value 0.5 lies."""
    rows, angle = [], np.deg2rad(17)
    for scale in (1, 4):
        for feather in FEATHERS:
            distance = _distances(200, 1, angle) if scale == 1 else _distances(50, scale, angle)
            mask = (distance / scale + 0.5).clamp(0, 1)[None, None]
            large = _distances(200, 1, angle)
            found = feathered(mask if scale == 1 else refined(mask, (200, 200), 1.0), feather)[0, 0]
            soft = large[(found > 0.01) & (found < 0.99)]
            width = float(soft.max() - soft.min()) if len(soft) else 0.0
            off = float(large.flatten()[(found - 0.5).abs().argmin()].abs())
            rows.append({"enlarged": scale, "feather": feather, "width": round(width, 1), "off": round(off, 2)})
    return rows


def _distances(side: int, step: int, angle: float) -> torch.Tensor:
    """(side, side): signed distance of pixels of so many units from a line through the middle."""
    at = (torch.arange(side) + 0.5 - side / 2) * step
    return at * float(np.cos(angle)) + at[:, None] * float(np.sin(angle))


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows = []
    for seed in arguments.seeds:
        rows += generated_rows(seed)
    sintel = None if arguments.shared is None else arguments.shared / "flow" / "sintel_alley_1"
    if sintel is not None and sintel.is_dir():
        rows += sintel_rows(sintel)
    edges = edge_rows()
    for row in (*rows, *edges):
        say("  ".join(f"{name} {value}" for name, value in row.items()))
    cost = statistics.median(row["ms"] for row in rows)
    say(f"median {cost:.0f} ms a frame")
    settings = {k: str(v) for k, v in vars(arguments).items()}
    results = {"masks": rows, "edges": edges, "median_ms": cost}
    write_json(arguments.output / "masks.json", __doc__ or "", settings, results)
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, help="folder with flow/sintel_alley_1")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the generated clips")
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
