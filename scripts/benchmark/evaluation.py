"""Seconds per evaluation of value and gradient: the objective in bf16 and fp32 against plain fp32 autograd.

python scripts/benchmark/evaluation.py --weights vgg19_features_fp16.npz --size 512x288 --json out/evaluation.json
"""

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import Timing, interleaved, machine, say, speed_up, write_json
from reference import PlainObjective

from videostyle.device import bf16_is_fast, keep_freed_memory
from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.style import StyleTarget
from videostyle.networks.backbone import Backbone
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.weights import load_backbone
from videostyle.settings import Settings

REFERENCE = "plain autograd, fp32"
CONVOLUTIONS = "its convolutions alone"


def precisions() -> dict[str, torch.dtype]:
    """Precisions that are timed, the default last: bf16 only where the processor is fast at it."""
    bf16 = {"videostyle, bf16": torch.bfloat16} if bf16_is_fast(torch.device("cpu")) else {}
    return {"videostyle, fp32": torch.float32} | bf16


def size(text: str) -> tuple[int, int]:
    """'512x288' -> (width, height)."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) >= 16 and int(height) >= 16):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected WIDTHxHEIGHT in pixels, at least 16x16")
    return int(width), int(height)


def pictures(width: int, height: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(content, style, x): waves with some noise, as different from one another as a photograph and a painting."""
    generator = torch.Generator().manual_seed(0)
    ys, xs = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    found = []
    for i, noise in enumerate((0.1, 0.5, 0.2)):
        waves = torch.stack([torch.sin(math.tau * ((i + c + 1) * xs + (3 - i) * ys)) for c in range(3)])
        picture = 0.5 + 0.3 * waves + noise * (torch.rand(3, height, width, generator=generator) - 0.5)
        found.append(picture.clamp(0, 1)[None])
    return found[0], found[1], found[2]


def loss_weights(settings: Settings) -> LossWeights:
    """The product's defaults."""
    return LossWeights(
        settings.content_weight, settings.style_weight, 0.0, settings.content_layers, settings.style_layers
    )


def objective(
    backbone: Backbone, content: torch.Tensor, style: torch.Tensor, weights: LossWeights, dtype: torch.dtype
) -> Objective:
    extractor = FeatureExtractor(backbone, weights.layers, dtype=dtype)
    target = ContentTarget(extractor, content, weights.content_layers)
    return Objective(extractor, target, StyleTarget(extractor, style, weights.style_layers), weights)


def convolutions_alone(extractor: FeatureExtractor, x: torch.Tensor) -> Callable[[], None]:
    """The extractor's convolutions in both directions on tensors of the right shapes, with nothing in between."""
    activations = extractor.forward(x)
    jobs: list[tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]] = []
    for i, (stage, output) in enumerate(zip(extractor.stages, activations.outputs, strict=True)):
        n, _, h, w = output.shape
        side = 2 if i == 0 else 0  # the first one reads a picture that is padded already
        channels = extractor.backbone.convs[i].weight.shape[1]
        given = torch.rand(n, channels, h + side, w + side, device=x.device)
        given = given.to(extractor.dtype, memory_format=torch.channels_last)
        jobs += [(stage.forward, given), (stage.backward, output)]

    def run() -> None:
        with torch.no_grad():
            for convolution, tensor in jobs:
                convolution(tensor)

    return run


def benchmark(backbone: Backbone, width: int, height: int, rounds: int, warm_up: int) -> dict[str, Any]:
    """Times, speed-ups, losses and gradient cosines of every candidate, ready for JSON."""
    content, style, x = pictures(width, height)
    weights = loss_weights(Settings(statistic="gram"))
    plain = PlainObjective(backbone, content, style, weights)
    ours = {name: objective(backbone, content, style, weights, dtype) for name, dtype in precisions().items()}
    candidates: dict[str, Callable[[], object]] = {REFERENCE: partial(plain.value_and_gradient, x)}
    candidates |= {name: partial(made.value_and_gradient, x) for name, made in ours.items()}
    candidates[CONVOLUTIONS] = convolutions_alone(list(ours.values())[-1].extractor, x)
    timings = interleaved(candidates, rounds=rounds, warm_up=warm_up)
    (total, content_loss, style_loss), gradient = plain.value_and_gradient(x)
    results = {REFERENCE: _row(timings, REFERENCE, (total, content_loss, style_loss), 1.0)}
    for name, made in ours.items():
        found, g = made.value_and_gradient(x)
        cosine = torch.cosine_similarity(g.double().flatten(), gradient.double().flatten(), dim=0).item()
        results[name] = _row(timings, name, (found.total, found.content, found.style), cosine)
    alone = timings[CONVOLUTIONS].as_json() | {"speed_up": speed_up(timings[REFERENCE], timings[CONVOLUTIONS])}
    return results | {CONVOLUTIONS: alone}


def _row(
    timings: dict[str, Timing], name: str, losses: tuple[torch.Tensor, torch.Tensor, torch.Tensor], cosine: float
) -> dict[str, Any]:
    names = ("loss", "content_loss", "style_loss")
    return {
        **timings[name].as_json(),
        "speed_up": speed_up(timings[REFERENCE], timings[name]),
        **{key: value.item() for key, value in zip(names, losses, strict=True)},
        "gradient_cosine": cosine,
    }


def table(results: dict[str, Any]) -> list[str]:
    lines = [
        f"{'':30} {'median s':>9} {'IQR s':>8} {'faster':>7} {'loss':>12} {'content':>12} {'style':>12} {'cosine':>8}"
    ]
    for name, row in results.items():
        line = f"{name:30} {row['median_seconds']:9.4f} {row['iqr_seconds']:8.4f} {row['speed_up']:6.2f}x"
        if "loss" in row:
            line += f" {row['loss']:12.6g} {row['content_loss']:12.6g} {row['style_loss']:12.6g}"
            line += f" {row['gradient_cosine']:8.5f}"
        lines.append(line)
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--weights", type=Path, help="file with VGG-19's weights (default: torch's hub folder)")
    parser.add_argument("--size", type=size, default="512x288", metavar="WxH", help="picture size (default: 512x288)")
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds (default: 15)")
    parser.add_argument("--warm-up", type=int, default=3, help="rounds before them (default: 3)")
    parser.add_argument("--threads", type=int, help="torch's threads (default: its own choice)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number to this file")
    arguments = parser.parse_args(argv)
    keep_freed_memory()  # as the command line does
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    backbone = load_backbone("auto" if arguments.weights else "vgg19", arguments.weights)
    width, height = arguments.size
    here = machine()
    say(f"{backbone.name} at {width}x{height}; {here.processor} ({', '.join(here.flags)}), {here.threads} threads")
    results = benchmark(backbone, width, height, arguments.rounds, arguments.warm_up)
    for line in table(results):
        say(line)
    if arguments.json:
        settings = {"size": [width, height], "rounds": arguments.rounds, "warm_up": arguments.warm_up}
        settings |= {"backbone": backbone.name, "backbone_sha256": backbone.sha256}
        write_json(arguments.json, "seconds per evaluation of value and gradient", settings, results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
