"""The benchmarks measure what they say: the same loss on both sides, and the numbers that are written down."""

import json
import sys

import common
import evaluation
import memory
import pytest
import torch
from reference import PlainObjective
from small_networks import CONTENT_LAYERS, STYLE_LAYERS, picture, small_backbone

from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.style import StyleTarget
from videostyle.networks.backbone import VGG19_LAYERS
from videostyle.networks.feature_extractor import FeatureExtractor


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_the_reference_computes_the_objective(pooling):
    backbone, content, style = small_backbone(scale=1.3), picture(37, 48, seed=1), picture(32, 40, seed=2).square()
    weights = LossWeights(1.5, 1e6, 0.0, CONTENT_LAYERS, STYLE_LAYERS)
    x = picture(37, 48)
    extractor = FeatureExtractor(backbone, weights.layers, pooling=pooling)
    ours = Objective(
        extractor,
        ContentTarget(extractor, content, CONTENT_LAYERS),
        StyleTarget(extractor, style, STYLE_LAYERS),
        weights,
    )
    expected, gradient = ours.value_and_gradient(x)
    found, plain_gradient = PlainObjective(backbone, content, style, weights, pooling).value_and_gradient(x)
    for ours_, theirs in zip((expected.total, expected.content, expected.style), found, strict=True):
        torch.testing.assert_close(theirs, ours_, rtol=1e-3, atol=0)
    assert torch.cosine_similarity(plain_gradient.flatten(), gradient.flatten(), dim=0) > 0.9999


def test_every_candidate_is_called_as_often_and_in_turns():
    calls = []
    timings = common.interleaved({n: lambda n=n: calls.append(n) for n in "ab"}, rounds=4, warm_up=2)
    assert calls == ["a", "b"] * 6
    assert {n: len(t.seconds) for n, t in timings.items()} == {"a": 4, "b": 4}


def test_statistics_by_hand():
    slow, fast = common.Timing((4.0, 2.0, 8.0, 6.0, 10.0)), common.Timing((1.0, 1.0, 2.0, 2.0, 5.0))
    assert (slow.median, slow.interquartile_range) == (6.0, 4.0)
    assert common.speed_up(slow, fast) == 3.0  # of 4, 2, 4, 3, 2
    assert common.Timing((1.0,)).interquartile_range == 0.0


def test_the_machine_is_described():
    found = common.machine()
    assert found.torch == torch.__version__
    assert found.threads == torch.get_num_threads()
    assert found.processor
    assert set(found.flags) <= set(common.FLAGS)


def test_a_size():
    assert evaluation.size("512x288") == (512, 288)
    for wrong in ("512", "8x8", "ax16", "16x", "-16x16"):
        with pytest.raises(Exception, match=r"expected WIDTHxHEIGHT"):
            evaluation.size(wrong)


def test_evaluation_from_end_to_end(monkeypatch, tmp_path, capsys):
    backbone = small_backbone()
    assert set(VGG19_LAYERS) >= set(backbone.references)
    monkeypatch.setattr(evaluation, "load_backbone", lambda name, path: backbone)
    file = tmp_path / "new" / "evaluation.json"
    assert evaluation.main(["--size", "48x32", "--rounds", "2", "--warm-up", "1", "--json", str(file)]) == 0
    written = json.loads(file.read_text())
    assert written["settings"]["size"] == [48, 32]
    assert written["machine"]["torch"] == torch.__version__
    assert list(written["results"]) == [evaluation.REFERENCE, *evaluation.precisions(), evaluation.CONVOLUTIONS]
    plain = written["results"][evaluation.REFERENCE]
    for name in evaluation.precisions():
        row = written["results"][name]
        assert row["loss"] == pytest.approx(plain["loss"], rel=0.05)
        assert row["gradient_cosine"] > 0.98
        assert len(row["seconds"]) == 2
    shown = capsys.readouterr().out
    assert all(name in shown for name in written["results"])


def test_the_convolutions_alone_are_all_of_them():
    extractor, seen = FeatureExtractor(small_backbone(), STYLE_LAYERS), []
    for i, stage in enumerate(extractor.stages):
        stage.forward = lambda x, i=i: seen.append((i, "forward", tuple(x.shape[1:])))
        stage.backward = lambda x, i=i: seen.append((i, "backward", tuple(x.shape[1:])))
    fresh = FeatureExtractor(small_backbone(), STYLE_LAYERS)
    extractor.forward = fresh.forward
    evaluation.convolutions_alone(extractor, picture(32, 48))()
    assert len(seen) == 26
    assert seen[0] == (0, "forward", (3, 34, 50))
    assert seen[1] == (0, "backward", (6, 32, 48))
    assert seen[-2] == (12, "forward", (12, 2, 3))


def test_peak_memory_is_the_childs():
    take = "b = bytearray({} * 2**20); b[::4096] = b'x' * len(b[::4096])"
    small, large = (memory.peak_rss_bytes([sys.executable, "-c", take.format(n)]) for n in (1, 200))
    assert 190 * 2**20 < large - small < 215 * 2**20


def test_a_run_that_fails_is_no_measurement():
    with pytest.raises(Exception, match=r"status 3"):
        memory.peak_rss_bytes([sys.executable, "-c", "raise SystemExit(3)"])
