"""Networks as data: a chain of convolutions with names, the preprocessing folded in, and what their features mean.

Layer names mean the output after the ReLU, as in ``conv4_2``. A backbone takes RGB in [0, 1]; its weights' own
preprocessing (mean, deviation, channel order, range) is folded into the first convolution, which is exact because the
picture is padded by repeating its border there.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

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
POOLINGS = ("average", "max")


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
    """What a layer's features stand for: those of the original VGG-19 (Caffe weights, input 0-255).

    Nominal features are ``scale * adapter @ F``: the losses are defined on these. ``channels`` is N_l of VGG-19.
    ``smoothness``: the total variation that belongs to the layer's style loss. A network that sees less at the finest
    scale than the original has to be told of it, lest optimisers leave there what they like; 0 for the original.
    ``variation``: for the same reason, the weight of the ``divergence`` of the picture's total variation from the style
    picture's, beside the layer's style loss; 0 for the original.
    """

    channels: int
    scale: float = 1.0
    adapter: torch.Tensor | None = None  # (c, C) float32; None: the identity
    smoothness: float = 0.0
    variation: float = 0.0

    def metric(self) -> torch.Tensor | None:
        """Q with |scale * A F|^2 = scale^2 F' Q F: (C, C), or None for the identity."""
        return None if self.adapter is None else self.adapter.T @ self.adapter


@dataclass(frozen=True)
class Backbone:
    """A network for RGB in [0, 1]: its convolutions in order, and the layers that it answers to."""

    name: str
    convs: tuple[Conv, ...]
    references: Mapping[str, LayerReference]
    sha256: str = ""
    # Subtracted in float32 before anything is rounded: bf16 has 8 bits, and most of them would go on the mean.
    centre: tuple[float, float, float] = (0.485, 0.456, 0.406)
    poolings: tuple[str, ...] = POOLINGS
    notices: tuple[str, ...] = field(default=())
    # Evaluations from the content after which a picture counts as good enough: what a shot's frames are taken to.
    target_evaluations: int = 60
    embedded: bool = False  # it travels in the package and answers to a fixed list of layers

    def check(self, layers: Collection[str], pooling: str) -> None:
        """Refuse layers and poolings that this network does not answer to, with a UsageError that says what to do."""
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

    def features(self, x: torch.Tensor, layers: Collection[str], pooling: str = "average") -> dict[str, torch.Tensor]:
        """Nominal features by layer name, (N, c, h, w): the plain, differentiable definition.

        ``x``: (N, 3, H, W), RGB in [0, 1]. The trunk computes the same, faster and without autograd.
        """
        self.check(layers, pooling)
        pool = F.avg_pool2d if pooling == "average" else F.max_pool2d
        wanted, found = set(layers), {}
        h = x - torch.tensor(self.centre, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
        for i, conv in enumerate(self.convs):
            if conv.pool:
                h = pool(h, 2)
            pad = conv.weight.shape[-1] // 2
            if i == 0:
                h, pad = F.pad(h, (pad,) * 4, mode="replicate"), 0
            h = F.relu(F.conv2d(h, conv.weight.to(h), conv.bias.to(h), padding=pad))
            if conv.name in wanted:
                found[conv.name] = self._nominal(conv.name, h)
            if len(found) == len(wanted):
                break
        return found

    def _nominal(self, name: str, h: torch.Tensor) -> torch.Tensor:
        references = self.references[name]
        if references.adapter is not None:
            h = torch.einsum("oc,nchw->nohw", references.adapter.to(h), h)
        return h * references.scale


def vgg19(
    weights: Mapping[str, torch.Tensor], *, name: str = "vgg19", preprocessing: str, sha256: str = ""
) -> Backbone:
    """VGG-19's convolutions from a state dict in torchvision's numbering (``features.N.weight``), as far as they go.

    ``preprocessing``: what these weights expect, a name from ``PREPROCESSING``; folded into the first convolution.
    Activation scales are not set here: see ``calibration.calibrated``.
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
    return Backbone(name=name, convs=tuple(convs), references=references, sha256=sha256)


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def _fold_rgb_unit(weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(x - mean) / std: the trunk subtracts the same mean (``Backbone.centre``), so only the deviation is folded."""
    return weight / torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), bias


def _fold_bgr_bytes(weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """255 x in BGR, minus the Caffe mean, in terms of RGB x in [0, 1] minus ``Backbone.centre``."""
    rgb = weight.flip(1)
    offset = 255 * torch.tensor(IMAGENET_MEAN) - torch.tensor(CAFFE_MEAN_BGR).flip(0)
    return rgb * 255, bias + torch.einsum("oikl,i->o", rgb, offset)


# What a file's weights expect as input; the names are those found in files' metadata.
PREPROCESSING = {"rgb-0-1-imagenet-mean-std": _fold_rgb_unit, "bgr-0-255-caffe-mean": _fold_bgr_bytes}
