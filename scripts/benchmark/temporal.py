"""Temporal coherence: an ablation of this package, and a baseline in the manner of Ruder et al. 2016, on true flow.

    python scripts/benchmark/temporal.py --weights FILE --flow ../shared/flow --style PAINTING -o OUT

Every way of painting runs on the same float frames with the same network, style and loss weights, and the flow is
given. Beside each warp error stands what it cost in style: a blurred or unstylised clip has the smallest warp error.
Writes ``OUT/temporal.json`` after every scene and style, and a PNG for each (the last two frames of every way, their
difference along the flow, and what came into view). What the file holds already is not run again.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import say, write_json
from PIL import Image
from temporal_scenes import Scene, clip_scene, flow_scenes

from videostyle import Frame, Settings, StylisedFrame, Stylizer, stylise_frames
from videostyle.device import choose_machine
from videostyle.frames import to_array
from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import Objective
from videostyle.losses.pixel_losses import Prior, TemporalPrior
from videostyle.measure.metrics import masked_style_distance, warp_error
from videostyle.media.still import read_picture
from videostyle.networks.weights import load_backbone
from videostyle.optimise.image_optimiser import loss_weights
from videostyle.optimise.lbfgs import LBFGS, History

INDEPENDENT = {"init": "content", "iterations": 60, "tolerance": 0.0, "coherence": 0.0}
ABLATION: dict[str, dict[str, Any]] = {
    "independent": INDEPENDENT,
    "previous": {"init": "previous", "coherence": 0.0},
    "warped": {"coherence": 0.0},
    "+ mask": {"temporal_weight": 0.0, "no_anchor": True},
    "+ temporal loss": {"no_anchor": True},
    "+ anchors (default)": {},
}
RUDER_DECADES = (1e12, 1e13, 1e14, 1e15)  # of the baseline's temporal weight
RUDER_CEILING, RUDER_WINDOW, RUDER_STOP, RUDER_HISTORY = 300, 50, 1e-4, 100
GREY = (123.68 / 255, 116.78 / 255, 103.94 / 255)  # VGG's mean colour, which artistic-videos fills with


@dataclass(frozen=True)
class Judged:
    """One frame of one way: how far it is from holding still, beside what it kept of style and content."""

    excess: float  # squared warp error above the source's own
    style: float
    content: float
    loss: float
    evaluations: int
    revealed: float  # style distance of what came into view alone


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    torch.set_num_threads(arguments.threads)
    device = choose_machine(Settings()).device
    scenes = [*flow_scenes(Path(arguments.flow), arguments.size, arguments.scenes, device)] if arguments.flow else []
    scenes += [clip_scene(Path(clip), arguments.size, arguments.frames, device) for clip in arguments.clips]
    backbone = load_backbone("auto", arguments.weights)
    file = Path(arguments.output) / "temporal.json"
    results: list[dict[str, Any]] = json.loads(file.read_text())["results"]["runs"] if file.is_file() else []
    done = {(run["scene"], run["style"]) for run in results}
    for style_path in arguments.styles:
        style = read_picture(style_path)
        for scene in scenes:
            if (scene.name, Path(style_path).stem) in done:
                continue
            rows = run_scene(scene, style, backbone, arguments)
            results.append({"scene": scene.name, "style": Path(style_path).stem, "ways": table(rows)})
            write_json(file, __doc__, vars(arguments), {"runs": results})
            sheet(scene, rows, Path(arguments.output) / f"{scene.name}-{Path(style_path).stem}.png")
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights")
    parser.add_argument("--flow", help="folder of scenes with true flow")
    parser.add_argument("--scenes", nargs="*", help="only these of them")
    parser.add_argument(
        "--clips", nargs="*", default=[], help="real clips; their flow is DIS's, in use and in judgement"
    )
    parser.add_argument("--frames", type=int, default=12, help="frames of a real clip")
    parser.add_argument("--style", dest="styles", nargs="+", required=True)
    parser.add_argument("--size", type=int, default=384, help="longer side in pixels")
    parser.add_argument("--ways", nargs="*", help="only these of the ablation")
    parser.add_argument("--weights-of-ours", nargs="*", type=float, default=[], help="temporal weights for a curve")
    parser.add_argument(
        "--baseline", nargs="*", type=float, default=RUDER_DECADES, help="the baseline's temporal weights"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("-o", "--output", default="out")
    return parser.parse_args(argv)


def run_scene(scene: Scene, style: torch.Tensor, backbone: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Paint the scene in every way; prints a line each. Returns (frames, judgements) by way."""
    ways = {k: v for k, v in ABLATION.items() if not arguments.ways or k in arguments.ways or k == "independent"}
    ways |= {f"ours at {w:g}": {"temporal_weight": w} for w in arguments.weights_of_ours}
    found: dict[str, Any] = {}
    say(f"{scene.name}, {scene.frames[0].shape[3]} x {scene.frames[0].shape[2]}: {len(scene.frames)} frames")
    for name, changes in ways.items():
        stylizer = Stylizer(style, Settings(**{"keyframes": "off", **changes}), backbone=backbone)
        frames = list(stylise_frames([Frame(f) for f in scene.frames], stylizer, flow=scene.flow))
        _note(found, scene, name, frames, stylizer)
    stylizer = Stylizer(style, Settings(keyframes="off"), backbone=backbone)
    for weight in arguments.baseline:
        _note(found, scene, f"Ruder, weight {weight:g}", list(ruder(scene, stylizer, weight)), stylizer)
    return found


def _note(found: dict[str, Any], scene: Scene, name: str, frames: list[StylisedFrame], stylizer: Stylizer) -> None:
    found[name] = (frames, list(judge(scene, frames, stylizer)))
    line = {"way": name, **summary(found, name)}
    cells = [f"{v:10.4g}" for k, v in line.items() if k != "way"]
    if name == "independent":
        say(
            " " * 22
            + "".join(f"{k:>11s}" for k in ("excess", "of indep.", "style", "content", "loss", "revealed", "evaluat."))
        )
    say(f"{name:22s} {' '.join(cells)}")


def judge(scene: Scene, frames: list[StylisedFrame], stylizer: Stylizer) -> Iterator[Judged]:
    """Every frame whose flow from the one before is true (all of them on a real clip)."""
    for t in range(1, len(frames)):
        if t in scene.judged:
            warp = scene.flow(scene.frames[t], scene.frames[t - 1])
            stylised = warp_error(frames[t].pixels, frames[t - 1].pixels, warp)
            source = warp_error(scene.frames[t], scene.frames[t - 1], warp)
            f = frames[t]
            target = stylizer.style_target(scene.frames[t])
            revealed = masked_style_distance(stylizer.extractor, f.pixels, target, 1 - warp.visible)
            yield Judged(stylised - source, f.style_loss, f.content_loss, f.loss, f.evaluations, revealed)


def summary(found: dict[str, Any], name: str) -> dict[str, float]:
    """Means over the judged frames; style, content and loss relative to the independently painted frames."""
    ours, theirs = found[name][1], found["independent"][1]

    def mean(judged: list[Judged], what: str) -> float:
        return float(np.mean([getattr(j, what) for j in judged]))

    return {
        "excess": mean(ours, "excess"),
        "excess_of_independent": mean(ours, "excess") / mean(theirs, "excess"),
        **{k: mean(ours, k) / mean(theirs, k) for k in ("style", "content", "loss", "revealed")},
        "evaluations": mean(ours, "evaluations"),
    }


def table(found: dict[str, Any]) -> dict[str, Any]:
    return {name: summary(found, name) for name in found}


# --- the baseline


def ruder(scene: Scene, stylizer: Stylizer, weight: float) -> Iterator[StylisedFrame]:
    """As artistic-videos does it: warped start, grey where nothing was seen, fresh L-BFGS each frame, late stop."""
    previous: torch.Tensor | None = None
    for t, content in enumerate(scene.frames):
        start, priors = content, tuple[Prior, ...]()
        if previous is not None:
            warp = scene.flow(content, scene.frames[t - 1])
            grey = content.new_tensor(GREY).view(1, 3, 1, 1).expand_as(content)
            start = torch.lerp(grey, warp(previous), warp.comparable)
            priors = (TemporalPrior(weight, start, warp.comparable),)
        x, losses, evaluations = optimise(stylizer, content, start, priors)
        previous = x
        yield StylisedFrame(
            x,
            index=t,
            start="warped",
            evaluations=evaluations,
            loss=losses.without_priors.item(),
            content_loss=losses.content.item(),
            style_loss=losses.style.item(),
        )


def optimise(stylizer: Stylizer, content: torch.Tensor, start: torch.Tensor, priors: tuple[Prior, ...]) -> Any:
    """Until the loss falls by less than RUDER_STOP of itself over RUDER_WINDOW evaluations, at most RUDER_CEILING."""
    objective = Objective(
        stylizer.extractor,
        ContentTarget(stylizer.extractor, content, stylizer.settings.content_layers),
        stylizer.style_target(content),
        loss_weights(stylizer.settings),
        priors,
    )
    stepper = LBFGS(History.empty(RUDER_HISTORY, (content.shape[2], content.shape[3]), content.device))
    x, totals = start.clamp(0, 1), []
    for evaluation in range(1, RUDER_CEILING + 1):
        losses, gradient = objective.value_and_gradient(x)
        totals.append(losses.total.item())
        stalled = evaluation > RUDER_WINDOW and totals[-1 - RUDER_WINDOW] - totals[-1] < RUDER_STOP * totals[-1]
        if stalled or evaluation == RUDER_CEILING:
            break
        x = stepper.step(x, gradient).clamp(0, 1)
    return x, losses, evaluation


# --- to look at


def sheet(scene: Scene, found: dict[str, Any], path: Path) -> None:
    """Rows: the source, then every way. Columns: the last two frames, and their difference along the flow, times 4."""
    rows = [[*scene.frames[-2:]], *([f.pixels for f in frames[-2:]] for frames, _ in found.values())]
    warp = scene.flow(scene.frames[-1], scene.frames[-2])
    tiles = [
        torch.cat(
            (before, now, ((now - warp(before)) * warp.comparable * 4 + 0.5).clamp(0, 1), now * (1 - warp.comparable)),
            dim=3,
        )
        for before, now in rows
    ]
    array = to_array(torch.cat(tiles, dim=2))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


if __name__ == "__main__":
    raise SystemExit(main())
