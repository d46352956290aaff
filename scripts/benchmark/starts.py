"""Evaluations until a frame is where its own 60 evaluations from the content end, by how the frame is begun.

    python scripts/benchmark/starts.py --weights FILE --style PAINTING.jpg --clips A.mp4 B.mp4 --json out/starts.json
    python scripts/benchmark/starts.py --weights FILE --style PAINTING.jpg --coarse PHOTO.jpg --coarse-sizes 512 960

The first: frames of clips from the second on, each way with pictures and history of its own, to the yardsticks of
`frame.py`. Nothing but the start and the optimiser's history differs; there are no priors. The second: first frames,
at once or begun at half the size, in evaluations of the whole size (one of half the size counts as a quarter).
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import machine, say, write_json
from frame import YARDSTICK_EVALUATIONS, Clip, own_targets, read, yardsticks

from videostyle.media.still import read_picture
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.lbfgs import History
from videostyle.settings import Settings
from videostyle.stylise.start_images import resized
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal import colour, trust
from videostyle.temporal.flow import flow_named
from videostyle.temporal.warp import Warp, sample

MOST_EVALUATIONS = 120  # a frame that is not there by then counts as so many, and as missed
MARKS = (20, 60, 100)  # evaluations at once whose losses are aimed at by the ways that begin at half the size
COARSE_EVALUATIONS = (20, 60)

HISTORIES: dict[str, Callable[[History, Warp], History | None]] = {
    "fresh": lambda history, warp: None,
    "as it was": lambda history, warp: history,
    "warped": lambda history, warp: history.warped(partial(sample, flow=warp.flow, mode="bilinear")),
    "masked": lambda history, warp: history.warped(partial(sample, flow=warp.flow, mode="bilinear"), warp.visible),
}


@dataclass(frozen=True)
class Before:
    """The frame before: its source, its picture, and the optimiser's history after it."""

    source: torch.Tensor
    stylised: torch.Tensor
    history: History | None


def begun(start: str, before: Before, content: torch.Tensor, warp: Warp) -> torch.Tensor:
    """Where a frame starts: ``warped`` moves everything, ``filled`` begins what was not seen in the palette."""
    if start == "content":
        return content
    if start == "previous":
        return before.stylised
    if start == "warped":
        return warp(before.stylised).clamp(0, 1)
    everything = torch.ones_like(content[:, :1])
    return colour.initial_image(before.stylised, before.source, content, warp, warp(before.source), everything)


@dataclass(frozen=True)
class Way:
    start: str
    history: str = "fresh"
    pairs: int = Settings.history_size
    optimizer: str = "lbfgs"

    @property
    def name(self) -> str:
        if self.start == "content":
            return f"content, {self.optimizer}"
        return f"{self.start}, history {self.history}, {self.pairs} pairs"

    def settings(self, settings: Settings) -> Settings:
        return settings.replace(
            optimizer=self.optimizer,
            history_size=self.pairs,
            tolerance=1e-9,  # above 0, so that a target ends a frame; never reached itself
            iterations=MOST_EVALUATIONS,
            min_iterations=1,
        )


WAYS = (
    Way("content", optimizer="adam"),
    Way("content"),
    Way("previous"),
    Way("warped"),
    Way("warped", "as it was"),
    Way("warped", "warped"),
    Way("filled", "warped"),
    Way("filled", "masked"),
    *(Way("filled", "masked", pairs) for pairs in (2, 4, 16, 32)),
)


def followed(way: Way, clip: Clip, targets: Sequence[float], stylizer: Stylizer, warps: Sequence[Warp]) -> list[int]:
    """Evaluations of every frame from the second on; the first has its 60."""
    before, counts = None, list[int]()
    for number, (frame, target) in enumerate(zip(clip.frames, targets, strict=True)):
        if before is None:
            begin = FrameTask("content", frame.pixels, min_evaluations=YARDSTICK_EVALUATIONS, target=float("inf"))
        else:
            warp = warps[number - 1]
            history = None if before.history is None else HISTORIES[way.history](before.history, warp)
            start = begun(way.start, before, frame.pixels, warp)
            begin = FrameTask(way.start, start, history=history, min_evaluations=1, target=target)
        outcome, history = stylizer.optimise(frame.pixels, begin)
        before = Before(frame.pixels, outcome.pixels, history)
        counts.append(outcome.evaluations)
    return counts[1:]


def warps_of(clip: Clip, settings: Settings) -> list[Warp]:
    """From every frame but the first to the one before, with the masks that the product gives them."""
    flow, frames, found = flow_named(settings.flow, settings.flow_size), clip.frames, []
    for now, last in zip(frames[1:], frames, strict=False):
        warp = flow(now.pixels, last.pixels)
        found.append(trust.with_photometric_confidence(warp, now.pixels, last.pixels))
    return found


def of_clip(path: Path, style: torch.Tensor, settings: Settings, arguments: argparse.Namespace) -> dict[str, Any]:
    """A clip's row: evaluations a frame by the way."""
    frames = read(path, arguments.size, arguments.frames, arguments.every)
    clip = Clip(frames, style, yardsticks(frames, style, settings))
    warps = warps_of(clip, settings)
    motion = statistics.mean(warp.flow.square().sum(1).sqrt().mean().item() for warp in warps)
    unseen = 1 - statistics.mean(warp.visible.mean().item() for warp in warps)
    width, height = frames[0].size
    say(f"{path.name}, {width}x{height}: {motion:.1f} pixels a frame, {100 * unseen:.1f} % not seen before")
    found: dict[str, list[int]] = {}
    for way in WAYS:
        stylizer = Stylizer(style, way.settings(settings))
        counts = found[way.name] = followed(way, clip, own_targets(clip, stylizer), stylizer, warps)
        missed = sum(count >= MOST_EVALUATIONS for count in counts)
        note = f", {missed} of {len(counts)} not there" if missed else ""
        say(f"  {way.name:40} {statistics.mean(counts):6.1f} (most {max(counts)}){note}")
    return {"motion_pixels": motion, "unseen_share": unseen, "evaluations": found}


def until(curve: torch.Tensor, loss: float) -> int | None:
    """After how many evaluations the total is at or below ``loss``; None: never."""
    reached = (curve[:, 0] <= loss).nonzero()
    return int(reached[0]) + 1 if len(reached) else None


def first_frame(
    content: torch.Tensor, style: torch.Tensor, settings: Settings, start: str
) -> Iterator[tuple[str, list[float | None]]]:
    """Ways to paint a first frame, and what each takes to the losses of ``MARKS`` evaluations at once."""

    def run(picture: torch.Tensor, begin: torch.Tensor, evaluations: int) -> tuple[torch.Tensor, torch.Tensor]:
        alone = settings.replace(iterations=evaluations, min_iterations=1, tolerance=0.0)
        outcome, _ = Stylizer(style, alone).optimise(picture, FrameTask(start, begin))
        return outcome.pixels, outcome.curve

    whole = (content.shape[2], content.shape[3])
    begin = Stylizer(style, settings).start(start, content)
    curve = run(content, begin, max(MARKS))[1]
    aims = [curve[:mark, 0].min().item() for mark in MARKS]
    yield "at once", [until(curve, aim) for aim in aims]
    half = resized(content, (whole[0] // 2, whole[1] // 2))
    for before in COARSE_EVALUATIONS:
        small = run(half, resized(begin, (half.shape[2], half.shape[3])), before)[0]
        enlarged = resized(small, whole)
        starts = {"enlarged": enlarged, "its change enlarged": (content + enlarged - resized(half, whole)).clamp(0, 1)}
        for name, begin_here in starts.items():
            curve = run(content, begin_here, max(MARKS))[1]
            there = [until(curve, aim) for aim in aims]
            yield f"{before} at half the size, {name}", [None if n is None else n + before / 4 for n in there]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    settings = Settings(backbone=arguments.backbone, weights=arguments.weights)
    style = read_picture(arguments.style)
    say(f"{arguments.style.stem}, {Stylizer(style, settings).backbone.name}; {machine().processor}, {machine().commit}")
    results: dict[str, Any] = {"clips": {}, "first_frames": {}}
    for path in arguments.clips:
        results["clips"][path.name] = of_clip(path, style, settings, arguments)
    for path in arguments.coarse:
        for longest in arguments.coarse_sizes:
            picture = read_picture(path)
            ratio = longest / max(picture.shape[2:])
            content = resized(picture, (round(picture.shape[2] * ratio), round(picture.shape[3] * ratio)))
            for start in ("content", "noise"):
                say(f"{path.name}, {longest} pixels, from {start}: evaluations to the losses of {MARKS} at once")
                rows = results["first_frames"][f"{path.name} {longest} {start}"] = {}
                for name, counts in first_frame(content, style, settings, start):
                    rows[name] = counts
                    say(f"  {name:40} " + " ".join("  never" if n is None else f"{n:7.1f}" for n in counts))
    if arguments.json:
        chosen = {name: getattr(arguments, name) for name in ("size", "frames", "every", "backbone")}
        chosen["style"] = arguments.style.stem
        write_json(arguments.json, "evaluations by how a frame is begun", chosen, results)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--weights", help="file with the network's weights")
    parser.add_argument("--backbone", default="auto")
    parser.add_argument("--clips", type=Path, nargs="*", default=[])
    parser.add_argument("--size", type=int, default=192, help="longer side of the clips in pixels")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth frame")
    parser.add_argument("--coarse", type=Path, nargs="*", default=[], metavar="PHOTO")
    parser.add_argument("--coarse-sizes", type=int, nargs="*", default=[512])
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
