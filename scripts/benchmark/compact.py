"""How near the embedded network comes to VGG-19, judged by VGG-19.

``python scripts/benchmark/compact.py --cost --json result.json --sheet sheet.png``

Each pair of a photograph and a painting is optimised from the content with L-BFGS at the product's defaults, once
through VGG-19 and once through the embedded network, and every picture on both ways is judged by VGG-19's own loss:

- E: after how many of its own evaluations VGG-19 is where the embedded network's run ends.
- style: the fall of VGG-19's style loss, as a share of its own run's fall. content: the ratio of the content losses.
- cosines of the two networks' gradients at the content, a quarter, a half and the end of the embedded network's run.
- cost: seconds per evaluation at 512x288 of both, in turns, in one process; and for how many of VGG-19's evaluations'
  worth of time the embedded network is ahead of it. Beside it, the seconds that loading takes.

Needs the shared folder's photographs, paintings and VGG-19 weights (``VIDEOSTYLE_SHARED``), or others of your own.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from videostyle.device import bf16_is_fast, choose_machine, keep_freed_memory
from videostyle.frames import to_array
from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import Losses, Objective
from videostyle.losses.style import StyleTarget
from videostyle.networks import compact
from videostyle.networks.backbone import Backbone
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.weights import from_file
from videostyle.optimise.image_optimiser import loss_weights
from videostyle.optimise.lbfgs import LBFGS, History
from videostyle.settings import Settings

SHARED = Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared"))
STYLES = ("kandinsky_composition_vii", "hokusai_great_wave", "matisse_woman_with_hat", "mondrian")
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
COST_SIZE = (288, 512)


# Evaluations of the embedded network's run after which VGG-19 looks at the picture.
MARKS = (1, 2, 3, 5, 8, 12, 16, 20, 25, 32, 40, 50, 64, 80, 100, 150, 200, 300)


@dataclass(frozen=True)
class OwnRun:
    """VGG-19's own optimisation of a pair: its losses at every evaluation, and the last picture (1, 3, H, W)."""

    total: list[float]
    content: list[float]
    style: list[float]
    picture: torch.Tensor


@dataclass(frozen=True)
class Result:
    """One pair. All losses are VGG-19's; ``total`` at the evaluations ``marks`` of the embedded network's run."""

    photo: str
    style: str
    evaluations_equalled: float
    style_share: float
    content_ratio: float
    cosines: list[float]
    own_total: list[float]
    marks: list[int]
    total: list[float]


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    keep_freed_memory()  # as the command line does
    torch.set_num_threads(args.threads)
    settings = Settings(iterations=args.evaluations, min_iterations=1, tolerance=0.0, statistic="gram")
    layers = loss_weights(settings).layers
    vgg, small = (
        FeatureExtractor(backbone, layers, device=args.device, dtype=DTYPES[args.precision])
        for backbone in (from_file(args.teacher), compact.load(args.weights))
    )
    results, tiles = [], []
    for photo, style in list(pairs(args))[:: args.every][: args.pairs]:
        result, images = compare(vgg, small, photo, style, settings, args)
        results.append(result)
        tiles.append(images)
        print(line(result), flush=True)
    report = summary(results) | {"settings": vars_of(args)}
    if args.cost:
        report["load_seconds"] = load_seconds(args)
        report["cost"] = found = cost(args, settings)
        if args.precision in found:  # bf16 on a GPU, beside a CPU that is slow at it
            report["leads_for_vgg19_evaluations"] = leads(results, found[args.precision]["ratio"])
    print(table(report))
    if args.json:
        args.json.write_text(json.dumps(report | {"pairs": [asdict(r) for r in results]}, indent=1))
    if args.sheet:
        cv2.imwrite(str(args.sheet), sheet(tiles))
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--teacher", type=Path, default=SHARED / "weights" / "vgg19_features_fp16.npz", metavar="FILE")
    p.add_argument("--weights", type=Path, metavar="FILE", help="a compact network other than the embedded one")
    p.add_argument("--photos", type=Path, default=SHARED / "photos", metavar="DIR")
    p.add_argument("--paintings", type=Path, default=SHARED / "paintings", metavar="DIR")
    p.add_argument("--styles", nargs="+", default=STYLES, metavar="NAME", help="paintings that training has not seen")
    p.add_argument("--size", type=int, default=384, help="longer side in pixels")
    p.add_argument("--evaluations", type=int, default=100)
    p.add_argument("--start", choices=("content", "noise"), default="content")
    p.add_argument("--pairs", type=int, default=None, metavar="N", help="only the first N pairs")
    p.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth pair")
    p.add_argument("--precision", choices=("auto", *DTYPES), default="auto", help="as the product's")
    p.add_argument("--device", default="cpu", help="where to optimise and to judge (the cost is the CPU's)")
    p.add_argument("--threads", type=int, default=torch.get_num_threads())
    p.add_argument("--cost", action="store_true", help="measure the time per evaluation too")
    p.add_argument("--cache", type=Path, metavar="DIR", help="keep VGG-19's own runs here, to compare several networks")
    p.add_argument("--json", type=Path, metavar="FILE")
    p.add_argument("--sheet", type=Path, metavar="FILE", help="PNG: content, style, VGG-19, the embedded network")
    args = p.parse_args(argv)
    args.precision = choose_machine(Settings(device=args.device, precision=args.precision)).precision
    return args


def vars_of(args: argparse.Namespace) -> dict[str, object]:
    """The options that decide the outcome (no paths)."""
    keys = ("size", "evaluations", "start", "pairs", "every", "precision", "device", "threads")
    return {k: getattr(args, k) for k in keys}


def pairs(args: argparse.Namespace) -> Iterator[tuple[Path, Path]]:
    photos = sorted(p for p in args.photos.iterdir() if p.suffix.lower() in (".jpg", ".png"))
    paintings = [p for name in args.styles for p in sorted(args.paintings.glob(f"{name}.*"))]
    if not photos or not paintings:
        raise SystemExit(
            "no photographs or paintings: set VIDEOSTYLE_SHARED, or give --photos, --paintings and --styles"
        )
    return ((photo, style) for photo in photos for style in paintings)


def read(path: Path, longer_side: int) -> torch.Tensor:
    """(1, 3, H, W) RGB in [0, 1], shrunk or enlarged to ``longer_side``."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"cannot read {path}")
    ratio = longer_side / max(image.shape[:2])
    size = (round(image.shape[1] * ratio), round(image.shape[0] * ratio))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC)
    return torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255


def objective(extractor: FeatureExtractor, content: torch.Tensor, style: torch.Tensor, settings: Settings) -> Objective:
    weights = loss_weights(settings)
    return Objective(
        extractor,
        ContentTarget(extractor, content, weights.content_layers),
        StyleTarget(extractor, style, weights.style_layers),
        weights,
    )


def steps(target: Objective, start: torch.Tensor, settings: Settings) -> Iterator[tuple[torch.Tensor, Losses]]:
    """The picture and the losses at every evaluation, optimised on [0, 1] as the product does."""
    x = start
    lbfgs = LBFGS(History.empty(settings.history_size, (x.shape[2], x.shape[3]), x.device))
    for _ in range(settings.iterations):
        losses, gradient = target.value_and_gradient(x)
        yield x, losses
        x = lbfgs.step(x, gradient).clamp(0, 1)


def kept(run: Iterator[tuple[torch.Tensor, Losses]]) -> list[torch.Tensor]:
    """The picture that the product would keep after each evaluation: the one with the lowest loss so far."""
    pictures: list[torch.Tensor] = []
    lowest = float("inf")
    for x, losses in run:
        better = float(losses.total) < lowest
        lowest = min(lowest, float(losses.total))
        pictures.append(x if better else pictures[-1])
    return pictures


def own_run(judge: Objective, start: torch.Tensor, settings: Settings, cache: Path | None) -> OwnRun:
    """VGG-19's run, from the cache where it is there: it takes nearly all of the time and does not change."""
    if cache and cache.is_file():
        return OwnRun(**torch.load(cache, weights_only=True, map_location=start.device))
    seen = [(x, losses) for x, losses in steps(judge, start, settings)]
    run = OwnRun(
        total=[float(v.total) for _, v in seen],
        content=[float(v.content) for _, v in seen],
        style=[float(v.style) for _, v in seen],
        picture=seen[-1][0],
    )
    if cache:
        cache.parent.mkdir(parents=True, exist_ok=True)
        torch.save(asdict(run), cache)
    return run


def compare(
    vgg: FeatureExtractor,
    small: FeatureExtractor,
    photo: Path,
    style: Path,
    settings: Settings,
    args: argparse.Namespace,
) -> tuple[Result, list[np.ndarray]]:
    """Both runs of one pair, judged by VGG-19; and content, style and both results as pictures."""
    content, painting = (read(path, args.size).to(args.device) for path in (photo, style))
    generator = torch.Generator().manual_seed(settings.seed)
    start = content if args.start == "content" else torch.rand(content.shape, generator=generator).to(args.device)
    judge, pupil = objective(vgg, content, painting, settings), objective(small, content, painting, settings)
    weights = f"{settings.content_weight:g}-{settings.style_weight:g}"
    key = f"{photo.stem}-{style.stem}-{args.size}-{args.start}-{settings.iterations}-{args.precision}-{weights}.pt"
    own = own_run(judge, start, settings, args.cache / key if args.cache else None)

    pictures = kept(steps(pupil, start, settings))
    marks = [k for k in MARKS if k < len(pictures)] + [len(pictures)]
    judged = [judge.value(pictures[k - 1]) for k in marks]
    end, own_end = judged[-1], own.total.index(min(own.total))
    cosines = []
    for share in (0, 0.25, 0.5, 1.0):
        x = pictures[round(share * (len(pictures) - 1))]
        a, b = judge.value_and_gradient(x)[1], pupil.value_and_gradient(x)[1]
        cosines.append(float(torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0)))
    result = Result(
        photo=photo.stem,
        style=style.stem,
        evaluations_equalled=equalled(own.total, float(end.total)),
        style_share=(own.style[0] - float(end.style)) / (own.style[0] - own.style[own_end]),
        content_ratio=float(end.content) / own.content[own_end],
        cosines=cosines,
        own_total=own.total,
        marks=marks,
        total=[float(v.total) for v in judged],
    )
    return result, [picture(x) for x in (content, painting, own.picture, pictures[-1])]


def equalled(own: list[float], total: float) -> float:
    """E: evaluations (counted from 1, between two of them in proportion) after which ``own`` is first at ``total``."""
    lowest = own[0]
    if total >= lowest:
        return 0.0
    for k in range(1, len(own)):
        now = min(lowest, own[k])
        if now <= total:
            return k + (lowest - total) / (lowest - now) if lowest > now else float(k)
        lowest = now
    return float(len(own))


def picture(x: torch.Tensor) -> np.ndarray:
    """(1, 3, H, W) -> uint8 BGR (H, W, 3)."""
    return to_array(x)[..., ::-1].copy()


def summary(results: list[Result]) -> dict[str, object]:
    """Medians and worst cases over the pairs."""
    e = [r.evaluations_equalled for r in results]
    shares, ratios = [r.style_share for r in results], [r.content_ratio for r in results]
    cosines = np.array([r.cosines for r in results])
    over_own = statistics.geometric_mean(r.total[-1] / min(r.own_total) for r in results)
    return {
        "pairs_measured": len(results),
        "evaluations_equalled": {"median": statistics.median(e), "least": min(e)},
        "style_share": {"median": statistics.median(shares), "least": min(shares)},
        "total_over_own": round(over_own, 4),
        "content_ratio": {"median": statistics.median(ratios), "most": max(ratios)},
        "cosines_at_0_25_50_100_percent": [round(float(c), 3) for c in np.median(cosines, 0)],
    }


def leads(results: list[Result], ratio: float) -> dict[str, float]:
    """For how many VGG-19 evaluations' worth of time the embedded network's curve lies below VGG-19's.

    ``ratio``: its evaluations in the time of one of VGG-19's. The first evaluation of both sees the same picture.
    """
    counts = []
    for r in results:
        ahead = 0
        for k in range(1, len(r.own_total)):
            reached = [total for mark, total in zip(r.marks, r.total, strict=True) if mark - 1 <= k * ratio]
            if min(r.own_total[: k + 1]) < min(reached):
                break
            ahead = k
        counts.append(float(ahead))
    return {"median": statistics.median(counts), "least": min(counts)}


def load_seconds(args: argparse.Namespace) -> float:
    """What loading the embedded network takes: the median of five."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        compact.load(args.weights)
        times.append(time.perf_counter() - began)
    return round(statistics.median(times), 3)


def cost(args: argparse.Namespace, settings: Settings) -> dict[str, dict[str, Any]]:
    """Milliseconds per evaluation of both at 512x288, in turns, in one process: medians of 15 rounds."""
    found: dict[str, dict[str, Any]] = {}
    x, style = torch.rand(1, 3, *COST_SIZE), torch.rand(1, 3, *COST_SIZE)
    backbones: list[Backbone] = [from_file(args.teacher), compact.load(args.weights)]
    for precision, dtype in DTYPES.items():
        if dtype == torch.bfloat16 and not bf16_is_fast(torch.device("cpu")):
            continue
        trunks = [FeatureExtractor(b, loss_weights(settings).layers, dtype=dtype) for b in backbones]
        targets = [objective(t, x, style, settings) for t in trunks]
        times: list[list[float]] = [[], []]
        for turn in range(17):
            for target, seconds in zip(targets, times, strict=True):
                began = time.perf_counter()
                target.value_and_gradient(x)
                if turn >= 2:
                    seconds.append(time.perf_counter() - began)
        own, small = (statistics.median(t) * 1000 for t in times)
        ratios = [a / b for a, b in zip(*times, strict=True)]
        found[precision] = {
            "vgg19_ms": round(own, 1),
            "compact_ms": round(small, 1),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_quartiles": [round(float(q), 2) for q in np.quantile(ratios, (0.25, 0.75))],
        }
    return found


def line(r: Result) -> str:
    cosines = " ".join(f"{c:5.2f}" for c in r.cosines)
    return (
        f"{r.photo:17s} {r.style[:12]:12s} E {r.evaluations_equalled:5.1f}  style {100 * r.style_share:5.1f} %  "
        f"content x{r.content_ratio:4.2f}  cosines {cosines}"
    )


def table(report: dict[str, object]) -> str:
    return "\n".join(f"{key}: {value}" for key, value in report.items())


def sheet(tiles: list[list[np.ndarray]], height: int = 240) -> np.ndarray:
    """Rows of content, style, VGG-19 and the embedded network, two pairs side by side."""
    gap, rows = 6, []
    width = max(round(t.shape[1] * height / t.shape[0]) for row in tiles for t in row)
    for row in tiles:
        cells = []
        for tile in row:
            ratio = min(width / tile.shape[1], height / tile.shape[0])
            small = cv2.resize(tile, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
            cell = np.full((height + gap, width + gap, 3), 255, np.uint8)
            cell[: small.shape[0], : small.shape[1]] = small
            cells.append(cell)
        rows.append(np.concatenate(cells, 1))
    if len(rows) % 2:
        rows.append(np.full_like(rows[0], 255))
    return np.concatenate([np.concatenate(rows[i : i + 2], 1) for i in range(0, len(rows), 2)], 0)


if __name__ == "__main__":
    raise SystemExit(main())
