"""Octaves of a picture."""

import torch

from videostyle.optimise.octaves import enlarged, halved


def test_octaves_keep_what_is_flat_and_where_things_are():
    assert torch.allclose(halved(torch.full((1, 3, 9, 12), 0.3)), torch.full((1, 3, 4, 6), 0.3))
    ramp = torch.linspace(0, 1, 32).expand(1, 3, 32, 32).contiguous()
    middle = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(
        enlarged(halved(ramp), 32, 32)[middle], ramp[middle], atol=5e-3, rtol=0
    )  # half a pixel is 0.016
