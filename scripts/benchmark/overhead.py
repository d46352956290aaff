"""What a run takes beside painting: one process, two workers and Ray on this machine, in turns.

    python scripts/benchmark/overhead.py --clips 200 --rounds 3 --json out/overhead.json

A clip of five shots, and so many clips of 64 x 36 pixels with 2 to 4 frames each, painted in few iterations.
"Beside painting" is the time from the command to its end, less the seconds that the frames of the busiest worker took
by their journals: starting Python, probing, decoding, run directories, the encode, and whatever handing out costs.
Beside it the seconds of CPU, which other programs change less; Ray's own processes count only where it waits for them.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from common import say, write_json
from memory import ffmpeg_binary

from videostyle.checkpoint.journal import Journal
from videostyle.samples import sample

WAYS = {"one process": [], "two workers": ["--workers", "2"], "Ray": ["--ray", "local", "--ray-cpus", "1"]}
PAINTING = ["--style", str(sample("styles/brush.jpg")), "--iterations", "3", "--first-init", "palette", "--quiet"]


def generate(folder: Path, count: int) -> list[Path]:
    """Tiny clips of 2, 3 and 4 frames."""
    made = [folder / f"clip-{number:04d}.mp4" for number in range(count)]
    for number, clip in enumerate(made):
        source = ["-f", "lavfi", "-i", f"testsrc2=size=64x36:rate=24,hue=h={number * 7}"]
        command = [ffmpeg_binary(), "-v", "error", "-y", *source, "-frames:v", str(2 + number % 3), str(clip)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return made


def busiest(folder: Path) -> tuple[int, float]:
    """(frames below ``folder``, seconds that painting them took the worker that painted the longest)."""
    frames, by_node = 0, defaultdict[str, float](float)
    for journal in folder.rglob("journal"):
        note = journal.with_name("attempt.json")
        node = json.loads(note.read_text())["node"] if note.exists() else ""
        painted = Journal(journal.parent).frames
        frames += len(painted)
        by_node[node] += sum(frame.metadata["wall_seconds"] for frame in painted)
    return frames, max(by_node.values(), default=0.0)


def beside(words: Sequence[str], how: Sequence[str], output: Path) -> dict[str, float]:
    """Run a command in one of the ways; its seconds, and those beside painting."""
    command = [sys.executable, "-m", "videostyle", "video", *words, *PAINTING, "--keep", *how]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*command, "-o", str(output)], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    frames, painting = busiest(output.parent)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = {"seconds": seconds, "beside": seconds - painting, "cpu": cpu, "frames": frames, "load": os.getloadavg()[0]}
    return {name: round(value, 2) for name, value in found.items()}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Seconds beside painting of one process, two workers and Ray.")
    parser.add_argument("--clips", type=int, default=200, help="tiny ones (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way (default: %(default)s)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="(default: all)")
    parser.add_argument("--json", type=Path, help="write every number")
    arguments = parser.parse_args(argv)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory(prefix="videostyle-overhead-") as name:
        folder = Path(name)
        cuts = ["--size", "64", "--duration", "0.8", "--cuts", "0.1,0.3,0.35,0.6"]
        tasks = {"five shots": [str(sample("clip.mp4")), *cuts]}
        if arguments.clips:
            tasks[f"{arguments.clips} clips"] = [*map(str, generate(folder, arguments.clips)), "--size", "64"]
        for _ in range(arguments.rounds):
            for task, words in tasks.items():
                for way in arguments.ways:
                    place = folder / "out"
                    place.mkdir()
                    output = place / ("out.mp4" if task == "five shots" else "")
                    run = beside(words, WAYS[way], output if output.suffix else place / "all")
                    found.setdefault(task, {}).setdefault(way, []).append(run)
                    say(f"{task}, {way}: {run}")
                    shutil.rmtree(place)
    say(f"{'':12} {'':12} {'seconds':>8} {'beside painting':>16} {'CPU':>8}")
    for task, ways in found.items():
        for way, runs in ways.items():
            seconds, rest, cpu = (statistics.median(run[name] for run in runs) for name in ("seconds", "beside", "cpu"))
            say(f"{task:12} {way:12} {seconds:8.1f} {rest:16.1f} {cpu:8.1f}")
    if arguments.json:
        settings = {"clips": arguments.clips, "rounds": arguments.rounds}
        write_json(arguments.json, "seconds beside painting", settings, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
