"""What comes into view begins in the colours that things of its kind have beside it."""

import pytest
import torch
from small_networks import picture, smooth_picture

from videostyle.temporal.colour import like_neighbours

SIZE = 64, 96


def strip() -> torch.Tensor:
    """Visible but for eight columns."""
    visible = torch.ones(1, 1, *SIZE)
    visible[..., 40:48] = 0
    return visible


def two_things() -> tuple[torch.Tensor, torch.Tensor]:
    """A dark thing below a light one, and how they are painted: blue and yellow."""
    content = 0.3 + 0.03 * picture(*SIZE)
    content[:, :, :32] += 0.4
    painted = torch.zeros_like(content)
    painted[:, 2:, 32:], painted[:, :2, :32] = 0.7, 0.8
    return content, painted


def test_each_thing_takes_the_colours_of_its_own_kind():
    content, painted = two_things()
    brown = torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1).expand_as(content)
    found = like_neighbours(brown, content, painted, strip())
    hidden = (found - painted)[..., 40:48].abs()
    assert hidden[:, :, :28].max() < 0.1 and hidden[:, :, 36:].max() < 0.1
    assert (brown - painted)[..., 40:48].abs().mean() > 0.3


def test_what_is_hidden_does_not_count():
    content, painted = two_things()
    guess, visible = smooth_picture(*SIZE), strip()
    other = torch.where(visible > 0, painted, picture(*SIZE, seed=3))
    one, two = (like_neighbours(guess, content, paint, visible) for paint in (painted, other))
    assert torch.equal(one, two)


def test_a_guess_that_is_right_stays():
    content = smooth_picture(*SIZE)
    torch.testing.assert_close(like_neighbours(content, content, content, strip()), content, rtol=0, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_a_guess_without_neighbours_stays(share):
    visible = torch.zeros(1, 1, *SIZE)
    visible[..., : round(share * SIZE[1])] = 1
    guess = smooth_picture(*SIZE)
    found = like_neighbours(guess, smooth_picture(*SIZE, seed=2), torch.zeros_like(guess), visible)
    assert torch.equal(found[..., 40:], guess[..., 40:])
