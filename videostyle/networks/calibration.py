"""One activation scale for all weights, so that alpha/beta means the same with each.

Activations of VGG-19's published weights differ by factors of up to 100, and the balance of content and style goes with
the square of the factor. Weights other than the original's (Caffe, input 0-255) get one factor per layer, which brings
their mean activation over fixed generated pictures to the original's.
"""

import math
from dataclasses import replace

import torch

from videostyle.errors import WeightsError
from videostyle.networks.backbone import Backbone

# ``mean_activations`` of the original VGG-19 (refolded to torchvision's input, same scale); not known after conv5_1.
ORIGINAL_MEANS: dict[str, float] = {
    "conv1_1": 22.64,
    "conv1_2": 103.07,
    "conv2_1": 106.68,
    "conv2_2": 117.93,
    "conv3_1": 92.991,
    "conv3_2": 113.35,
    "conv3_3": 258.96,
    "conv3_4": 380.54,
    "conv4_1": 288.35,
    "conv4_2": 197.46,
    "conv4_3": 123.72,
    "conv4_4": 27.111,
    "conv5_1": 14.941,
}
SIDE = 128


def calibration_pictures() -> torch.Tensor:
    """Four generated pictures, (4, 3, 128, 128) float32 in [0, 1], like photographs in spectrum, edges and colours.

    Waves whose amplitude falls as 1/f^0.8, with discs in front. No random numbers: they may differ between versions.
    """
    ys, xs = torch.meshgrid(torch.linspace(0, 1, SIDE), torch.linspace(0, 1, SIDE), indexing="ij")
    return torch.stack([_picture(i, xs, ys) for i in range(4)])


def _picture(index: int, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
    golden = (math.sqrt(5) - 1) / 2
    picture = torch.full((3, SIDE, SIDE), 0.45)
    for k in range(48):
        number = 48 * index + k + 1
        angle, phase = math.tau * (number * golden % 1), math.tau * (number * math.sqrt(2) % 1)
        frequency = 1.25 ** (k / 2.4)  # 1 to about 90 waves across
        wave = torch.cos(math.tau * frequency * (xs * math.cos(angle) + ys * math.sin(angle)) + phase)
        colour = torch.tensor([1.0, math.cos(phase), math.sin(phase)])  # mostly grey, as in photographs
        rgb = colour[0] + 0.35 * torch.stack((colour[1], -(colour[1] + colour[2]) / 2, colour[2]))
        picture += 0.16 / frequency**0.8 * rgb.view(3, 1, 1) * wave
    for k in range(6):
        number = 6 * index + k + 1
        x, y, r = number * golden % 1, number * math.sqrt(3) % 1, 0.06 + 0.12 * (number * math.sqrt(7) % 1)
        disc = (xs - x).square() + (ys - y).square() < r * r
        colour = torch.tensor([number * math.sqrt(p) % 1 for p in (5, 11, 13)])
        picture = torch.where(disc, 0.3 * picture + 0.7 * colour.view(3, 1, 1), picture)
    return picture.clamp(0, 1)


@torch.no_grad()
def mean_activations(backbone: Backbone, pooling: str = "average") -> dict[str, float]:
    """Mean activation of every layer over the calibration pictures (float32, no scale applied)."""
    references = {n: replace(v, scale=1.0) for n, v in backbone.references.items()}
    plain = replace(backbone, references=references, max_pooling_gains={})
    features = plain.features(calibration_pictures(), list(references), pooling)
    return {name: f.mean().item() for name, f in features.items()}


def calibrated(backbone: Backbone) -> Backbone:
    """The backbone with each layer's mean activation scaled to the original's; layers of unknown mean are left out.

    Raises WeightsError where the mean activation of a layer is zero or not finite.
    """
    means = mean_activations(backbone)
    silent = [name for name, mean in means.items() if not 0 < mean < math.inf]
    if silent:
        raise WeightsError(
            f"{backbone.name}: {silent[0]} is silent or overflows on ordinary pictures; these are no trained weights"
        )
    references = {
        n: replace(v, scale=ORIGINAL_MEANS[n] / means[n]) for n, v in backbone.references.items() if n in ORIGINAL_MEANS
    }
    return replace(backbone, references=references)
