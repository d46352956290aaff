"""The colours of one picture on the forms of another, in CIELAB (CIE 15:2004, D65)."""

import torch

# Linear sRGB to XYZ (IEC 61966-2-1), rows divided by the white point D65, so that white is (1, 1, 1).
TO_XYZ = (
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)
# XYZ to the axes L, a, b of their cube roots; L in [0, 100].
TO_LAB = ((0.0, 116.0, 0.0), (500.0, -500.0, 0.0), (0.0, 200.0, -200.0))
# CIE: below this share of white a straight line stands for the cube root.
LINEAR_BELOW, SLOPE, LIFT = (6 / 29) ** 3, (29 / 6) ** 2 / 3, 4 / 29


def with_colours_of(picture: torch.Tensor, source: torch.Tensor, share: float) -> torch.Tensor:
    """``picture`` in the hue and chroma of ``source``, by so much ``share`` in [0, 1], with its own lightness.

    Both (1, 3, H, W) sRGB in [0, 1]. A colour that the lightness does not allow is as near as sRGB comes.
    """
    own, theirs = to_lab(picture), to_lab(source)
    mixed = torch.cat((own[:, :1], torch.lerp(own[:, 1:], theirs[:, 1:], share)), 1)
    return from_lab(mixed).clamp(0, 1)


def to_lab(rgb: torch.Tensor) -> torch.Tensor:
    """sRGB in [0, 1] to CIELAB, (N, 3, H, W)."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = _times(TO_XYZ, linear)
    roots = torch.where(xyz > LINEAR_BELOW, xyz.clamp_min(LINEAR_BELOW) ** (1 / 3), SLOPE * xyz + LIFT)
    return _times(TO_LAB, roots) - _lift(roots)


def from_lab(lab: torch.Tensor) -> torch.Tensor:
    """`to_lab` undone; outside [0, 1] where sRGB has no such colour."""
    roots = _times(torch.tensor(TO_LAB, dtype=torch.float64).inverse().tolist(), lab + _lift(lab))
    xyz = torch.where(roots > 6 / 29, roots**3, (roots - LIFT) / SLOPE)
    linear = _times(torch.tensor(TO_XYZ, dtype=torch.float64).inverse().tolist(), xyz)
    curved = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curved)


def _lift(like: torch.Tensor) -> torch.Tensor:
    return like.new_tensor((16.0, 0.0, 0.0)).view(1, 3, 1, 1)


def _times(matrix: object, colours: torch.Tensor) -> torch.Tensor:
    return torch.einsum("ij,njhw->nihw", colours.new_tensor(matrix), colours)
