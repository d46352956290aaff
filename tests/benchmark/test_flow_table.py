"""The benchmark of optical flow: its generated scenes are true, and it writes what it says."""

import json

import flow as flow_benchmark
import pytest
import torch
from flow_scenes import MOTIONS, TrueFlow, generated

from videostyle.temporal.warp import Warp, sample


@pytest.fixture(scope="module")
def scenes() -> list[TrueFlow]:
    return list(generated([], [0]))


def test_the_flow_of_generated_scenes_is_true(scenes):
    """The source agrees with itself along it, wherever it was seen before."""
    for scene in scenes:
        change = (scene.current - sample(scene.previous, scene.flow, mode="bilinear")).square().sum(1, keepdim=True)
        assert change[scene.seen].mean() < 0.004
        if scene.flow.abs().max() > 1:
            unmoved = (scene.current - scene.previous).square().sum(1, keepdim=True)
            assert change[scene.seen].mean() < 0.5 * unmoved[scene.seen].mean()


def test_the_true_flow_is_not_off(scenes):
    scene = scenes[-1]
    everywhere = torch.ones_like(scene.flow[:, :1])
    row = flow_benchmark.judged(scene, Warp(scene.flow, everywhere, everywhere))
    assert row["error"] == row["edge off"] == row["warp"] == row["astray"] == 0
    row = flow_benchmark.judged(scene, Warp(scene.flow + 2, everywhere, everywhere))
    assert row["off"] == row["astray"] == 1
    assert row["seen error"] == pytest.approx(8**0.5, abs=1e-3)


def test_the_table(tmp_path, capsys):
    assert flow_benchmark.main(["--seeds", "0", "--estimators", "dis", "--rounds", "1", "-o", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "flow.json").read_text())["results"]["rows"]
    assert [row["scene"] for row in rows] == [f"{name} 0" for name in MOTIONS]
    assert (tmp_path / "flow.txt").read_text() == capsys.readouterr().out
    assert rows[0]["error"] < 0.01
