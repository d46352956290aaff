"""The studio: until its page is there, from a slider to a picture, and what a preview costs a run.

    python scripts/benchmark/studio.py --rounds 5 --json out/studio.json

``page``: seconds from the command to the first answer; in a Chromium (with Playwright) until the paintings are shown,
and from a slider that moves to the first picture on the page and to the quick painting. ``cold``: seconds from the
command until the first preview's first picture and its quick painting. ``warm``: from a request, with another strength
each time, until the first picture, the quick painting and the finished one. ``pictures``: how many a second while it
emerges. ``cpu``: seconds of a processor that the painting process used, which other programs on the machine change
little; ``load``: of the machine meanwhile. ``cost``: seconds that a run of ``--frames`` frames takes longer for each
preview within it, runs with and without previews in turns.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from common import say, write_json

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 600.0  # seconds for anything


class Studio:
    """A server in a folder of its own, started now. ``told``: (seconds since the start, type, values) of its events."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.began = time.perf_counter()
        command = [sys.executable, "-m", "videostyle", "studio", str(folder), "--no-browser", "--port", "0"]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[0]
        self.client = httpx.Client(base_url=f"{self.address}api/v1/", timeout=PATIENCE, trust_env=False)
        self.media = {entry.get("sample"): entry["id"] for entry in self.client.get("state").json()["media"]}
        self.answered = self.now()
        self.told: list[tuple[float, str, dict[str, Any]]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def now(self) -> float:
        return time.perf_counter() - self.began

    def _listen(self) -> None:
        kind = ""
        try:
            with httpx.stream("GET", f"{self.address}api/v1/events", timeout=None, trust_env=False) as stream:
                for line in stream.iter_lines():
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        self.told.append((self.now(), kind, json.loads(line.removeprefix("data: "))))
        except httpx.HTTPError:
            return  # the server has ended

    def look(self, strength: float) -> dict[str, Any]:
        return {"style": [{"picture": self.media["styles/brush.jpg"]}], "strength": strength}

    def preview(self, strength: float, size: int, quick: bool = False) -> dict[str, float]:
        """Seconds from the request to its ``first`` picture, the ``quick`` and the ``finished`` painting."""
        asked = {"source": self.media["clip.mp4"], "at": 1.0, "size": size, "look": self.look(strength)}
        began = self.now()
        number = self.client.post("previews", json=asked | {"quick": quick}).json()["preview"]
        spent, events = -self.cpu_seconds(), self._until(number)
        times = [at - began for at, values in events if "picture" in values]
        found = {values["stage"]: at - began for at, values in events if values["stage"] in ("quick", "finished")}
        emerging = [at - began for at, values in events if "picture" in values and at - began <= found["quick"]]
        rate = (len(emerging) - 1) / max(1e-6, emerging[-1] - emerging[0]) if len(emerging) > 1 else 0.0
        return found | {"first": times[0], "pictures": rate, "cpu": spent + self.cpu_seconds()}

    def cpu_seconds(self) -> float:
        """Of the painting process so far; 0 where the system does not say."""
        total = 0.0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == self.process.pid:
                    total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total

    def _until(self, number: int) -> list[tuple[float, dict[str, Any]]]:
        end = self.now() + PATIENCE
        while self.now() < end:
            found = [(at, v) for at, kind, v in [*self.told] if kind == "preview" and v["preview"] == number]
            if found and found[-1][1]["stage"] in ("ended", "superseded", "failed"):
                return found
            time.sleep(0.005)
        raise TimeoutError(f"preview {number} did not end")

    def run(self, frames: int, size: int, previews: int) -> float:
        """Seconds that a run takes, with so many previews asked for within it."""
        media = {"size": size, "duration_seconds": frames / 24}
        asked = {"source": self.media["clip.mp4"], "look": self.look(0.5), "media": media}
        began, name = self.now(), self.client.post("jobs", json=asked).json()["id"]
        seen = 0
        while self.client.get(f"jobs/{name}").json()["state"] != "done":
            done = self.client.get(f"jobs/{name}").json().get("progress", {}).get("frame", 0)
            if seen < previews and done > seen * frames // max(1, previews):
                self.preview(0.3 + 0.05 * seen, 256, quick=True)
                seen += 1
            time.sleep(0.02)
        return self.now() - began

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


@contextmanager
def studio(threads: int) -> Iterator[Studio]:
    with tempfile.TemporaryDirectory() as folder:
        made = Studio(Path(folder) / "studio", threads)
        try:
            yield made
        finally:
            made.close()


def page_times(address: str, rounds: int) -> dict[str, float] | None:
    """Seconds in a Chromium, None where there is none.

    ``ready``: until it shows the paintings. Medians from a slider to the ``first`` picture and the ``quick`` painting.
    """
    program = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        return None
    if program is None:
        return None
    with sync_playwright() as started:
        page = started.chromium.launch(executable_path=program, args=["--no-sandbox"]).new_page()
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("#paintings img")
        times: dict[str, list[float]] = {"ready": [time.perf_counter() - began], "first": [], "quick": []}
        _until_quick(page)
        for i in range(rounds):
            page.fill("[aria-label='Strength']", f"{0.31 + 0.05 * i:.2f}")
            page.wait_for_timeout(60)  # by then it has been asked for
            _until_quick(page)
            for name in ("first", "quick"):
                times[name].append(page.evaluate(f"studio.timing.{name}") / 1000)
        return {name: statistics.median(found) for name, found in times.items()}


def _until_quick(page: Any) -> None:
    while not page.evaluate("studio.timing.quick"):
        page.wait_for_timeout(20)


def load() -> float:
    """Processes that run or wait for a processor, over the last minute."""
    return round(os.getloadavg()[0], 1)


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    results: dict[str, Any] = {"load": load()}
    with studio(arguments.threads) as made:
        asked = made.now()
        cold = made.preview(0.5, arguments.size, quick=True)
        cold = {"first": asked + cold["first"], "quick": asked + cold["quick"], "cpu": made.cpu_seconds()}
        quick = [made.preview(0.35 + 0.05 * i, arguments.size, quick=True) for i in range(arguments.rounds)]
        warm = [made.preview(0.3 + 0.05 * i, arguments.size) for i in range(arguments.rounds)]
        results |= {
            "answered": made.answered,
            "cold": cold,
            "page": page_times(made.address, arguments.rounds),
            "warm": warm,
            "quick": quick,
        }
        page = ", ".join(f"{name} {seconds:.2f}" for name, seconds in (results["page"] or {}).items())
        say(f"load {load()}: answers after {made.answered:.2f} s; page: {page or 'no Chromium'}")
        say("cold: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in cold.items()))
        for told, rounds in (("warm", warm), ("warm, quick alone", quick)):
            medians = {name: statistics.median(times[name] for times in rounds) for name in rounds[0]}
            say(f"{told}: " + ", ".join(f"{name} {value:.2f}" for name, value in medians.items()))
    costs = []
    for _ in range(arguments.runs):
        with studio(arguments.threads) as made:
            made.preview(0.5, 64, quick=True)
            without = made.run(arguments.frames, arguments.size, 0)
            within = made.run(arguments.frames, arguments.size, arguments.previews)
            costs.append((within - without) / arguments.previews)
            say(f"load {load()}: a run of {arguments.frames} frames: {without:.1f} s, with previews {within:.1f} s")
    results["cost"] = costs
    if costs:
        say(f"a preview costs a run {statistics.median(costs):.2f} s")
    if arguments.json:
        write_json(arguments.json, "studio", {k: str(v) for k, v in vars(arguments).items()}, results)
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="longer side of the preview and of the run, in pixels")
    parser.add_argument("--rounds", type=int, default=5, help="warm previews")
    parser.add_argument("--runs", type=int, default=2, help="pairs of runs, with and without previews")
    parser.add_argument("--frames", type=int, default=24, help="of a run")
    parser.add_argument("--previews", type=int, default=4, help="within a run")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of the painting process")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
