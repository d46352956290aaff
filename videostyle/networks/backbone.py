"""Networks as data: a chain of named convolutions with the preprocessing folded in, and what their features mean.

A layer's name, as ``conv4_2``, means its output after the ReLU. A backbone takes RGB in [0, 1]: the preprocessing of
its weights is folded into the first convolution, which is exact because the border of the picture is repeated there.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import torch
import torch.nn.functional as F

from videostyle.errors import UsageError

# name -> (index in torchvision's `features`, input channels, output channels); a new block begins with a 2x2 pooling.
VGG19_LAYERS: Mapping[str, tuple[int, int, int]] = {
    "conv1_1": (0, 3, 64),
    "conv1_2": (2, 64, 64),
    "conv2_1": (5, 64, 128),
    "conv2_2": (7, 128, 128),
    "conv3_1": (10, 128, 256),
    "conv3_2": (12, 256, 256),
    "conv3_3": (14, 256, 256),
    "conv3_4": (16, 256, 256),
    "conv4_1": (19, 256, 512),
    "conv4_2": (21, 512, 512),
    "conv4_3": (23, 512, 512),
    "conv4_4": (25, 512, 512),
    "conv5_1": (28, 512, 512),
    "conv5_2": (30, 512, 512),
    "conv5_3": (32, 512, 512),
    "conv5_4": (34, 512, 512),
}
POOLINGS = ("max", "average")  # VGG-19 was trained with the first
# Mean activations of the original VGG-19 under max pooling over those under average pooling, on the pictures of
# `calibration`: divided by them, alpha and beta mean the same under both.
MAX_POOLING_GAINS: Mapping[str, float] = {
    "conv2_1": 1.162,
    "conv2_2": 1.124,
    "conv3_1": 1.494,
    "conv3_2": 1.714,
    "conv3_3": 1.718,
    "conv3_4": 1.804,
    "conv4_1": 2.266,
    "conv4_2": 2.341,
    "conv4_3": 2.300,
    "conv4_4": 2.485,
    "conv5_1": 4.719,
}


def layer_stride(name: str) -> int:
    """Pixels between neighbouring positions of a layer: conv1_* 1, conv2_* 2, ... conv5_* 16."""
    return 2 ** (int(name[4]) - 1)


@dataclass(frozen=True)
class Conv:
    """One 3x3 (or any odd) convolution followed by a ReLU. ``pool``: a 2x2 pooling comes before it."""

    name: str
    weight: torch.Tensor  # (out, in, k, k), float32
    bias: torch.Tensor  # (out,), float32
    pool: bool = False


@dataclass(frozen=True)
class LayerReference:
    """How a layer's features F relate to those of the original VGG-19 (Caffe weights, input 0-255).

    The losses are defined on the reference features ``scale * adapter @ F``. ``channels``: N_l of VGG-19.
    """

    channels: int
    scale: float = 1.0
    adapter: torch.Tensor | None = None  # (c, C) float32; None: the identity

    def metric(self) -> torch.Tensor | None:
        """Q with |scale * A F|^2 = scale^2 F' Q F: (C, C), or None for the identity."""
        return None if self.adapter is None else self.adapter.T @ self.adapter


@dataclass(frozen=True)
class Backbone:
    """A network for RGB in [0, 1]: its convolutions in order, and its layers that losses may use (``references``)."""

    name: str
    convs: tuple[Conv, ...]
    references: Mapping[str, LayerReference]
    sha256: str = ""
    # RGB mean, subtracted in float32: of the 8 bits of bf16 the mean would take most.
    centre: tuple[float, float, float] = (0.485, 0.456, 0.406)
    poolings: tuple[str, ...] = POOLINGS
    # By layer, what max pooling multiplies activations by; `pooled` takes it back.
    max_pooling_gains: Mapping[str, float] = field(default_factory=dict)
    target_evaluations: int = 60  # from the content; their loss is the target of a shot's later frames
    # Memory per pixel of a frame, by precision, in bytes: features, gradients, curvature pairs; measured on a CPU.
    bytes_per_pixel: Mapping[str, int] = field(default_factory=lambda: {"fp32": 4500, "bf16": 2600})
    embedded: bool = False  # shipped in the package, with a fixed list of layers

    def check(self, layers: Collection[str], pooling: str) -> None:
        """Raise UsageError, which says what to do, for layers and poolings that this network does not have."""
        unknown = [name for name in layers if name not in self.references]
        if unknown:
            elsewhere = self.embedded and all(name in VGG19_LAYERS for name in unknown)
            advice = "; use --backbone vgg19 for them" if elsewhere else ""
            raise UsageError(
                f"{self.name} has no layer {', '.join(unknown)}; it answers to {', '.join(self.references)}{advice}"
            )
        if pooling not in self.poolings:
            raise UsageError(
                f"{self.name} works with {' or '.join(self.poolings)} pooling, not {pooling}; use --backbone vgg19"
            )

    def pooled(self, pooling: str) -> Self:
        """The same with the scales that its features have under ``pooling``."""
        gains = self.max_pooling_gains if pooling == "max" else {}
        references = {n: replace(v, scale=v.scale / gains.get(n, 1.0)) for n, v in self.references.items()}
        return replace(self, references=references, max_pooling_gains={})

    def nearest_pooling(self, wanted: str) -> str:
        """``wanted``, or what this network has instead."""
        return wanted if wanted in self.poolings else self.poolings[0]

    def features(self, x: torch.Tensor, layers: Collection[str], pooling: str | None = None) -> dict[str, torch.Tensor]:
        """Reference features by layer name, (N, c, h, w): the plain, differentiable definition.

        ``x``: (N, 3, H, W), RGB in [0, 1]. ``pooling``: by default the network's first. FeatureExtractor computes F
        itself, faster and without autograd.
        """
        pooling = pooling or self.poolings[0]
        self.check(layers, pooling)
        pool = F.avg_pool2d if pooling == "average" else F.max_pool2d
        references, wanted, found = self.pooled(pooling).references, set(layers), {}
        h = x - torch.tensor(self.centre, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
        for i, conv in enumerate(self.convs):
            if conv.pool:
                h = pool(h, 2)
            pad = conv.weight.shape[-1] // 2
            if i == 0:
                h, pad = F.pad(h, (pad,) * 4, mode="replicate"), 0
            h = F.relu(F.conv2d(h, conv.weight.to(h), conv.bias.to(h), padding=pad))
            if conv.name in wanted:
                reference = references[conv.name]
                adapter = reference.adapter
                adapted = h if adapter is None else torch.einsum("oc,nchw->nohw", adapter.to(h), h)
                found[conv.name] = adapted * reference.scale
            if len(found) == len(wanted):
                break
        return found


def vgg19(
    weights: Mapping[str, torch.Tensor], *, name: str = "vgg19", preprocessing: str, sha256: str = ""
) -> Backbone:
    """VGG-19's convolutions, from the first to the last that is there, of a state dict in torchvision's numbering.

    ``preprocessing``: what these weights expect, a name from ``PREPROCESSING``. All scales are 1 (see `calibration`).
    """
    convs: list[Conv] = []
    previous = "1"
    for layer, (index, _, _) in VGG19_LAYERS.items():
        if f"features.{index}.weight" not in weights:
            break
        weight = weights[f"features.{index}.weight"].float()
        bias = weights[f"features.{index}.bias"].float()
        if not convs:
            weight, bias = PREPROCESSING[preprocessing](weight, bias)
        convs.append(Conv(layer, weight, bias, pool=layer[4] != previous))
        previous = layer[4]
    references = {conv.name: LayerReference(channels=VGG19_LAYERS[conv.name][2]) for conv in convs}
    return Backbone(
        name=name, convs=tuple(convs), references=references, sha256=sha256, max_pooling_gains=MAX_POOLING_GAINS
    )


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def _fold_rgb_unit(weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(x - mean) / std: ``Backbone.centre`` is the same mean, so only the deviation is folded."""
    return weight / torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), bias


def _fold_bgr_bytes(weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """255 x in BGR, minus the Caffe mean, in terms of RGB x in [0, 1] minus ``Backbone.centre``."""
    rgb = weight.flip(1)
    offset = 255 * torch.tensor(IMAGENET_MEAN) - torch.tensor(CAFFE_MEAN_BGR).flip(0)
    return rgb * 255, bias + torch.einsum("oikl,i->o", rgb, offset)


# What weights expect as input, by the name in their file's metadata.
PREPROCESSING = {"rgb-0-1-imagenet-mean-std": _fold_rgb_unit, "bgr-0-255-caffe-mean": _fold_bgr_bytes}
