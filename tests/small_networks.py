"""Small networks with VGG-19's shape and layer names for tests: offline, deterministic, fast."""

import math

import torch

from videostyle.networks.backbone import VGG19_LAYERS, Backbone, Conv, LayerReference
from videostyle.temporal.warp import Warp

WIDTHS = {"1": 6, "2": 8, "3": 10, "4": 12, "5": 12}  # channels by block
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CONTENT_LAYERS = ("conv4_2",)


def small_backbone(
    seed: int = 0,
    *,
    deepest: str = "conv5_1",
    scale: float = 1.0,
    adapters: bool = False,
    poolings: tuple[str, ...] = ("average", "max"),
    name: str = "small",
) -> Backbone:
    """A chain like VGG-19's with few channels and random weights (He's initialisation), up to ``deepest``.

    ``scale``: every layer's nominal scale. ``adapters``: a random nominal adapter that drops one channel on each layer.
    """
    generator = torch.Generator().manual_seed(seed)
    convs, references, inputs, block = [], {}, 3, "1"
    for layer in VGG19_LAYERS:
        outputs = WIDTHS[layer[4]]
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator) * math.sqrt(2 / (9 * inputs))
        bias = 0.1 * torch.randn(outputs, generator=generator)
        convs.append(Conv(layer, weight, bias, pool=layer[4] != block))
        # float64, so that A'A is exact enough for comparisons in float64
        drawn = torch.randn(outputs - 1, outputs, generator=generator, dtype=torch.float64) / math.sqrt(outputs)
        adapter = drawn if adapters else None
        references[layer] = LayerReference(channels=outputs, scale=scale, adapter=adapter)
        inputs, block = outputs, layer[4]
        if layer == deepest:
            break
    return Backbone(name=name, convs=tuple(convs), references=references, poolings=poolings)


def pixel_backbone() -> Backbone:
    """One layer, conv1_1, that copies its input: the features are relu(x), so x is the layer's pre-activation."""
    conv = Conv("conv1_1", torch.eye(3).view(3, 3, 1, 1), torch.zeros(3))
    return Backbone("pixels", (conv,), {"conv1_1": LayerReference(channels=3)}, centre=(0.0, 0.0, 0.0))


def picture(
    height: int, width: int, *, seed: int = 0, count: int = 1, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Noise in [0, 1], (count, 3, height, width)."""
    generator = torch.Generator().manual_seed(1000 + seed)
    return torch.rand(count, 3, height, width, generator=generator, dtype=dtype)


def smooth_picture(height: int, width: int, *, seed: int = 0) -> torch.Tensor:
    """A few broad waves of colour, (1, 3, height, width) float32 in [0, 1]: the same scene at every size."""
    generator = torch.Generator().manual_seed(2000 + seed)
    ys = ((torch.arange(height) + 0.5) / height).view(-1, 1)
    xs = (torch.arange(width) + 0.5) / width
    waves = torch.zeros(3, height, width)
    for _ in range(6):
        fx, fy = (torch.rand(2, generator=generator) * 4 - 2).tolist()
        phase = torch.rand(3, 1, 1, generator=generator) * math.tau
        waves += torch.cos(math.tau * (fx * xs + fy * ys) + phase) / 6
    return (0.5 + 0.5 * waves)[None].clamp(0, 1)


def known_warp(flow: torch.Tensor, mask: torch.Tensor | None = None) -> Warp:
    """A warp whose two masks are the same, by default 1 everywhere."""
    mask = torch.ones_like(flow[:, :1]) if mask is None else mask
    return Warp(flow, mask, mask)
