"""The trade-off of content against style: one photograph and one painting at several alpha/beta, sizes and starts.

    python scripts/benchmark/tradeoff.py PHOTO PAINTING --weights FILE -o OUT

writes a contact sheet ``OUT/tradeoff.png`` (rows: size and start, columns: alpha/beta) and ``OUT/tradeoff.json`` with
the losses. With a size-free objective the ratio of content to style loss at the end is the same at every size, as far
as the pictures are: shrunk ones are sharper by the pixel. ``--crops`` takes that out: smaller sizes are then the four
corners of the largest one, the style stays as large as for that, and a row's losses are the means over the corners.
"""

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from videostyle import Frame, Settings, Stylizer, stylise_frames
from videostyle.frames import to_array
from videostyle.media.still import read_picture, shrink
from videostyle.networks.backbone import Backbone
from videostyle.networks.weights import load_backbone

RATIOS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
STARTS = ("content", "noise")
TILE_WIDTH = 384


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    style, backbone = read_picture(arguments.style), load_backbone(arguments.backbone, arguments.weights)
    rows, results = [], []
    largest = max(arguments.sizes)
    for size, start in product(arguments.sizes, arguments.starts):
        whole = read_picture(arguments.content, longest=largest if arguments.crops else size)
        contents = corners(whole, size) if arguments.crops and size < largest else [whole]
        scale = largest / size if arguments.crops else 1.0
        tiles = []
        for ratio in arguments.ratios:
            settings = Settings(
                style_weight=1 / ratio, iterations=arguments.evaluations, tolerance=0, init=start, style_scale=scale
            )
            pixels, result = run(contents, style, backbone, settings)
            results.append({"size": size, "start": start, "ratio": ratio, **result})
            line = "{size:4d} {start:8s} {ratio:7.0e} content {content:.3e} style {style:.3e}".format(**results[-1])
            print(line, flush=True)
            tiles.append(tile(pixels))
        rows.append(np.concatenate(tiles, axis=1))
        (folder / "tradeoff.json").write_text(json.dumps(results, indent=1))
        Image.fromarray(np.concatenate(rows, axis=0)).save(folder / "tradeoff.png")
    for line in balance(results):
        print(line)
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("content")
    parser.add_argument("style")
    parser.add_argument("--backbone", default="auto")
    parser.add_argument("--weights")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--starts", nargs="+", default=STARTS)
    parser.add_argument("--ratios", type=float, nargs="+", default=RATIOS)
    parser.add_argument("--crops", action="store_true")
    parser.add_argument("--evaluations", type=int, default=300)
    parser.add_argument("-o", "--output", default="out")
    return parser.parse_args(argv)


def corners(whole: torch.Tensor, size: int) -> list[torch.Tensor]:
    """The four corners of a picture (1, 3, H, W), shaped like it, with a longer side of ``size`` pixels."""
    height, width = (round(side * size / max(whole.shape[2:])) for side in whole.shape[2:])
    places = product((slice(0, height), slice(-height, None)), (slice(0, width), slice(-width, None)))
    return [whole[:, :, rows, columns].contiguous() for rows, columns in places]


def run(
    contents: list[torch.Tensor], style: torch.Tensor, backbone: Backbone, settings: Settings
) -> tuple[torch.Tensor, dict[str, Any]]:
    """The first picture and the mean losses of all at the end."""
    stylizer = Stylizer(style, settings, backbone=backbone)
    done = [next(stylise_frames([Frame(content)], stylizer)) for content in contents]
    losses = {"content": [f.content_loss for f in done], "style": [f.style_loss for f in done]}
    return done[0].pixels.cpu(), {name: float(np.mean(values)) for name, values in losses.items()}


def tile(pixels: torch.Tensor) -> np.ndarray:
    """A picture (1, 3, H, W) in [0, 1] as one tile of the sheet, (h, TILE_WIDTH, 3) uint8."""
    small = shrink(pixels, TILE_WIDTH) if pixels.shape[3] > TILE_WIDTH else pixels
    array = to_array(small)
    height = round(array.shape[0] * TILE_WIDTH / array.shape[1])
    return np.asarray(Image.fromarray(array).resize((TILE_WIDTH, height), Image.Resampling.LANCZOS))


def balance(results: list[dict[str, Any]]) -> list[str]:
    """How the ratio of content to style loss differs between the sizes, for every start and alpha/beta."""
    lines = []
    for start, ratio in sorted({(r["start"], r["ratio"]) for r in results}, key=lambda pair: (pair[0], -pair[1])):
        found = [r for r in results if r["start"] == start and r["ratio"] == ratio]
        shares = [r["content"] / r["style"] for r in found]
        lines.append(f"{start:8s} {ratio:7.0e}: content/style {', '.join(f'{s:.3g}' for s in shares)}")
        if len(shares) > 1:
            lines[-1] += f"  (ratio {shares[-1] / shares[0]:.3f})"
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
