"""How true is each optical flow, and what does it take?

    python scripts/benchmark/flow.py --flow ../shared/flow --photos A.jpg B.jpg --raft RAFT_SMALL -o OUT

Every estimator on every pair of frames with known flow: files of true flow, and generated things that move over a
background (of photographs, or of noise). ``error``: mean end-point error in pixels; ``off``: share of the pixels that
are wrong by more than 1 px; ``seen``: of those outside occlusions; ``edge``: of those of them within 8 px of a motion
boundary. ``warp``: mean squared difference of a picture of noise moved along this flow and along the true one, where
the source agrees with itself: what is dragged along. ``trusted``: share of what is seen that the warp's masks and the
source's own likeness hold; ``astray``: share of that trust that lies on pixels that are wrong by more than 1 px.
Milliseconds are the processor's, medians, with the flow back and the masks. Writes ``flow.json`` and ``flow.txt``.
"""

import argparse
import statistics
import time
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from common import say, write_json
from flow_scenes import TrueFlow, from_files, generated

from videostyle.networks.raft import load_raft
from videostyle.stylise.choose_flow import network_flow
from videostyle.temporal.flow import FlowEstimator, dis_flow, farneback_flow, fast_dis_flow
from videostyle.temporal.trust import with_photometric_confidence
from videostyle.temporal.warp import Warp, sample

ESTIMATORS = {"dis": dis_flow, "dis fast": fast_dis_flow, "farneback": farneback_flow}
COLUMNS = ("error", "off", "seen error", "seen off", "edge error", "edge off", "warp", "trusted", "astray", "ms")


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    torch.set_num_threads(arguments.threads)
    estimators = {name: ESTIMATORS[name] for name in arguments.estimators}
    if arguments.raft is not None:
        network = load_raft(torch.device("cpu"), arguments.raft)
        estimators["raft"] = partial(network_flow, network)
    lines, rows = [f"{'scene':16s} {'flow':10s} " + " ".join(f"{name:>10s}" for name in COLUMNS)], []
    say(lines[0])
    scenes = [*(from_files(arguments.flow, arguments.size) if arguments.flow else ())]
    scenes += [scene.resized(arguments.size) for scene in generated(arguments.photos, arguments.seeds)]
    for scene in scenes:
        for name, estimate in estimators.items():
            row = measured(scene, estimate, arguments.rounds)
            rows.append({"scene": scene.name, "flow": name, **row})
            lines.append(line(scene.name, name, row))
            say(lines[-1])
    for name in estimators:
        those = [row for row in rows if row["flow"] == name]
        lines.append(line("mean", name, {key: statistics.fmean(row[key] for row in those) for key in COLUMNS}))
        say(lines[-1])
    settings = {key: str(value) for key, value in vars(arguments).items()}
    write_json(arguments.output / "flow.json", __doc__ or "", settings, {"rows": rows})
    (arguments.output / "flow.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def measured(scene: TrueFlow, estimate: FlowEstimator, rounds: int = 1) -> dict[str, float]:
    """One estimator on one pair of frames."""
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        found = estimate(scene.current, scene.previous)
        seconds.append(time.process_time() - began)
    return judged(scene, found) | {"ms": round(1000 * statistics.median(seconds), 1)}


def judged(scene: TrueFlow, found: Warp) -> dict[str, float]:
    """How far the flow is from the true one, and how much of what is wrong its masks hold."""
    error = (found.flow - scene.flow).square().sum(1, keepdim=True).sqrt()
    off = (error > 1).float()
    row = {}
    for name, where in (("", scene.known), ("seen ", scene.seen), ("edge ", scene.edge)):
        chosen = where if where.any() else scene.known
        row[name + "error"], row[name + "off"] = error[chosen].mean().item(), off[chosen].mean().item()
    trust = with_photometric_confidence(found, scene.current, scene.previous).visible * scene.known
    paint = _noise(scene.flow.shape[2], scene.flow.shape[3])
    dragged = (sample(paint, found.flow, mode="bilinear") - sample(paint, scene.flow, mode="bilinear")).square()
    return {name: round(value, 4) for name, value in row.items()} | {
        "warp": round(1000 * dragged.mean(1, keepdim=True)[scene.alike].mean().item(), 3),
        "trusted": round(trust[scene.seen].mean().item(), 4),
        "astray": round((trust * off).sum().item() / max(trust.sum().item(), 1.0), 4),
    }


def _noise(height: int, width: int) -> torch.Tensor:
    """(1, 3, H, W) in [0, 1]: as coarse as brush strokes."""
    noise = torch.rand(1, 3, height // 6 + 2, width // 6 + 2, generator=torch.Generator().manual_seed(0))
    return F.interpolate(noise, (height, width), mode="bicubic").clamp(0, 1)


def line(scene: str, name: str, row: dict[str, float]) -> str:
    return f"{scene:16s} {name:10s} " + " ".join(f"{row[key]:10.4g}" for key in COLUMNS)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--flow", type=Path, help="folder of scenes with true flow")
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="textures of generated scenes, two for each")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="of generated scenes")
    parser.add_argument("--estimators", nargs="+", default=list(ESTIMATORS), choices=list(ESTIMATORS))
    parser.add_argument("--raft", type=Path, help="weights of RAFT-small, which is an estimator then")
    parser.add_argument("--size", type=int, default=512, help="longer side of the frames")
    parser.add_argument("--rounds", type=int, default=5, help="of timing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
