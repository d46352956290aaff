"""Seconds per frame to equal loss: against starting every frame afresh, and against other programs.

    python scripts/benchmark/frame.py --weights FILE --clip A.mp4 --style PAINTING.jpg --size 512 --frames 5 \
        --references out/references.json --peer neural-style-pt=FOLDER --json out/frame.json

Every frame has its own yardstick: the loss after 60 evaluations in float32 from the content, by itself. These take
minutes and no time is taken of them, so `--references FILE` keeps them (`--only-references` makes nothing else).
Three ways are timed from the second frame on: the product's defaults (with their loss over the yardstick), the frame
before carried along until the loss is at 1.02 of the yardstick, and every frame afresh until the same loss.
`--targets` says how well the first frame's yardstick tells the others' from what their contents cost untouched
(`videostyle.optimise.stopping.COST_POWER`), with `--every N` over a longer stretch of the clip. With `--judged-every N`
every frame is painted and only every Nth has a yardstick: does a long clip drift by the product's defaults?
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from common import machine, say, write_json
from peers import Peer

from videostyle.device import keep_freed_memory
from videostyle.frames import Frame, StylisedFrame
from videostyle.media.decode import decode, output_size
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.networks.weights import load_backbone
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.image_optimiser import ImageOptimiser
from videostyle.optimise.stopping import normalised_loss
from videostyle.settings import Settings
from videostyle.stylise.sequence import stylise_frames
from videostyle.stylise.start_images import fit_style
from videostyle.stylise.stylizer import OnEvaluation, Stylizer

YARDSTICK_EVALUATIONS = 60
EQUAL_LOSS = 1.02
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST_EVALUATIONS = 120  # a frame that has not come there by then is said to have missed


class Targeted(Stylizer):
    """A Stylizer whose frames end as soon as each is at its own target, as ``normalised_loss`` has it."""

    def __init__(self, style: torch.Tensor, settings: Settings, targets: Sequence[float], **options: Any) -> None:
        super().__init__(style, settings, **options)
        self.targets = iter(targets)

    def optimise(self, content: torch.Tensor, begin: FrameTask, on_evaluation: OnEvaluation | None = None) -> Any:
        return super().optimise(content, replace(begin, target=next(self.targets), min_evaluations=1), on_evaluation)


@dataclass(frozen=True)
class Clip:
    """The first frames of a clip, the style, and the yardstick of every ``judged_every``th frame."""

    frames: list[Frame]
    style: torch.Tensor
    targets: list[float]
    judged_every: int = 1


def read(path: Path, longest: int, count: int, every: int = 1) -> list[Frame]:
    info = probe(path)
    return list(islice(decode(info, size=output_size(info, longest, True)), 0, count * every, every))


def yardsticks(frames: list[Frame], style: torch.Tensor, settings: Settings) -> list[float]:
    """Each frame's loss after 60 evaluations in float32, by itself, from the content."""
    alone = settings.replace(
        init="content", iterations=YARDSTICK_EVALUATIONS, tolerance=0.0, precision="fp32", history_size=20
    )
    return [f.loss for f in stylise_frames(frames, Stylizer(style, alone))]


def content_image_loss(clip: Clip, stylizer: Stylizer) -> list[float]:
    """What each frame's content costs as the picture."""
    return [stylizer.losses(f.pixels, f.pixels).without_priors.item() for f in clip.frames]


def own_targets(clip: Clip, stylizer: Stylizer) -> list[float]:
    """Each frame's yardstick as its target; found out before anything is timed."""
    return [
        normalised_loss(loss, cost) for loss, cost in zip(clip.targets, content_image_loss(clip, stylizer), strict=True)
    ]


def predictions(yardsticks: Sequence[float], costs: Sequence[float], power: float) -> list[float]:
    """The first frame's yardstick as a target for each frame, over that frame's own."""
    return [yardsticks[0] * (cost / costs[0]) ** power / own for own, cost in zip(yardsticks, costs, strict=True)]


def timed(clip: Clip, stylizer: Stylizer) -> dict[str, Any]:
    """Wall seconds, evaluations and loss over the yardstick of every frame from the second on."""
    seconds, found = [], list[StylisedFrame]()
    began = time.perf_counter()
    for frame in stylise_frames(clip.frames, stylizer):
        seconds.append(time.perf_counter() - began)
        found.append(frame.without_pixels())
        began = time.perf_counter()
    ratios = [f.loss / target for f, target in zip(found[:: clip.judged_every], clip.targets, strict=True)]
    return {
        "seconds": seconds[1:],
        "median_seconds": statistics.median(seconds[1:]),
        "first_seconds": seconds[0],
        "evaluations": [f.evaluations for f in found[1:]],
        "first_evaluations": found[0].evaluations,
        "loss_ratios": ratios[1:],
        "worst_loss_ratio": max(ratios[1:]),
        "first_loss_ratio": ratios[0],
    }


def ways(clip: Clip, settings: Settings, names: Sequence[str]) -> dict[str, Any]:
    """The ways to paint the clip, each timed."""
    if not names:
        return {}
    if clip.judged_every > 1:
        names = ["defaults"]
    own = own_targets(clip, Stylizer(clip.style, settings)) if names != ["defaults"] else []
    targets = [EQUAL_LOSS * target for target in own]
    # The first frame converges as it does in the product: the later ones inherit what it left.
    carried = [*own[:1], *targets[1:]]
    until = settings.replace(tolerance=1e-9, iterations=MOST_EVALUATIONS, min_iterations=1)
    made = {
        "defaults": lambda: Stylizer(clip.style, settings),
        "carried": lambda: Targeted(clip.style, until.replace(coherence=0.0), carried),
        "afresh": lambda: Targeted(clip.style, until.replace(init="content"), targets),
    }
    found = {}
    for name in names:
        found[name] = timed(clip, made[name]())
        say(as_line(name, found[name]))
    return found


def as_line(name: str, row: dict[str, Any]) -> str:
    return (
        f"{name:10} {row['median_seconds']:8.3f} s a frame, evaluations {row['first_evaluations']} then "
        f"{statistics.mean(row['evaluations']):.1f}, loss over its own 60 evaluations: median "
        f"{statistics.median(row['loss_ratios']):.3f}, worst {row['worst_loss_ratio']:.3f}"
    )


def evaluation_seconds(stylizer: Stylizer, content: torch.Tensor, evaluations: int) -> float:
    """Ours by the same rule as a peer's, optimiser included: (a run of 2 N - a run of N) / N."""

    def run(n: int) -> float:
        counted = stylizer.settings.replace(iterations=n, min_iterations=1, tolerance=0.0)
        optimiser = ImageOptimiser(stylizer.extractor, stylizer.style_target(content), counted)
        began = time.perf_counter()
        optimiser.run(content, FrameTask("content", content))
        return time.perf_counter() - began

    return (run(2 * evaluations) - run(evaluations)) / evaluations


def against(
    given: str, clip: Clip, settings: Settings, rounds: int, evaluations: int, peer_weights: str | None
) -> dict[str, Any]:
    """Seconds per evaluation of a peer and of ours, in turns."""
    content = clip.frames[0].pixels
    style = fit_style(clip.style, max(content.shape[2:]), 16)
    peer, stylizer = Peer(given, content, style, load_backbone("auto", peer_weights)), Stylizer(clip.style, settings)
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(peer.evaluation_seconds(evaluations))
        ours.append(evaluation_seconds(stylizer, content, 2 * evaluations))
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    say(f"{peer.name}: {statistics.median(theirs):.3f} s an evaluation, ours {statistics.median(ours):.3f}")
    say(f"  ours is {statistics.median(ratios):.2f} times faster (rounds: {', '.join(f'{r:.2f}' for r in ratios)})")
    return {"seconds": theirs, "ours": ours, "ratios": ratios, "median_seconds": statistics.median(theirs)}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    keep_freed_memory()  # as the command line does
    settings = Settings(
        backbone=arguments.backbone,
        weights=arguments.weights,
        statistic="gram",
        keyframes="off",  # as other programs
    )
    frames, style = (
        read(arguments.clip, arguments.size, arguments.frames, arguments.every),
        read_picture(arguments.style),
    )
    width, height = frames[0].size
    network = Stylizer(style, settings).backbone
    key = f"{arguments.clip.name} {arguments.style.name} {width}x{height} {network.name} {network.sha256[:8]}"
    key += f" every {arguments.every}" if arguments.every > 1 else ""
    key += f" judged every {arguments.judged_every}" if arguments.judged_every > 1 else ""
    judged = frames[:: arguments.judged_every]
    known = json.loads(arguments.references.read_text()) if arguments.references.exists() else {}
    if arguments.ways and len(known.get(key, [])) < len(judged):
        known[key] = yardsticks(judged, style, settings)
        arguments.references.parent.mkdir(parents=True, exist_ok=True)
        arguments.references.write_text(json.dumps(known, indent=1))
    if arguments.only_references:
        return 0
    clip = Clip(frames, style, known.get(key, [])[: len(judged)], arguments.judged_every)
    say(f"{key}; {machine().processor}, {machine().threads} threads, commit {machine().commit}")
    results: dict[str, Any] = {"peers": {}, "ways": {}, "targets": {}}
    if arguments.targets:
        costs = content_image_loss(clip, Stylizer(clip.style, settings))
        for power in POWERS:
            told = results["targets"][str(power)] = predictions(clip.targets, costs, power)
            say(f"power {power:g} of the untouched cost: {min(told):.3f} to {max(told):.3f} of the frames' own")
    else:
        results["ways"] = ways(clip, settings, arguments.ways)
    for given in arguments.peer:
        found = against(given, clip, settings, arguments.rounds, arguments.evaluations, arguments.peer_weights)
        results["peers"][given.partition("=")[0]] = found
        for name, row in results["ways"].items():
            row["against_" + given.partition("=")[0]] = ratio = (
                YARDSTICK_EVALUATIONS * found["median_seconds"] / row["median_seconds"]
            )
            say(f"  {name}: a frame takes {ratio:.1f} times less than {YARDSTICK_EVALUATIONS} of its evaluations")
    if arguments.json:
        write_json(arguments.json, "seconds per frame to equal loss", {"clip": key}, results)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--weights", help="file with the network's weights")
    parser.add_argument("--backbone", default="auto")
    parser.add_argument("--size", type=int, default=512, help="longer side in pixels")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth frame of the clip")
    parser.add_argument("--judged-every", type=int, default=1, metavar="N", help="yardsticks of these alone (defaults)")
    parser.add_argument(
        "--targets", action="store_true", help="how well one frame's loss tells the others'; times nothing"
    )
    parser.add_argument("--ways", nargs="*", default=["defaults", "carried", "afresh"])
    parser.add_argument("--references", type=Path, default=Path("out/references.json"), metavar="FILE")
    parser.add_argument("--only-references", action="store_true")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--peer-weights", help="VGG-19's weights for peers (default: --weights)")
    parser.add_argument("--evaluations", type=int, default=16, help="N of a peer's runs of N and 2 N")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    arguments.peer_weights = arguments.peer_weights or arguments.weights
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
