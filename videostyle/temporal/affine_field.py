"""Displacements continued from where they are known to where they are not, by an affine field and its error near by."""

import torch

from videostyle.temporal import box_filter
from videostyle.temporal.scales import PATCH_PX

Box = tuple[slice, slice]  # rows and columns of a part of the picture


def smooth(x: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean with a window like a pyramid, of twice the radius."""
    return box_filter.mean(box_filter.mean(x, radius), radius)


def continued(
    field: torch.Tensor, weight: torch.Tensor, width: int, box: Box, before: torch.Tensor, inertia: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(``field`` (1, 2, h, w), continued from where ``weight`` is 1 to where it is 0; the continuation's coefficients).

    By an affine field, and what that leaves near by. ``before``: coefficients (3, 2) that count like ``inertia``
    pixels over an eighth of the picture's ``width``.
    """
    places = _places(width, box).flatten(1)
    weights = weight.flatten()
    moments = (places * weights) @ places.T
    centre = moments[0] / moments[0, 0].clamp_min(1e-9)
    about = torch.eye(3)
    about[1:, 0] = centre[1:]
    prior = inertia * about @ torch.diag(torch.tensor([1, 1 / 64, 1 / 64])) @ about.T
    aims = (places * weights) @ field.flatten(2)[0].T
    found = torch.linalg.solve(moments + prior + 1e-9 * torch.eye(3), aims + prior @ before)
    affine = affine_field(found, width, box)
    left = field - affine
    total = smooth(torch.cat((left * weight, weight), 1), PATCH_PX)
    near = total[:, :2] / (total[:, 2:] + 1e-2)
    return affine + torch.lerp(near, left, weight.clamp(0, 1)), found


def _places(width: int, box: Box) -> torch.Tensor:
    """(3, h, w): 1 and the pixels' x and y, in picture widths."""
    y, x = (torch.arange(float(side.start), side.stop) / width for side in box)
    return torch.stack((torch.ones(len(y), len(x)), x.expand(len(y), -1), y[:, None].expand(-1, len(x))))


def affine_field(coefficients: torch.Tensor, width: int, box: Box) -> torch.Tensor:
    return torch.einsum("kc,khw->chw", coefficients, _places(width, box))[None]
