"""How much memory does a large picture take in tiles, and do tiles change the loss and its gradient?

    python scripts/benchmark/tiles.py --backbone compact --memory 6
    python scripts/benchmark/tiles.py --backbone vgg19 --memory 10
    python scripts/benchmark/tiles.py --backbone compact --compare

The pictures are generated. The first two take three steps of the optimiser at the size of 4K and say how much memory
the process took at its peak; the last evaluates a picture of 1024 x 1024 whole and in tiles.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from common import say, write_json

from videostyle.device import keep_freed_memory, peak_memory_bytes
from videostyle.optimise.frame_task import FrameTask
from videostyle.settings import Settings
from videostyle.stylise.stylizer import Stylizer

# (height, width) of the picture in tiles, side of the one that is also evaluated whole, pixels of its tiles
LARGE, COMPARED, TILE = (2160, 3840), 1024, 512**2


def waves(height: int, width: int, seed: int) -> torch.Tensor:
    """Smooth forms with some grain, (1, 3, height, width) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    forms = F.interpolate(torch.rand(1, 3, 12, 16, generator=generator), (height, width), mode="bicubic")
    return (forms + 0.1 * torch.rand(1, 3, height, width, generator=generator)).clamp(0, 1)


def large(stylizer: Stylizer, steps: int) -> dict[str, Any]:
    """Peak memory of so many ``steps`` at the size of 4K."""
    content = waves(*LARGE, seed=1)
    optimiser = stylizer.optimiser(content)
    tiles = len(stylizer.extractor.tiles(content.shape[2:]))
    say(f"{LARGE[1]}x{LARGE[0]} in {tiles} tiles")
    objective, _ = optimiser.objective(content, FrameTask("content", content))
    runner = optimiser.runner(objective, FrameTask("content", content))
    runner.advance(1 + steps)
    losses = runner.loop.loss_log[: 1 + steps, 0].tolist()
    peak, on_device = peak_memory_bytes(stylizer.machine.device)
    say(f"losses {', '.join(f'{loss:.6g}' for loss in losses)}; peak {(on_device or peak) / 2**30:.2f} GiB")
    return {"tiles": tiles, "losses": losses, "peak_rss_bytes": peak, "peak_vram_bytes": on_device}


def compared(stylizer: Stylizer) -> dict[str, Any]:
    """The largest relative differences of loss and gradient between a picture in tiles and the same at once."""
    content, x = (waves(COMPARED, COMPARED, seed) for seed in (1, 2))
    optimiser, found = stylizer.optimiser(content), []
    for pixels in (None, TILE):
        stylizer.extractor.tile_pixels = pixels
        objective, _ = optimiser.objective(content, FrameTask("content", content))
        found.append(objective.value_and_gradient(x.to(stylizer.machine.device)))
    tiles = len(stylizer.extractor.tiles(content.shape[2:]))
    (whole, g), (tiled, h) = found
    of_loss = ((tiled.total - whole.total) / whole.total).abs().item()
    of_gradient = ((h - g).abs().max() / g.abs().max()).item()
    say(f"{tiles} tiles: the loss differs by {of_loss:.1e}, the gradient by {of_gradient:.1e} of its largest value")
    return {"tiles": tiles, "loss": of_loss, "gradient": of_gradient}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Memory and accuracy of pictures in tiles.")
    parser.add_argument("--backbone", default="compact", help="compact, vgg19 or vgg19-caffe")
    parser.add_argument("--weights", metavar="FILE", help="the network's weights")
    parser.add_argument("--precision", default="auto", help="auto, fp32 or bf16")
    parser.add_argument("--memory", type=float, metavar="GIB", help="see videostyle video --help")
    parser.add_argument("--steps", type=int, default=3, metavar="N", help="steps of the optimiser (default: 3)")
    parser.add_argument("--compare", action="store_true", help="compare a smaller picture in tiles with it whole")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file")
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    given = {k: getattr(arguments, k) for k in ("backbone", "weights", "precision", "memory")}
    settings = Settings(**given, octaves=1)
    stylizer = Stylizer(waves(1080, 1920, seed=3), settings)
    say(f"{stylizer.backbone.name}, {stylizer.machine.precision}")
    results = compared(stylizer) if arguments.compare else large(stylizer, arguments.steps)
    if arguments.json:
        write_json(arguments.json, "memory and accuracy of pictures in tiles", given, results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
