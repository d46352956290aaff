"""File to file: frames per second, where the time goes, and peak memory, against clip length and size.

    python scripts/benchmark/pipeline.py --sizes 256 512 --seconds 1 --weights FILE --json out/pipeline.json
    python scripts/benchmark/pipeline.py --lengths 60 3000 --tiny 64 --json out/lengths.json

Each row is one run of `videostyle video` in a process of its own, read from its run record. ``optimise`` is the
optimiser's own time. ``carry`` is what a frame takes beside it: history, masks, the flow where it was not ready.
``start`` is everything before the run's clock: imports, weights. ``rest`` is waiting for frames, decoding and encoding.
What is asked: (wall - optimise) / wall at most 5 % with VGG-19 at 512 x 288, and memory flat in the clip's length.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import machine, say, write_json
from memory import generate

from videostyle.samples import sample

HEAD = (
    "| clip | size | network | frames | fps | optimise | carry | rest | (wall - optimise) / wall | start | memory |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


def run_record(clip: Path, style: Path, options: Sequence[str]) -> tuple[dict[str, Any], float]:
    """The record of one run of the command line, and its seconds from start to end."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "run.json"
        command = [sys.executable, "-m", "videostyle", "video", str(clip), "--style", str(style), *options]
        command += ["--quiet", "--record", str(record), "-o", str(Path(folder) / "out.mp4")]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return json.loads(record.read_text()), time.perf_counter() - began


def row(clip: Path, style: Path, options: Sequence[str]) -> dict[str, Any]:
    """Shares of one run's wall time, and its peak memory."""
    run, process_seconds = run_record(clip, style, options)
    totals, frames = run["totals"], run["frames"]
    wall, optimise = totals["wall_seconds"], totals["optimise_seconds"]
    carry = sum(f["wall_seconds"] for f in frames) - optimise
    return {
        "clip": clip.name,
        "size": run["media"]["size"],
        "network": run["backbone"]["name"],
        "frames": totals["frames"],
        "frames_per_second": totals["frames"] / wall,
        "wall_seconds": wall,
        "start_seconds": process_seconds - wall,
        "optimise_share": optimise / wall,
        "carry_share": carry / wall,
        "rest_share": 1 - (optimise + carry) / wall,
        "overhead": 1 - optimise / wall,
        "peak_rss_bytes": totals["peak_rss_bytes"],
    }


def as_markdown(r: dict[str, Any]) -> str:
    return (
        f"| {r['clip']} | {r['size']} | {r['network']} | {r['frames']} | {r['frames_per_second']:.2f} "
        f"| {r['optimise_share']:.1%} | {r['carry_share']:.1%} | {r['rest_share']:.1%} | {r['overhead']:.1%} "
        f"| {r['start_seconds']:.1f} s | {r['peak_rss_bytes'] / 2**20:.0f} MiB |"
    )


def by_size(sizes: Sequence[int], seconds: float, weights: str | None) -> list[dict[str, Any]]:
    """The sample clip at several sizes, with each network."""
    networks = [["--backbone", "compact"], *([["--weights", weights]] if weights else [])]
    rows = []
    for size in sizes:
        for options in networks:
            given = [*options, "--size", str(size), "--duration", str(seconds)]
            rows.append(row(sample("clip.mp4"), sample("styles/brush.jpg"), given))
            say(as_markdown(rows[-1]))
    return rows


def by_length(lengths: Sequence[int], size: int) -> list[dict[str, Any]]:
    """Generated clips of several lengths at a tiny size, a few evaluations a frame."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for frames in lengths:
            clip = Path(folder) / f"{frames}.mp4"
            generate(clip, 2 * size, frames)
            given = ["--size", str(size), "--iterations", "2", "--min-iterations", "1"]
            rows.append(row(clip, sample("styles/brush.jpg"), given))
            say(as_markdown(rows[-1]))
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=1.0, help="how much of the sample clip each run takes")
    parser.add_argument("--weights", help="VGG-19's weights, for its rows")
    parser.add_argument("--lengths", type=int, nargs="*", default=[], help="frames of generated clips")
    parser.add_argument("--tiny", type=int, default=64, help="their longer side in pixels")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    say(f"{machine().processor}, {machine().threads} threads, commit {machine().commit}")
    say(HEAD)
    rows = by_size(arguments.sizes, arguments.seconds, arguments.weights)
    tiny = by_length(arguments.lengths, arguments.tiny)
    results: dict[str, Any] = {"rows": rows, "lengths": tiny}
    if len(tiny) > 1:
        results["growth"] = tiny[-1]["peak_rss_bytes"] / tiny[0]["peak_rss_bytes"] - 1
        say(f"memory from {tiny[0]['frames']} to {tiny[-1]['frames']} frames: {results['growth']:+.1%}")
    if arguments.json:
        write_json(arguments.json, "file to file", {"seconds": arguments.seconds, "tiny": arguments.tiny}, results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
