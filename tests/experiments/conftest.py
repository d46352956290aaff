"""Small inputs, a small network and a stub in the optimiser's place."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from small_networks import small_backbone, smooth_picture

from videostyle.experiments.inputs import Inputs
from videostyle.experiments.runner import Runner
from videostyle.losses.objective import Losses
from videostyle.media.still import write_picture
from videostyle.optimise.outcome import OptimisedImage
from videostyle.settings import Settings
from videostyle.stylise.stylizer import Stylizer


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    """Four little photographs and a style."""
    found = {}
    for i, name in enumerate(("content", "style", "dark", "reference")):
        found[name] = tmp_path / f"{name}.png"
        write_picture(found[name], smooth_picture(40, 60, seed=i), overwrite=False)
    return found


@pytest.fixture
def make_runner(tmp_path: Path, pictures: dict[str, Path]) -> Callable[..., Runner]:
    def make(folder: str = "pictures") -> Runner:
        settings = Settings(device="cpu", precision="fp32")
        return Runner(tmp_path / folder, Inputs(48, pictures), settings, small_backbone())

    return make


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of every picture that was painted; a stub paints, a mixture of start and content."""
    seen: list[Settings] = []

    def paint(stylizer, content, task, report=None):
        seen.append(stylizer.settings)
        zero = torch.zeros(1)
        count = stylizer.settings.iterations
        curve = torch.stack([1e6 / torch.arange(1, count + 1)] * 3, 1)
        if report:
            report(count, 1.0)
        pixels, losses = 0.5 * (task.start + content), Losses(*[zero] * len(fields(Losses)))
        return OptimisedImage(pixels, losses, count, 0.01, curve, 0.0, snapshot=pixels), None

    monkeypatch.setattr(Stylizer, "optimise", paint)
    return seen
