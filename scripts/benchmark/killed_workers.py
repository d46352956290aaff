"""Is anything lost when a run on many workers is killed? Kill -9 of everything at random moments, then go on.

    python scripts/benchmark/killed_workers.py --kills 20 --how "--workers 2" --json out/killed_workers.json

Every kill has a run of its own: the command and all processes that it has begun are killed when a random number of
frames is painted, and a random moment later; then the same command goes on to the end. Its output must be that of one
process, byte for byte, and nothing may be left beside it. With ``--how "--ray ADDRESS"`` the
nodes live on; the driver is killed.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from common import say, write_json

from videostyle.samples import sample

CUTS = "0.1,0.3,0.35,0.6"
FRAMES = 20
LATER_SECONDS = 0.5


def command(output: Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "videostyle", "video", str(sample("clip.mp4"))]
    words += ["--style", str(sample("styles/brush.jpg")), "--size", "48", "--iterations", "3", "--duration", "0.8"]
    words += ["--history-size", "2", "--cuts", CUTS, "--state-seconds", "0", "--quiet", "--overwrite"]
    return [*words, *more, "-o", str(output)]


def children(process: int) -> list[int]:
    """A process and all that it has begun, and they have."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [process]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found


def painted(output: Path) -> int:
    """How many frames are written in the shots of an output, finished or not."""
    found = 0
    for journal in output.with_name(output.name + ".videostyle").glob("shots/*/journal"):
        with suppress(OSError):
            found += journal.read_bytes().count(b' {"frame":{')
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Runs on many workers, killed outright and gone on with.")
    parser.add_argument("--kills", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--how", default="--workers 2", help="options of the run (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write every kill")
    arguments = parser.parse_args(argv)
    draw, kills = random.Random(arguments.seed), list[dict]()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    how = arguments.how.split()
    with tempfile.TemporaryDirectory(prefix="videostyle-killed-") as name:
        folder = Path(name)
        subprocess.run(command(folder / "one.mp4"), check=True, env=environment)
        expected = (folder / "one.mp4").read_bytes()
        for number in range(arguments.kills):
            output, record = folder / f"{number}.mp4", folder / f"{number}.json"
            wanted, later = draw.randint(0, FRAMES), draw.uniform(0, LATER_SECONDS)
            with subprocess.Popen(command(output, *how), env=environment) as run:
                while run.poll() is None and painted(output) < wanted:
                    time.sleep(0.02)
                time.sleep(later)
                for process in children(run.pid):
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
            subprocess.run(command(output, *how, "--record", str(record)), check=True, env=environment)
            told = json.loads(record.read_text())
            left = list(folder.glob(f"{number}.mp4.*"))
            kill = {"frames": wanted, "same": output.read_bytes() == expected}
            kill |= {"restored": told["totals"]["restored"], "redone": told["totals"].get("redone", 0)}
            kills.append(kill | {"shots": len(told.get("shots", ())), "left": len(left)})
            say(f"killed {later:.2f} s after frame {wanted}: {kills[-1]}")
    same = sum(kill["same"] and not kill["left"] for kill in kills)
    twice = sum(kill["redone"] for kill in kills)
    say(f"{same} of {len(kills)} came out as the run of one process; {twice} frames were painted twice")
    if arguments.json:
        write_json(arguments.json, "runs on many workers, killed", {"how": arguments.how}, {"kills": kills})
    return int(same != len(kills))


if __name__ == "__main__":
    sys.exit(main())
