"""Grain: changes from pixel to pixel, by opponent colour."""

import torch
from small_networks import picture

from videostyle.losses import formulas
from videostyle.losses.pixel_losses import GrainPrior

DOUBLE = torch.float64


def test_grain_beyond_the_styles_own_is_punished():
    x = picture(9, 11, count=2, dtype=DOUBLE).requires_grad_()
    most = torch.tensor([[0.1, 0.5, 0.01]], dtype=DOUBLE)  # less, more and less than the picture's
    prior, g = GrainPrior(3.0, most), torch.zeros_like(x)
    there = formulas.grain(x)
    assert torch.equal(there > most, torch.tensor([[True, False, True]] * 2))
    torch.testing.assert_close(prior.value(x), (there / most)[:, [0, 2]].log().square().sum(1))
    (3.0 * prior.value(x)).sum().backward()
    prior.add_gradient(x.detach(), g)
    torch.testing.assert_close(g, x.grad)
    assert GrainPrior(1.0, torch.ones(1, 3)).value(torch.full((1, 3, 8, 8), 0.5)).item() == 0


def test_opponent_colours_are_turned_back():
    x = picture(5, 6, dtype=DOUBLE)
    torch.testing.assert_close(formulas.from_opponent(formulas.opponent(x)), x)
    assert formulas.opponent(torch.full((1, 3, 2, 2), 0.5))[:, 1:].abs().max() < 1e-7  # grey has no colour
