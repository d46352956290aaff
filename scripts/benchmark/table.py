"""The README's table of speed: the command line on the sample clip, at several sizes, with each network.

    python scripts/benchmark/table.py --sizes 256 512 640 --seconds 1 [--weights FILE] [--json out/table.json]

Each row is one run of `videostyle video` in a process of its own, read from its run record: the mean wall time of a
frame from the second one on (flow and optimisation; decoding and encoding run beside it), the first frame's, and the
peak memory.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from common import machine, say, write_json
from pipeline import run_record

from videostyle.samples import sample

HEAD = (
    "| size | network | seconds per frame | first frame | evaluations per frame | memory |\n|---|---|---|---|---|---|"
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 640])
    parser.add_argument("--seconds", type=float, default=1.0, help="how much of the clip each run takes")
    parser.add_argument("--weights", help="VGG-19's weights, for its rows")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to this file")
    arguments = parser.parse_args(argv)
    networks = {"compact": ["--backbone", "compact"]}
    if arguments.weights:
        networks["vgg19"] = ["--weights", arguments.weights]
    say(f"{machine().processor}, {machine().cores} cores, commit {machine().commit}")
    say(HEAD)
    rows = []
    for size in arguments.sizes:
        for name, options in networks.items():
            rows.append(row(size, name, options, arguments.seconds))
            say(as_markdown(rows[-1]))
    if arguments.json:
        write_json(Path(arguments.json), "the command line on the sample clip", vars(arguments), {"rows": rows})
    return 0


def row(size: int, name: str, options: list[str], seconds: float) -> dict[str, Any]:
    """One run, from its record."""
    given = [*options, "--size", str(size), "--duration", str(seconds)]
    run, _ = run_record(sample("clip.mp4"), sample("styles/brush.jpg"), given)
    first, *later = run["frames"]
    return {
        "size": size,
        "network": name,
        "frame_seconds": statistics.fmean(f["wall_seconds"] for f in later),
        "first_seconds": first["wall_seconds"],
        "evaluations": statistics.fmean(f["evaluations"] for f in later),
        "wall_seconds": run["totals"]["wall_seconds"] / run["totals"]["frames"],
        "peak_rss_bytes": run["totals"]["peak_rss_bytes"],
    }


def as_markdown(r: dict[str, Any]) -> str:
    height = r["size"] * 9 // 16
    return (
        f"| {r['size']} x {height} | {r['network']} | {r['frame_seconds']:.2f} | {r['first_seconds']:.1f} s "
        f"| {r['evaluations']:.0f} | {r['peak_rss_bytes'] / 2**30:.1f} GiB |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
