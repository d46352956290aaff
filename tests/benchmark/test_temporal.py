"""What the drift benchmark plays, and that it sees a picture that drifts."""

from itertools import islice

import pytest
import temporal_drift
import torch
from small_networks import picture, small_backbone, smooth_picture

from videostyle import Settings, Stylizer


def test_to_and_fro():
    assert list(islice(temporal_drift.to_and_fro([0, 1, 2, 3]), 9)) == [0, 1, 2, 3, 2, 1, 0, 1, 2]


def test_the_noise_is_new_in_every_frame():
    first, second = islice(temporal_drift.noisy(torch.full((1, 3, 64, 64), 0.5)), 2)
    assert (first - second).std() == pytest.approx(2**0.5 * temporal_drift.NOISE, rel=0.05)


@pytest.mark.parametrize(("gain", "percent"), [(0.0, 0.0), (0.1, 10.0)])
def test_a_drift_is_found(tmp_path, gain, percent):
    """Nothing is optimised (one evaluation looks and does not move): what is measured is the source's own drift."""
    settings = Settings(
        content_layers=("conv2_2",), style_layers=("conv1_1",), iterations=1, min_iterations=1, init="content"
    )
    stylizer = Stylizer(picture(32, 32), settings, backbone=small_backbone())
    scene = 0.5 * smooth_picture(32, 40)
    found = temporal_drift.drift([scene * (1 + gain * t / 39) for t in range(40)], stylizer, tmp_path / "run")
    assert found.luma_percent == pytest.approx(percent, abs=0.01)
    assert found.source_luma_percent == pytest.approx(percent, abs=0.01)
    assert found.evaluations == 1
    assert found.deviation_of_255 == pytest.approx(found.source_deviation_of_255, abs=1e-4)
    assert {p.name for p in tmp_path.iterdir()} == {"run-sheet.png", "run-xt.png"}
