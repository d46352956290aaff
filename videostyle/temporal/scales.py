"""The scales that the temporal part measures by. Every tuned number of it stands in docs/temporal.md."""

import torch

# Standard deviation of a source's noise, of [0, 1].
NOISE = 1.9 / 255
# Motion that DIS finds where nothing moves, in pixels.
FLOW_NOISE_PX = 2.0
# DIS's own patch, in pixels a side (Kroeger et al. 2016).
PATCH_PX = 8
# What is near a pixel, on either side. Twice as much repaints the wall behind someone who moves.
NEAR_PX = 2
# Half the width of a brush stroke, as a share of the picture's longer side.
STROKE_RADIUS = 1 / 64


def stroke_radius_px(picture: torch.Tensor) -> int:
    """Half the width of a brush stroke in a picture (N, C, H, W), in pixels."""
    return max(1, round(max(picture.shape[2:]) * STROKE_RADIUS))
