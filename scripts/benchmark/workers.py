"""Several workers or one process, on the same cores? Frames per second of `videostyle video` from file to file.

    python scripts/benchmark/workers.py --size 128 --seconds 2 --rounds 3 --workers 1 2 --json out/workers.json

One process with all cores, one with a single thread, and so many workers with their share of the cores take turns.
"Painting" leaves out what is paid once: starting Python, cuts, the encode. The load is the system's average of the
last minute, at the end of a run: with nobody else there it is about the number of cores in use.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import Timing, interleaved, say, speed_up, write_json

from videostyle.samples import sample

CUTS = 8  # shots of the clip
SINGLE, ONE_THREAD = "one process", "one thread"


class Runs:
    """Runs of one command in the ways that are compared; what each of them painted in how many seconds."""

    def __init__(self, folder: Path, size: int, seconds: float, threads: int) -> None:
        self.folder, self.threads = folder, threads
        cuts = ",".join(f"{seconds * n / CUTS:.3f}" for n in range(1, CUTS))
        self._command = [sys.executable, "-m", "videostyle", "video", str(sample("clip.mp4"))]
        self._command += ["--style", str(sample("styles/brush.jpg")), "--size", str(size), "--quiet", "--overwrite"]
        self._command += ["--duration", str(seconds), "--cuts", cuts, "--first-init", "palette"]
        self.painting: dict[str, list[float]] = {}
        self.loads: dict[str, list[float]] = {}
        self.frames = 0

    def run(self, name: str, workers: int | None) -> None:
        output, record = self.folder / f"{name.replace(' ', '-')}.mp4", self.folder / "run.json"
        command = [*self._command, "-o", str(output), "--record", str(record)]
        command += [] if workers is None else ["--workers", str(workers)]
        threads = 1 if name == ONE_THREAD else self.threads
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
        told = json.loads(record.read_text())
        self.frames = len(told["frames"])
        if workers is None:
            spent = sum(frame["wall_seconds"] for frame in told["frames"])
        else:
            by_node: dict[str, float] = {}
            for shot in told["shots"]:
                by_node[shot["node"]] = by_node.get(shot["node"], 0.0) + shot["seconds"]
            spent = max(by_node.values())
        self.painting.setdefault(name, []).append(spent)
        self.loads.setdefault(name, []).append(os.getloadavg()[0])
        say(f"  {name}: painting {spent:.1f} s, load {self.loads[name][-1]:.1f}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Frames per second of several workers and of one process, in turns.")
    parser.add_argument("--size", type=int, default=128, help="longer side in pixels (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of the sample clip (default: %(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers (default: 1 2)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write every number")
    arguments = parser.parse_args(argv)
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="videostyle-workers-") as folder:
        runs = Runs(Path(folder), arguments.size, arguments.seconds, threads)
        ways: dict[str, int | None] = {SINGLE: None, ONE_THREAD: None} | {f"{n} workers": n for n in arguments.workers}
        began = time.perf_counter()
        timings: dict[str, Timing] = interleaved(
            {name: lambda name=name, n=n: runs.run(name, n) for name, n in ways.items()},  # type: ignore[misc]
            rounds=arguments.rounds,
            warm_up=0,
        )
        painting = {name: Timing(tuple(seconds)) for name, seconds in runs.painting.items()}
        say(f"{runs.frames} frames, {threads} cores, {time.perf_counter() - began:.0f} s in all")
        say(f"{'':14} {'seconds':>8} {'frames/s':>9} {'painting':>9} {'as fast as one process':>23}")
        for name in ways:
            ratio = speed_up(timings[SINGLE], timings[name]), speed_up(painting[SINGLE], painting[name])
            seconds = sorted(timings[name].seconds)[len(timings[name].seconds) // 2]
            spent = sorted(painting[name].seconds)[len(painting[name].seconds) // 2]
            rate = runs.frames / seconds
            say(f"{name:14} {seconds:8.1f} {rate:9.2f} {spent:8.1f}s {ratio[0]:10.2f}, painting {ratio[1]:.2f}")
        if arguments.json:
            settings = {"size": arguments.size, "seconds": arguments.seconds, "threads": threads}
            results = {
                name: {"wall": timings[name].seconds, "painting": painting[name].seconds, "load": runs.loads[name]}
                for name in ways
            }
            write_json(arguments.json, "workers against one process", settings, {"frames": runs.frames, **results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
