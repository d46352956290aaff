"""What half and twice the value of every tuned number of the temporal part does, against the value that stands.

    python scripts/benchmark/tuned_numbers.py --shared ../shared --threads 1 --json out/tuned.json

Three rows, compact network: the handheld clip in woodcut (9 frames), the webcam clip in brush (31 frames, to and fro)
and RubberWhale in the starry night (3 frames of true flow). Every change is the geometric mean over the rows of the
ratio to the standing value. Named are those that ``THRESHOLDS`` calls larger than the rows' own spread. ``--json`` is
written after every number, and what it holds is not run again. With ``--weights`` VGG-19 paints, and the number is its
``target_evaluations`` alone.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import say, write_json
from temporal_drift import to_and_fro
from temporal_scenes import Scene, clip_scene, true_scene

from videostyle import Frame, Settings, Stylizer, stylise_frames
from videostyle.frames import luma
from videostyle.measure.metrics import STILL, Variation, masked_style_distance, warp_error
from videostyle.media.still import read_picture
from videostyle.networks.backbone import Backbone
from videostyle.networks.weights import load_backbone
from videostyle.samples import sample

# "module.NAME" -> (half, twice); None: 1/2 and 2 times the value.
NUMBERS: dict[str, tuple[float, float] | None] = {
    "temporal.scales.NOISE": None,
    "temporal.scales.FLOW_NOISE_PX": None,
    "temporal.scales.NEAR_PX": (1, 4),
    "temporal.scales.STROKE_RADIUS": None,
    "temporal.still_pixels.CAMERA_SHARE": None,
    "temporal.still_pixels.LONGEST_LAG": None,
    "temporal.flow.OCCLUSION_SHARE": None,
    "temporal.flow.OCCLUSION_OFFSET": None,
    "temporal.trust.PHOTOMETRIC_ALPHA": None,
    "temporal.trust.VISIBILITY_MARGIN": None,
    "temporal.trust.TEMPORAL_WEIGHT": None,
    "temporal.trust.HELD_MOVING": None,
    "temporal.colour.MOST_CONTRAST": None,
    "temporal.coverage.EVALUATIONS_TO_COVER": None,
    "losses.style_region.REGION_WEIGHT": None,
    "stylise.schedule.LOOSE_GAIN": None,
    "stylise.schedule.ANCHOR_GAIN": None,
    "stylise.schedule.FEWEST_EVALUATIONS": (1, 6),
    "stylise.schedule.MISSING_FACTOR": (1.5, 6),
    "networks.compact.TARGET_EVALUATIONS": (22, 90),
    "optimise.stopping.COST_CHANGE": (1.05, 1.2),
    "optimise.stopping.FRAMES": (8, 32),
    "optimise.stopping.COST_POWER": (0.25, 1.0),
    "optimise.stopping.WINDOW": (2, 10),
}
# Changes that are said, as shares of the standing value: about the rows' spread.
THRESHOLDS = {"evaluations": 0.02, "loss": 0.006, "style": 0.02, "warp error": 0.05, "revealed": 0.02, "still": 0.1}
OWN = Settings(init="content", iterations=60, tolerance=0.0, precision="fp32")  # a frame by itself


@dataclass(frozen=True)
class Row:
    """A scene in a style; ``own``: loss and style of judged frames painted by themselves."""

    name: str
    scene: Scene
    style: torch.Tensor
    own: dict[int, tuple[float, float]]


def rows(shared: Path, size: int, backbone: Backbone) -> list[Row]:
    """The three rows, their yardsticks measured."""
    hand = clip_scene(shared / "clips/imageio_realshort.mp4", size, 9, torch.device("cpu"))
    webcam = clip_scene(shared / "clips/intel_asl_book.mkv", size, 16, torch.device("cpu"))
    webcam = Scene(webcam.name, list(islice(to_and_fro(webcam.frames), 31)), webcam.flow, set(range(1, 31)))
    whale = true_scene(shared / "flow/middlebury_RubberWhale", size, torch.device("cpu"))
    found = []
    for scene, style, judged in (
        (hand, sample("styles/woodcut.jpg"), {8}),
        (webcam, sample("styles/brush.jpg"), {30}),
        (whale, shared / "paintings/vangogh_starry_night.jpg", whale.judged),
    ):
        picture = read_picture(style)
        alone = Stylizer(picture, OWN, backbone=backbone)
        own = {}
        for t in sorted(judged):
            (frame,) = stylise_frames([Frame(scene.frames[t])], alone)
            own[t] = frame.loss, frame.style_loss
        found.append(Row(scene.name, scene, picture, own))
    return found


def measured(row: Row, backbone: Backbone) -> dict[str, float]:
    """The row painted with the numbers as they are now; without what the row does not show."""
    scene, stylizer = row.scene, Stylizer(row.style, Settings(keyframes="off"), backbone=backbone)
    given = scene.flow if scene.name.startswith("middlebury") else None
    frames = list(stylise_frames([Frame(f) for f in scene.frames], stylizer, flow=given))
    warps = {t: scene.flow(scene.frames[t], scene.frames[t - 1]) for t in sorted(scene.judged)}
    errors = [warp_error(frames[t].pixels, frames[t - 1].pixels, warp) for t, warp in warps.items()]
    found = {
        "evaluations": float(np.mean([f.evaluations for f in frames[1:]])),
        "loss": float(np.mean([frames[t].loss / loss for t, (loss, _) in row.own.items()])),
        "style": float(np.mean([frames[t].style_loss / style for t, (_, style) in row.own.items()])),
        "warp error": float(np.mean(errors)),
    }
    revealed = [
        masked_style_distance(stylizer.extractor, frames[t].pixels, stylizer.style_target(f.pixels), 1 - warp.visible)
        for t, warp in warps.items()
        if t in row.own and (1 - warp.visible).sum() > 30
        for f in [frames[t]]
    ]
    if revealed:
        found["revealed"] = float(np.mean(revealed))
    of_source, of_picture = Variation(), Variation()
    for source, f in list(zip(scene.frames, frames, strict=True))[15:]:
        of_source.add(luma(source))
        of_picture.add(luma(f.pixels))
    still = of_source.deviation < STILL
    if len(frames) > 20 and bool(still.any()):
        found["still"] = 255 * of_picture.deviation[still].mean().item()
    return found


@contextmanager
def changed(name: str, value: float) -> Iterator[None]:
    """The number set to ``value`` wherever the package has it by this name."""
    module, _, constant = name.rpartition(".")
    old = getattr(import_module(f"videostyle.{module}"), constant)
    holders = [m for n, m in sys.modules.items() if n.startswith("videostyle") and getattr(m, constant, None) == old]
    for holder in holders:
        setattr(holder, constant, value)
    try:
        yield
    finally:
        for holder in holders:
            setattr(holder, constant, old)


def ratios(now: dict[str, dict[str, float]], standing: dict[str, dict[str, float]]) -> dict[str, float]:
    """Geometric means over the rows of what ``now`` is to ``standing``."""
    found = {}
    for what in THRESHOLDS:
        pairs = [(now[row][what], standing[row][what]) for row in standing if what in standing[row]]
        found[what] = math.exp(np.mean([math.log(a / b) for a, b in pairs]))
    return found


def words(changes: dict[str, float]) -> str:
    """The changes that are larger than their threshold."""
    said = [f"{what} {100 * (r - 1):+.1f} %" for what, r in changes.items() if abs(r - 1) >= THRESHOLDS[what]]
    return ", ".join(said) or "less than that"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder of clips, flow and paintings")
    parser.add_argument("--size", type=int, default=144, help="longer side in pixels")
    parser.add_argument("--only", nargs="*", help="numbers whose names hold one of these texts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--weights", help="VGG-19's weights")
    parser.add_argument("--json", type=Path, default=Path("out/tuned.json"))
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    runs: dict[str, Any] = json.loads(arguments.json.read_text())["results"] if arguments.json.is_file() else {}
    backbone = load_backbone("auto" if arguments.weights else "compact", arguments.weights)
    scenes = rows(arguments.shared, arguments.size, backbone)
    settings = vars(arguments) | {"shared": "", "json": "", "weights": bool(arguments.weights)}

    def run(key: str, network: Backbone | None = None) -> dict[str, dict[str, float]]:
        if key not in runs:
            runs[key] = {row.name: measured(row, network or load_backbone(backbone.name)) for row in scenes}
            write_json(arguments.json, __doc__ or "", settings, runs)
        return runs[key]

    if arguments.weights:
        standing = run("standing", backbone)
        for evaluations in (backbone.target_evaluations // 2, backbone.target_evaluations * 2):
            found = run(f"{evaluations}", replace(backbone, target_evaluations=evaluations))
            say(f"target_evaluations {backbone.target_evaluations} -> {evaluations}: {words(ratios(found, standing))}")
        return 0
    standing = run("standing")
    for name, given in NUMBERS.items():
        if arguments.only and not any(text in name for text in arguments.only):
            continue
        module, _, constant = name.rpartition(".")
        value = getattr(import_module(f"videostyle.{module}"), constant)
        for label, other in zip(("half", "twice"), given or (value / 2, value * 2), strict=True):
            with changed(name, other):
                say(f"{constant} {value:g} -> {other:g} ({label}): {words(ratios(run(f'{name} {label}'), standing))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
