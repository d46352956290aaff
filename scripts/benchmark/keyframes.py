"""What do keyframes save, and what do the frames between them lose?

    python scripts/benchmark/keyframes.py --clips A.mp4 --styles X.jpg --weights VGG19 --raft RAFT_SMALL -o OUT

Every clip and style with every frame painted ("off") and with the spacings asked for, a frame of each in turns,
without files. ``seconds``: of a frame, with decoding left out and the shot's first frame too. ``loss``: each frame's
own loss at the painted octave, without priors, over that of "off"; ``style``: VGG-19's style loss over that of "off";
``change``: mean squared change along RAFT-small's flow, 1e-3, beside that of "off"; ``pumping``: how unevenly frames
change at keys, 0 for not at all (see `pumping`). Medians and worst frames. Writes
``keyframes.json``, and for every run the frames' x-t slice below a sheet.
"""

import argparse
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import say, write_json
from looks import along_flow, sheet
from qualities import load_raft

from videostyle import Frame, Settings, StylisedFrame
from videostyle.device import keep_freed_memory
from videostyle.frames import luma
from videostyle.losses.style import StyleTarget
from videostyle.measure.metrics import style_distance
from videostyle.media.decode import decode, output_size
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.weights import load_backbone
from videostyle.pipeline.job import open_stylizer
from videostyle.stylise.choose_maker import flow_of, frame_maker_of
from videostyle.stylise.start_images import fit_style
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.cuts import find_shots

JUDGED = 3  # every so many frames by VGG-19


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    keep_freed_memory()  # as the command line does
    judge = FeatureExtractor(load_backbone("vgg19-caffe", str(arguments.weights)), Settings().style_layers)
    raft, rows = load_raft(arguments.raft), list[dict[str, Any]]()
    for clip in arguments.clips:
        size = output_size(probe(clip), arguments.size, even=True)
        sources = list(find_shots(decode(probe(clip), size=size, duration_seconds=arguments.duration)))
        for style in arguments.styles:
            stylizers, made, seconds = painted(style, sources, size, arguments)
            own = StyleTarget(judge, fit_style(read_picture(style), max(size), 16), Settings().style_layers)
            for way in made:
                row = {"clip": clip.stem, "style_name": style.stem, "way": way}
                row |= compared(sources, made, way, stylizers["off"], (judge, own), raft)
                row |= {"seconds": round(statistics.fmean(seconds[way][1:]), 3)}
                rows.append(row | {"times": round(sum(seconds["off"][1:]) / sum(seconds[way][1:]), 2)})
                say(", ".join(f"{key} {value}" for key, value in rows[-1].items()))
                sheet(sources, made[way], arguments.output / f"{clip.stem}-{style.stem}-{way}.png")
                settings = {key: str(value) for key, value in vars(arguments).items()}
                write_json(arguments.output / "keyframes.json", __doc__ or "", settings, {"rows": rows})
    return 0


def painted(
    style: Path, sources: list[Frame], size: tuple[int, int], arguments: argparse.Namespace
) -> tuple[dict[str, Stylizer], dict[str, list[StylisedFrame]], dict[str, list[float]]]:
    """(stylizers, frames, seconds of every frame) by way; a frame of each in turns."""
    stylizers, runs = {}, {}
    for way in ("off", *arguments.spacings):
        weights = {"weights": str(arguments.weights)} if arguments.backbone != "compact" else {}
        spacing, _, touched = way.partition("+")
        keys = {"keyframes": spacing, "touch_up": int(touched or 0)}
        settings = Settings(backbone=arguments.backbone, first_init="palette", **keys, **weights)
        stylizers[way] = open_stylizer(style, settings, size)
        runs[way] = iter(frame_maker_of(stylizers[way], flow_of(stylizers[way])).frames(sources))
    made: dict[str, list[StylisedFrame]] = {way: [] for way in runs}
    seconds: dict[str, list[float]] = {way: [] for way in runs}
    for _ in sources:
        for way, run in runs.items():
            began = time.perf_counter()
            made[way].append(next(run))
            seconds[way].append(time.perf_counter() - began)
    return stylizers, made, seconds


def compared(
    sources: list[Frame],
    made: dict[str, list[StylisedFrame]],
    way: str,
    stylizer: Stylizer,
    judge: tuple[FeatureExtractor, StyleTarget],
    raft: torch.nn.Module,
) -> dict[str, Any]:
    """The frames of a way beside those of every frame painted."""
    frames, off = made[way], made["off"]
    losses = [
        own_loss(stylizer, source, frame) / own_loss(stylizer, source, other)
        for source, frame, other in zip(sources, frames, off, strict=True)
    ]
    keys = [f.start != "between" for f in frames]
    chosen = range(1, len(frames), JUDGED)
    styles = [style_distance(judge[0], frames[i].pixels, judge[1]) for i in chosen]
    of_off = [style_distance(judge[0], off[i].pixels, judge[1]) for i in chosen]
    everywhere = [torch.ones_like(f.pixels[:, :1]) for f in sources]
    return {
        "keys": sum(keys),
        "frames": len(frames),
        "loss": round(statistics.median(losses), 3),
        "worst_loss": round(max(losses), 3),
        "style": round(statistics.median(a / b for a, b in zip(styles, of_off, strict=True)), 3),
        "change": along_flow(sources, frames, everywhere, raft),
        "pumping": round(pumping(frames, off, keys), 3),
    }


def own_loss(stylizer: Stylizer, source: Frame, frame: StylisedFrame) -> float:
    """A frame's loss at the painted octave, without priors."""
    contents, pictures = (stylizer.in_octaves(f.pixels) for f in (source, frame))
    return stylizer.losses(contents[0], pictures[0]).without_priors.item()


def pumping(frames: list[StylisedFrame], off: list[StylisedFrame], keys: list[bool]) -> float:
    """How unevenly the frames change at keys, which need not be evenly spaced.

    The change of luma from frame to frame, over that of ``off`` in the same step, has a mean over the steps into a key
    and one over those out of a key, or between others: the standard deviation of these means over their mean.
    """
    ratios = np.array(_changes(frames)) / np.array(_changes(off))
    kinds = np.array([2 * entered + left for left, entered in pairwise(keys)])
    means = [ratios[kinds == kind].mean() for kind in np.unique(kinds)]
    return float(np.std(means) / np.mean(means))


def _changes(frames: list[StylisedFrame]) -> list[float]:
    """Root mean square change of luma from each frame to the next."""
    return [(luma(b.pixels) - luma(a.pixels)).square().mean().sqrt().item() for a, b in pairwise(frames)]


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--styles", type=Path, nargs="+", required=True)
    shown = "of keys: auto or numbers, +N for so many evaluations of touch-up (default: auto)"
    parser.add_argument("--spacings", nargs="+", default=["auto"], help=shown)
    parser.add_argument("--backbone", default="compact")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--duration", type=float, default=1.0, help="seconds of each clip")
    parser.add_argument("--weights", type=Path, required=True, help="VGG-19's, which judge")
    parser.add_argument("--raft", type=Path, required=True, help="weights of torchvision's raft_small")
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
