"""Is anything lost when a run on many workers is killed? Kill -9 of everything at random moments, then go on.

    python scripts/benchmark/killed_workers.py --kills 20 --how "--workers 2" --json out/killed_workers.json

Every kill has a run of its own: the command and all processes that it has begun are killed when a random number of
frames is painted, and a random moment later; then the same command goes on to the end. Its output must be that of one
process, byte for byte, and nothing may be left beside it. ``--cluster``: on a Ray cluster of a head and two nodes,
which is brought up here. The command and its tasks are killed alone, with one of the nodes, or with the whole cluster,
by turns; what was killed of the cluster is brought up anew before the command goes on.
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
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from common import say, write_json

from videostyle.samples import sample

CUTS = "0.1,0.3,0.35,0.6"
FRAMES, SHOTS = 20, 5
LATER_SECONDS = 0.5
WHAT = ("tasks", "node", "cluster")  # that is killed with the command, by turns


def command(output: Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "videostyle", "video", str(sample("clip.mp4"))]
    words += ["--style", str(sample("styles/brush.jpg")), "--size", "48", "--iterations", "3", "--duration", "0.8"]
    words += ["--history-size", "2", "--cuts", CUTS, "--quiet", "--overwrite"]
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


def kill(processes: Iterable[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


class Cluster:
    """A Ray cluster on this machine: a head without CPUs, and two nodes with one each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        size = {"object_store_memory": 80 << 20, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=size | {"num_cpus": 0})
        self.mend()

    @property
    def address(self) -> str:
        return self._cluster.address

    def mend(self) -> None:
        """Let there be two nodes, both there."""
        while len(self._cluster.worker_nodes) < 2:
            self._cluster.add_node(num_cpus=1, object_store_memory=80 << 20, memory=2 << 30)
        self._cluster.wait_for_nodes()

    def kill_node(self) -> None:
        """All processes of one of the nodes."""
        self._cluster.remove_node(next(iter(self._cluster.worker_nodes)), allow_graceful=False)

    def close(self) -> None:
        self._cluster.shutdown()


def tasks_on_ray() -> list[int]:
    """The processes of Ray that carry out tasks, on nodes of this process."""
    found = []
    for process in children(os.getpid()):
        with suppress(OSError):
            title = Path(f"/proc/{process}/cmdline").read_bytes()
            if title.startswith(b"ray::") and b"Agent" not in title:  # an agent is a part of its node
                found.append(process)
    return found


def painted(output: Path) -> int:
    """How many frames are written in the shots of an output, finished or not."""
    found = 0
    for journal in output.with_name(output.name + ".videostyle").glob("shots/*/journal"):
        with suppress(OSError):
            found += journal.read_bytes().count(b' {"frame":{')
    return found


class Killer:
    """Runs that are killed and gone on with. ``how``: options of the run. ``cluster``: its workers are on a cluster."""

    def __init__(self, folder: Path, how: Sequence[str], seed: int, *, cluster: bool) -> None:
        self._folder, self._how, self._draw = folder, how, random.Random(seed)
        self._environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self._cluster = Cluster() if cluster else None
        self._run(folder / "one.mp4")
        self._expected = (folder / "one.mp4").read_bytes()

    def one(self, number: int) -> dict[str, Any]:
        """Kill a run, go on with it, and say what came of it."""
        output, record = self._folder / f"{number}.mp4", self._folder / f"{number}.json"
        wanted, later = self._draw.randint(0, FRAMES), self._draw.uniform(0, LATER_SECONDS)
        what = WHAT[number % len(WHAT)] if self._cluster else "run"
        with subprocess.Popen(command(output, *self._options), env=self._environment) as run:
            while run.poll() is None and painted(output) < wanted:
                time.sleep(0.02)
            time.sleep(later)
            there = painted(output)
            kill([*children(run.pid), *tasks_on_ray()])
            if self._cluster and what == "node":
                self._cluster.kill_node()
            elif what == "cluster":
                kill(children(os.getpid())[1:])
        if self._cluster and what == "cluster":
            self._cluster.close()
            self._cluster = Cluster()
        elif self._cluster:
            self._cluster.mend()
        self._run(output, *self._options, "--record", str(record))
        found = {"killed": what, "painted": there, "seconds_later": round(later, 2)}
        found |= {"restored": FRAMES, "redone": 0, "shots": SHOTS}
        if record.exists():  # else it was killed after the output was there
            told = json.loads(record.read_text())
            found |= {name: told["totals"][name] for name in ("restored", "redone")}
            found["shots"] = len({shot["shot"] for shot in told["shots"]})
        found["left"] = [path.name for path in self._folder.glob(f"{number}.mp4.*")]
        return found | {"same": output.read_bytes() == self._expected}

    @property
    def _options(self) -> list[str]:
        return [*self._how, *(["--ray", self._cluster.address] if self._cluster else [])]

    def _run(self, output: Path, *more: str) -> None:
        subprocess.run(command(output, *more), check=True, env=self._environment)

    def close(self) -> None:
        if self._cluster:
            self._cluster.close()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Runs on many workers, killed outright and gone on with.")
    parser.add_argument("--kills", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--how", help="options of the run (default: --workers 2, or none on a cluster)")
    parser.add_argument("--state-seconds", default="0", help="between two saved states (default: %(default)s)")
    parser.add_argument("--cluster", action="store_true", help="on a Ray cluster of two nodes, brought up here")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write every kill")
    arguments = parser.parse_args(argv)
    kills = list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(prefix="videostyle-killed-") as name:
        how = ("" if arguments.cluster else "--workers 2") if arguments.how is None else arguments.how
        options = Path(name), [*how.split(), "--state-seconds", arguments.state_seconds], arguments.seed
        with closing(Killer(*options, cluster=arguments.cluster)) as killer:
            for number in range(arguments.kills):
                kills.append(killer.one(number))
                say(f"{number}: {kills[-1]}")
    same = sum(found["same"] and not found["left"] and found["shots"] == SHOTS for found in kills)
    twice, restored = (sum(found[name] for found in kills) for name in ("redone", "restored"))
    say(f"{same} of {len(kills)} came out as the run of one process; {restored} frames kept, {twice} painted twice")
    if arguments.json:
        settings = {"how": how, "cluster": arguments.cluster, "state_seconds": arguments.state_seconds}
        write_json(arguments.json, "runs on many workers, killed", settings, {"kills": kills})
    return int(same != len(kills))


if __name__ == "__main__":
    sys.exit(main())
