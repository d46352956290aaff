"""The losses as pure functions of features: the reference that the fast path is tested against.

Source: Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016. Departures, each
marked below, make a weight mean the same at every picture size; at 512 x 512, for picture and style picture, nothing
differs from the paper's formulas.

F, P: features of the picture and of the content, (N, C, H, W), after the ReLU. M = H * W positions. N_l: channels of
VGG-19's layer, also for a smaller network behind the same layer name.
"""

from functools import cache

import torch

# The picture size, in pixels a side, at which the content loss is the paper's own sum.
REFERENCE_SIDE = 512


def reference_positions(stride: int) -> float:
    """M_ref: how many positions a layer of this stride has on a picture of 512 x 512."""
    return (REFERENCE_SIDE / stride) ** 2


def content_loss(features: torch.Tensor, target: torch.Tensor, stride: int) -> torch.Tensor:
    """1/2 sum (F - P)^2 (Gatys eq. 1), per sample: (N, C, H, W) twice -> (N,).

    Departure: times M_ref / M, so that the sum over positions does not grow with the picture.
    """
    positions = features.shape[2] * features.shape[3]
    return 0.5 * (features - target).square().sum((1, 2, 3)) * (reference_positions(stride) / positions)


def gram(features: torch.Tensor) -> torch.Tensor:
    """G_ij = sum_k F_ik F_jk (Gatys eq. 3), per sample: (N, C, H, W) -> (N, C, C).

    Departure: divided by the M positions, so that pictures of different sizes can be compared.
    """
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def style_loss(gram_: torch.Tensor, target: torch.Tensor, nominal_channels: int) -> torch.Tensor:
    """E_l = 1/(4 N_l^2) sum (G / M_x - A / M_a)^2 (Gatys eq. 4): (N, C, C) and (N or 1, C, C) -> (N,).

    Departure: each Gram matrix has its own M; where both have the same, this is the paper's formula.
    """
    return (gram_ - target).square().sum((1, 2)) / (4 * nominal_channels**2)


def total_variation(x: torch.Tensor) -> torch.Tensor:
    """Sum of squared differences of neighbouring pixels (Mahendran and Vedaldi 2015, beta = 2): (N, 3, H, W) -> (N,).

    Departure: times 512^2 / (H W), as for the content.
    """
    across = (x[..., :, 1:] - x[..., :, :-1]).square().sum((1, 2, 3))
    down = (x[..., 1:, :] - x[..., :-1, :]).square().sum((1, 2, 3))
    return (across + down) * (reference_positions(1) / (x.shape[2] * x.shape[3]))


def total_variation_gradient(x: torch.Tensor) -> torch.Tensor:
    """Gradient of ``total_variation``, (N, 3, H, W)."""
    g = torch.zeros_like(x)
    across, down = x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]
    g[..., :, 1:] += across
    g[..., :, :-1] -= across
    g[..., 1:, :] += down
    g[..., :-1, :] -= down
    return g.mul_(2 * reference_positions(1) / (x.shape[2] * x.shape[3]))


# Orthonormal axes of opponent colours, by row: brightness, red against blue, green against both.
OPPONENT = ((3**-0.5, 3**-0.5, 3**-0.5), (2**-0.5, 0.0, -(2**-0.5)), (6**-0.5, -2 * 6**-0.5, 6**-0.5))


def opponent(x: torch.Tensor) -> torch.Tensor:
    """``x`` (N, 3, H, W) in RGB as brightness and two differences of colour, of the same shape."""
    return torch.einsum("ij,njhw->nihw", _axes(x.dtype, x.device), x)


def from_opponent(x: torch.Tensor) -> torch.Tensor:
    """`opponent` undone."""
    return torch.einsum("ij,nihw->njhw", _axes(x.dtype, x.device), x)


@cache  # a recorded CUDA graph may not copy from the host
def _axes(dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.tensor(OPPONENT, dtype=dtype, device=device)


def grain(x: torch.Tensor) -> torch.Tensor:
    """Mean squared differences of neighbouring pixels, by opponent colour: (N, 3, H, W) -> (N, 3)."""
    colours = opponent(x)
    across = (colours[..., :, 1:] - colours[..., :, :-1]).square().sum((2, 3))
    down = (colours[..., 1:, :] - colours[..., :-1, :]).square().sum((2, 3))
    return (across + down) / (x.shape[2] * x.shape[3])


def grain_loss(grain_: torch.Tensor, most: torch.Tensor) -> torch.Tensor:
    """Squared logarithms of how often ``most`` the grain is, 0 where it is less: (N, 3) and (N or 1, 3) -> (N,)."""
    return (grain_ / most).log().clamp_min(0).square().sum(1)


def temporal_loss(x: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over pixels of c (x - warp(x_prev))^2 (Ruder et al. 2016, eq. 7), per sample: -> (N,).

    ``x``, ``target``: (N, 3, H, W) in [0, 1]; ``mask`` c: (N, 1, H, W), 1 where the warp is trusted. The mean runs over
    all D = 3 H W values, trusted or not, as in the paper. Departure: pixels in [0, 1], not 0-255.
    """
    return (mask * (x - target).square()).mean((1, 2, 3))


def colour_loss(x: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Squared distance of the mean colour of ``x`` (N, 3, H, W) from the range ``low`` to ``high``: -> (N,).

    The mean of three channels. ``low``, ``high``: (N or 1, 3, 1, 1).
    """
    return outside(x.mean((2, 3), keepdim=True), low, high).square().mean((1, 2, 3))


def outside(x: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """How far ``x`` lies beyond ``low`` (negative) or ``high``; 0 between them."""
    return x - torch.minimum(torch.maximum(x, low), high)
