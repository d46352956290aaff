"""The script that trains the embedded network runs, writes what the package can load, and goes on where it stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from videostyle.perception import compact

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.shared
def test_trains_writes_weights_and_goes_on(shared, tmp_path):
    def train(minutes: float) -> None:
        command = [sys.executable, "scripts/train_compact.py", "samples", "--out", tmp_path, "--minutes", minutes]
        command += ["--init", resource, "--batch", 2, "--side", 64, "--device", "cpu", "--paintings", tmp_path / "none"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "VIDEOSTYLE_SHARED": str(shared)}
        done = subprocess.run(list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    resource = ROOT / "videostyle" / "perception" / "compact" / compact.FILE_NAME
    train(0.2)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["norm"] > 0
    trained = compact.load(tmp_path / "compact.safetensors")
    assert [c.weight.shape for c in trained.convs] == [c.weight.shape for c in compact.load().convs]
    train(0.3)
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["step"] > last["step"]
