"""The benchmarks of long runs do what they say, on a few frames."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts" / "benchmark"


def run(script: str, *options: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPTS / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1700, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forked")
def test_killed_runs_end_with_the_same_frames(tmp_path: Path) -> None:
    said = run("killed.py", "--kills", "8", "--json", str(tmp_path / "killed.json"))
    assert "8 of 8 came out as the uninterrupted run" in said
    kills = json.loads((tmp_path / "killed.json").read_text())["results"]["kills"]
    assert {"any time", "starting", "restore", "state", "encode"} <= {kill["aim"] for kill in kills}
    assert all(kill["same"] for kill in kills)


@pytest.mark.slow
def test_what_a_run_directory_costs(tmp_path: Path) -> None:
    run("journal.py", "--size", "64", "--seconds", "0.3", "--json", str(tmp_path / "journal.json"))
    results = json.loads((tmp_path / "journal.json").read_text())["results"]
    assert results["frames"] == 8 and 0 < results["bytes_per_frame"] < 64 * 36 * 3


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="memory is read as POSIX has it")
def test_a_pipe_keeps_its_frames_and_times(tmp_path: Path) -> None:
    said = run("pipe.py", "--frames", "40", "--size", "48", "--json", str(tmp_path / "pipe.json"))
    runs = json.loads((tmp_path / "pipe.json").read_text())["results"]["runs"]
    assert [r["written"] for r in runs] == [4, 40, 4, 40] and {r["late_seconds"] for r in runs} == {0}
    assert "statuses (0, 0, 0)" in said
