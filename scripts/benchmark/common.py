"""What every benchmark needs: interleaved timing, what machine it was, one JSON file (the contract is in README.md)."""

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

# Vector instructions that decide how fast a convolution can be.
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")


@dataclass(frozen=True)
class Timing:
    """Seconds of one candidate, one entry per round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def interquartile_range(self) -> float:
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return high - low

    def as_json(self) -> dict[str, Any]:
        return {"median_seconds": self.median, "iqr_seconds": self.interquartile_range, "seconds": list(self.seconds)}


def octave_judge(folder: Path) -> Any:
    """The module ``paint`` of that folder, which measures distances to a painting by octave."""
    sys.path.insert(0, str(folder))
    return import_module("paint")


def interleaved(candidates: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 3) -> dict[str, Timing]:
    """Time the candidates in turns, one call each per round, after ``warm_up`` rounds that are thrown away."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for i in range(warm_up + rounds):
        for name, run in candidates.items():
            began = time.perf_counter()
            run()
            if i >= warm_up:
                seconds[name].append(time.perf_counter() - began)
    return {name: Timing(tuple(found)) for name, found in seconds.items()}


def speed_up(slow: Timing, fast: Timing) -> float:
    """How many times faster: the median of the rounds' own ratios."""
    return statistics.median(a / b for a, b in zip(slow.seconds, fast.seconds, strict=True))


@dataclass(frozen=True)
class Machine:
    """Where and with what a number was made."""

    processor: str
    flags: tuple[str, ...]
    cores: int
    threads: int
    system: str
    python: str
    torch: str
    commit: str


def machine() -> Machine:
    lines = _cpu_lines()
    flags = set(lines.get("flags", lines.get("Features", "")).split())
    return Machine(
        processor=lines.get("model name", platform.processor() or platform.machine()),
        flags=tuple(flag for flag in FLAGS if flag in flags),
        cores=torch.multiprocessing.cpu_count(),
        threads=torch.get_num_threads(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        torch=torch.__version__,
        commit=commit(),
    )


def _cpu_lines() -> dict[str, str]:
    """The first processor of /proc/cpuinfo, empty where there is none."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def commit() -> str:
    """The commit of the checkout, with ``-dirty`` where the tree differs from it; empty outside a checkout."""
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def write_json(path: Path, what: str, settings: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """One benchmark's result with everything that a reader needs to judge it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"what": what, "machine": asdict(machine()), "settings": dict(settings), "results": dict(results)}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def say(line: str = "") -> None:
    """A line of a table."""
    print(line, file=sys.stdout, flush=True)
