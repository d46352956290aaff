"""The script that trains the embedded network: it runs, writes what the package can load, and goes on."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from distillation.crowd import LBFGSCrowd
from distillation.start import narrowed
from distillation.student import Plan, Student

from videostyle.networks import compact
from videostyle.optimise.lbfgs import LBFGS, History

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

    resource = ROOT / "videostyle" / "networks" / "compact" / compact.FILE_NAME
    train(0.2)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["norm"] > 0
    trained = compact.load(tmp_path / "compact.safetensors")
    assert [c.weight.shape for c in trained.convs] == [c.weight.shape for c in compact.load().convs]
    train(0.3)
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["step"] > last["step"]


def test_a_narrowed_network_still_knows_what_it_lost():
    """Channels that are multiples of others can go without any difference, and are the ones that go."""
    backbone, pictures = compact.load(), torch.rand(2, 3, 32, 32)
    conv1, conv2, after = backbone.convs[:3]
    doubled = [torch.cat((part[:8], 2 * part[:8])) for part in (conv2.weight, conv2.bias)]
    conv2 = replace(conv2, weight=doubled[0], bias=doubled[1])
    after = replace(after, weight=after.weight[:, :16])
    given = replace(backbone, convs=(conv1, conv2, after, *backbone.convs[3:]))
    found = narrowed(given, Plan.parse("1_2:8"), pictures)
    assert [len(c.weight) for c in found.convs[:3]] == [len(conv1.weight), 8, len(after.weight)]
    before, now = (Student(b, {}, torch.float32)(pictures)[-1].detach() for b in (given, found))
    torch.testing.assert_close(now, before, rtol=1e-3, atol=1e-3 * float(before.max()))


def test_a_layer_that_is_answered_to_is_not_narrowed():
    with pytest.raises(SystemExit, match="conv4_1 cannot be narrowed; those that can: conv1_2, "):
        narrowed(compact.load(), Plan.parse("4_1:16"), torch.rand(1, 3, 16, 16))


def test_a_crowd_goes_down_as_each_would_alone():
    """Row by row what the package's own L-BFGS does, whatever the other rows are doing."""
    count, shape = 3, (1, 3, 6, 5)
    torch.manual_seed(0)
    aims, bends = torch.rand(count, *shape[1:]), 0.5 + torch.rand(count, *shape[1:])
    crowd = LBFGSCrowd(count, 4, 90, torch.device("cpu"))
    alone = [LBFGS(History.empty(4, shape[2:])) for _ in range(count)]
    xs, expected = torch.rand(count, *shape[1:]), []
    for x, aim, bend, stepper in zip(xs.split(1), aims.split(1), bends.split(1), alone, strict=True):
        for _ in range(7):
            x = stepper.step(x, bend * (x - aim)).clamp(0, 1)
        expected.append(x)
    rows = torch.tensor([2, 0])
    for step in range(7):
        xs[rows] = crowd.step(rows, xs[rows], (bends * (xs - aims))[rows]).clamp(0, 1)
        if step == 3:  # the row that rests meanwhile is begun late, and one of the others goes on
            rows = torch.tensor([0, 1, 2])
    one = torch.tensor([1])
    for _ in range(4):
        xs[one] = crowd.step(one, xs[one], (bends * (xs - aims))[one]).clamp(0, 1)
    torch.testing.assert_close(xs, torch.cat(expected), rtol=1e-3, atol=1e-4)
    assert (xs - aims).abs().max() < 0.05  # and it arrives


def test_a_row_that_is_begun_again_has_forgotten():
    crowd = LBFGSCrowd(2, 4, 12, torch.device("cpu"))
    rows, x = torch.tensor([0, 1]), torch.full((2, 3, 2, 2), 0.5)
    for _ in range(3):
        x = crowd.step(rows, x, x - 0.1)
    crowd.restart(torch.tensor([1]))
    before = torch.full((1, 3, 2, 2), 0.5)
    step = crowd.step(torch.tensor([1]), before, before - 0.1) - before
    torch.testing.assert_close(step, torch.full_like(step, -1 / 255))
