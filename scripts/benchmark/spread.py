"""What handing out shots costs, and how well workers are filled: by simulation, without painting.

    python scripts/benchmark/spread.py --shots 10000 --json out/spread.json

Overhead: a run of so many shots whose tasks end at once, with its plan, folders and progress. Efficiency: shots of a
film of 90 minutes, with lengths drawn from a log-normal distribution (median 3 s, mean 4.5 s, as cut lists of films
have them), over 8 to 512 equal workers: in order, longest first, and longest first with long shots split.
"""

import argparse
import heapq
import math
import random
import resource
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from fractions import Fraction
from pathlib import Path

from common import say, write_json

from videostyle.checkpoint.attempts import Piece
from videostyle.cluster.folder import ShotsFolder, read_plan, shots_in
from videostyle.cluster.frame_count import FrameCount, SharedProgress
from videostyle.cluster.spread import spread
from videostyle.cluster.task import Outcome, Task
from videostyle.pipeline.request import Request
from videostyle.pipeline.shot import Shot
from videostyle.samples import sample
from videostyle.settings import RunSettings

RATE = 24  # frames a second
MEDIAN_SECONDS, SIGMA = 3.0, 0.9  # of a log-normal distribution; its mean is 4.5 s
PROVENANCE: dict[str, dict] = {"source": {}, "setting": {}, "network": {}}


def lengths(minutes: float, seed: int = 0) -> list[int]:
    """Frames of the shots of a film."""
    draw, left, found = random.Random(seed), minutes * 60 * RATE, list[int]()
    while left > 0:
        frames = max(8, min(round(left), round(draw.lognormvariate(math.log(MEDIAN_SECONDS), SIGMA) * RATE)))
        found.append(frames)
        left -= frames
    return found


def filled(frames: Sequence[int], workers: int) -> float:
    """The share of all workers' time that is spent on shots, handed out in this order to whoever is free."""
    free = [0] * workers
    for length in frames:
        heapq.heappush(free, heapq.heappop(free) + length)
    return sum(frames) / (workers * max(free))


def split(frames: Sequence[int], longest: int) -> list[int]:
    """Shots longer than this in equal parts."""
    parts = [(length, math.ceil(length / longest)) for length in frames]
    return [length // n + (index < length % n) for length, n in parts for index in range(n)]


class Instant:
    """Workers who have painted as soon as they are asked."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._tasks: list[Task] = []

    def submit(self, task: Task, avoid: Collection[str]) -> None:
        self._tasks.append(task)

    def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
        done = [(task, Outcome("node")) for task in self._tasks]
        self._tasks.clear()
        return done

    def close(self) -> None: ...


def overhead(count: int, room: int) -> tuple[float, float]:
    """(seconds, MiB that the process has grown by) of a run of so many shots."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    request = Request("video", str(sample("clip.mp4")), str(sample("styles/brush.jpg")))
    with tempfile.TemporaryDirectory(prefix="videostyle-spread-") as name:
        with ShotsFolder(Path(name) / "out.mp4", PROVENANCE, RunSettings(keep=True)) as folder:
            shots = [Shot(n, n * 100, 100, Fraction(n * 4), Fraction(n * 4 + 4), n) for n in range(count)]
            folder.keep_plan(shots, request, request)
            known = shots_in(read_plan(folder.output) or {})
            where = folder.shots, folder.logs, folder.token
            tasks = [Task(shot, request, *where) for shot in sorted(known, key=lambda shot: -shot.frames)]
            frames, progress, done = FrameCount(), SharedProgress(100 * count, 0, None), 0

            def look(running: Collection[Task]) -> None:
                progress.tell(done + sum(frames(Piece(task.shots, task.shot.name) for task in running).values()))

            for ended in spread(tasks, Instant(room), look, lambda: False):
                done += ended.task.shot.frames
                frames.forget(Piece(ended.task.shots, ended.task.shot.name))
        seconds = time.perf_counter() - began
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Overhead and efficiency of shots over workers, by simulation.")
    parser.add_argument("--shots", type=int, default=10_000, help="of the run whose overhead is measured")
    parser.add_argument("--minutes", type=float, default=90.0, help="of the film (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write every number")
    arguments = parser.parse_args(argv)
    seconds, grown = overhead(arguments.shots, 64)
    say(f"{arguments.shots} shots that paint themselves: {seconds:.1f} s, {grown:.0f} MiB of memory")
    film = lengths(arguments.minutes)
    say(f"{len(film)} shots, mean {sum(film) / len(film) / RATE:.1f} s, longest {max(film) / RATE:.0f} s")
    results: dict[str, dict[str, float]] = {}
    say(f"{'workers':>8} {'in order':>9} {'longest first':>14} {'split at 30 s':>14} {'split at 10 s':>14}")
    for workers in (8, 64, 512):
        found = {"in order": filled(film, workers), "longest first": filled(sorted(film, reverse=True), workers)}
        for longest in (30, 10):
            parts = sorted(split(film, longest * RATE), reverse=True)
            found[f"split at {longest} s"] = filled(parts, workers)
        results[str(workers)] = found
        say(f"{workers:8} {' '.join(f'{share:13.1%}' for share in found.values())}")
    if arguments.json:
        told = {"seconds": seconds, "grown_mib": grown, "shots": len(film), "efficiency": results}
        write_json(arguments.json, "shots over workers, by simulation", {"shots": arguments.shots}, told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
