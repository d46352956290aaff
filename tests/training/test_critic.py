"""What a style network is trained against."""

import pytest
import torch
import torch.nn.functional as F
from small_networks import CONTENT_LAYERS, STYLE_LAYERS, picture, small_backbone, smooth_picture

from videostyle import Settings, Stylizer
from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import Objective
from videostyle.stylise.style_images import StyleImage
from videostyle.training.critic import COARSE, Critic

SETTINGS = Settings(content_layers=CONTENT_LAYERS, style_layers=STYLE_LAYERS, precision="fp32", device="cpu")
RED = torch.tensor([0.9, 0.2, 0.1]).view(1, 3, 1, 1)


def critic(*styles: StyleImage | torch.Tensor) -> Critic:
    images = [s if isinstance(s, StyleImage) else StyleImage(s) for s in styles]
    return Critic(Stylizer(images, SETTINGS, backbone=small_backbone()), 64)


def test_the_first_loss_is_the_unit():
    made, frame = critic(picture(64, 64)), smooth_picture(48, 48)
    objective, gradient = made(frame, frame, 0)
    assert objective == pytest.approx(1) and gradient.shape == frame.shape
    other, _ = made(frame, smooth_picture(48, 48, seed=3), 0)
    assert other != pytest.approx(1)


def test_content_counts_for_more_as_the_steps_go_by():
    made, frame, painted = critic(picture(64, 64)), smooth_picture(48, 48), smooth_picture(48, 48, seed=3)
    objectives = [made(frame, painted, steps)[0] for steps in (0, 250, 400, 625, 2000)]
    first, *_, last = objectives
    assert objectives[1] == pytest.approx(first) and objectives[3] == pytest.approx(last)
    assert first < objectives[2] < last


def test_the_style_is_also_asked_for_at_a_smaller_size():
    made, painted = critic(picture(64, 64)), smooth_picture(48, 48)
    gradient = made._of_coarse(painted)
    weights, extractor = made._style_only, made._extractor

    def loss(x: torch.Tensor) -> float:
        small = F.avg_pool2d(x, COARSE).contiguous()
        return Objective(extractor, ContentTarget.of({}), made._coarse, weights).value(small).total.item()

    way = gradient / gradient.norm()
    step = 1e-3
    slope = (loss(painted + step * way) - loss(painted - step * way)) / (2 * step)
    assert slope == pytest.approx(gradient.norm().item(), rel=0.05)


def test_colours_go_to_the_paintings():
    made = critic((RED + 0.05 * (picture(64, 64) - 0.5)).clamp(0, 1))
    torch.manual_seed(0)
    x = smooth_picture(48, 64)
    before = (x.mean((2, 3)) - RED[..., 0, 0]).abs().max()
    for _ in range(60):
        gradient = made._of_colours(x)
        x = x - 20.0 * gradient / gradient.norm() / 20
    assert (x.mean((2, 3)) - RED[..., 0, 0]).abs().max() < 0.2 * before


def test_the_colours_of_several_styles_are_weighed():
    flat = [colour.expand(1, 3, 64, 64).contiguous() for colour in (RED, 1 - RED)]
    x = torch.full((1, 3, 48, 48), 0.5)
    torch.manual_seed(1)
    gradient = critic(StyleImage(flat[0], 0.9), StyleImage(flat[1], 0.1))._of_colours(x).mean((2, 3))
    assert torch.equal(gradient < 0, RED[..., 0, 0] > 0.5)  # towards the heavier one
    torch.manual_seed(1)
    back = critic(StyleImage(flat[0], 0.1), StyleImage(flat[1], 0.9))._of_colours(x).mean((2, 3))
    torch.testing.assert_close(back, -gradient, rtol=1e-3, atol=1e-7)
