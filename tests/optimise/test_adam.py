"""Adam behind the stepper's interface: torch's own, on a picture that the caller may project."""

import torch

from videostyle.optimise.adam import Adam


def gradient(x):
    return 2 * (x - 0.7)


def test_equals_torchs_adam():
    x = torch.rand(1, 3, 4, 5)
    parameter = torch.nn.Parameter(x.clone())
    theirs = torch.optim.Adam([parameter], lr=0.05, betas=(0.9, 0.99))
    ours = Adam(0.05)
    for _ in range(6):
        parameter.grad = gradient(parameter.detach())
        theirs.step()
        x = ours.step(x, gradient(x))
        assert torch.equal(x, parameter.detach())


def test_the_first_step_is_the_learning_rate_everywhere():
    x = torch.full((1, 3, 4, 5), 0.5)
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).sign() * 0.5  # of one size: no rounding
    torch.testing.assert_close(Adam(0.05).step(x, g), x - 0.05 * g.sign(), rtol=0, atol=1e-5)


def test_goes_on_from_the_projected_picture():
    adam, x = Adam(0.05), torch.full((1, 3, 4, 5), 0.01)
    up = torch.ones_like(x)
    first = adam.step(x, up)
    assert (first < 0).all()
    second = adam.step(first.clamp(0, 1), up)
    torch.testing.assert_close(second, torch.full_like(x, -0.05), rtol=0, atol=1e-5)


def test_returns_pictures_of_their_own():
    adam, x = Adam(0.05), torch.rand(1, 3, 4, 5)
    first = adam.step(x, gradient(x))
    kept = first.clone()
    adam.step(first, gradient(first))
    assert torch.equal(first, kept)
