"""The network in training: a chain as ``Backbone`` runs it, a linear adapter per layer, and its objective's gradient.

PyTorch's own double backward of a convolution forms the weight gradient with kernels as large as the picture, which no
CPU library is made for. Here the gradient of the objective with respect to the picture is itself written as a chain of
ordinary convolutions with flipped kernels, so that one ordinary ``backward`` goes through it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from videostyle.losses.formulas import reference_positions
from videostyle.losses.gram import SecondOrder
from videostyle.losses.layer_loss import Layer
from videostyle.losses.objective import LossWeights
from videostyle.losses.statistics import STATISTICS
from videostyle.networks.backbone import IMAGENET_MEAN, VGG19_LAYERS, Backbone, Conv, LayerReference, layer_stride
from videostyle.networks.compact import LAYERS


@dataclass(frozen=True)
class Plan:
    """One convolution of the network to be: its layer's name, output channels and kernel size."""

    name: str
    channels: int
    kernel: int = 3

    @classmethod
    def parse(cls, text: str) -> "tuple[Plan, ...]":
        """``"1_1:16 2_1:32:5"`` -> conv1_1 with 16 channels, conv2_1 with 32 channels and 5x5 kernels."""
        parts = [item.split(":") for item in text.split()]
        return tuple(cls("conv" + p[0], int(p[1]), int(p[2]) if len(p) > 2 else 3) for p in parts)


class Student(nn.Module):
    """Convolutions with ReLU and max pooling, and per tapped layer an adapter A (C of VGG-19, c)."""

    def __init__(self, backbone: Backbone, adapters: Mapping[str, torch.Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        self.names = [conv.name for conv in backbone.convs]
        self.pools = [conv.pool for conv in backbone.convs]
        self.weights = nn.ParameterList(conv.weight.clone() for conv in backbone.convs)
        self.biases = nn.ParameterList(conv.bias.clone() for conv in backbone.convs)
        self.adapters = nn.ParameterDict({name: a.clone() for name, a in adapters.items()})
        self.dtype = dtype
        self.centre: torch.Tensor
        self.register_buffer("centre", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor, upto: str | None = None) -> list[torch.Tensor]:
        """Outputs of every convolution, channels-last, for RGB (N, 3, H, W) with sides that are multiples of 16.

        Where the poolings found their maxima is kept for `input_gradient` of the same outputs.
        """
        outputs: list[torch.Tensor] = []
        self.maxima: dict[int, torch.Tensor] = {}
        h = x - self.centre
        for i, name in enumerate(self.names):
            weight = self.weights[i].to(self.dtype, memory_format=torch.channels_last)
            bias, radius = self.biases[i].to(self.dtype), weight.shape[-1] // 2
            if i == 0:
                h = F.pad(h, (radius,) * 4, mode="replicate").to(self.dtype, memory_format=torch.channels_last)
            elif self.pools[i]:
                h, self.maxima[i] = F.max_pool2d(h, 2, return_indices=True)
            h = F.relu(F.conv2d(h, weight, bias, padding=radius if i else 0))
            outputs.append(h)
            if name == upto:
                break
        return outputs

    def layers(self, outputs: list[torch.Tensor], names: Collection[str]) -> dict[str, torch.Tensor]:
        """The outputs of some layers by name."""
        return {name: out for name, out in zip(self.names, outputs, strict=False) if name in names}

    def input_gradient(
        self, outputs: list[torch.Tensor], maxima: Mapping[int, torch.Tensor], taps: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """Gradient with respect to the picture, (N, 3, H, W) float32, from gradients (N, c, h, w) at layers.

        Differentiable with respect to weights, outputs and taps; the ReLUs' masks and ``maxima`` are constants.
        """
        g: torch.Tensor | None = None
        for i in range(len(outputs) - 1, -1, -1):
            tap = taps.get(self.names[i])
            if tap is not None:
                g = tap if g is None else g + tap
            if g is None:
                continue
            g = g * (outputs[i] > 0)
            back = self.weights[i].flip(2, 3).transpose(0, 1).to(self.dtype, memory_format=torch.channels_last)
            radius = back.shape[-1] // 2
            g = F.conv2d(g, back, padding=radius if i else 2 * radius)
            if self.pools[i]:
                g = F.max_unpool2d(g, maxima[i], [2, 2])
        assert g is not None
        radius = self.weights[0].shape[-1] // 2
        return _fold(_fold(g.float(), radius, 2), radius, 3)

    def export(self, name: str = "compact") -> Backbone:
        """As the package runs it: A = Q R, and R alone measures what A does."""
        convs = tuple(
            Conv(n, w.detach().float().cpu().clone(), b.detach().float().cpu().clone(), p)
            for n, w, b, p in zip(self.names, self.weights, self.biases, self.pools, strict=True)
        )
        references = {
            layer: LayerReference(
                channels=VGG19_LAYERS[layer][2], adapter=_triangle(self.adapters[layer].detach().cpu())
            )
            for layer in LAYERS
        }
        return Backbone(name=name, convs=convs, references=references, poolings=("max",))

    def layer(self, name: str) -> Layer:
        """As losses see it, a constant."""
        adapter = self.adapters[name].detach()
        reference = LayerReference(channels=VGG19_LAYERS[name][2], adapter=_triangle(adapter))
        assert reference.adapter is not None
        return Layer(name, reference, (adapter.T @ adapter).to(adapter), reference.adapter.to(adapter))


def _triangle(adapter: torch.Tensor) -> torch.Tensor:
    """R of A = QR with a positive diagonal, from A'A in float64."""
    r = torch.linalg.qr(adapter.double(), mode="r").R
    return (r * torch.where(r.diagonal() < 0, -1.0, 1.0)[:, None]).float()


def _fold(g: torch.Tensor, radius: int, dim: int) -> torch.Tensor:
    """Adjoint of replicate padding along one side: the border's gradient belongs to the pixel it repeats."""
    n = g.shape[dim]
    first = g.narrow(dim, 0, radius + 1).sum(dim, keepdim=True)
    last = g.narrow(dim, n - radius - 1, radius + 1).sum(dim, keepdim=True)
    return torch.cat((first, g.narrow(dim, radius + 1, n - 2 * radius - 2), last), dim)


def second_order(features: torch.Tensor) -> SecondOrder:
    """As ``SecondOrder.of``, differentiable: the products themselves in the features' precision."""
    n, c, h, w = features.shape
    flat = features.permute(0, 2, 3, 1).reshape(n, h * w, c)
    slices = 16 if flat.dtype == torch.bfloat16 and h * w % 16 == 0 and h * w // 16 >= c else 1
    sliced = flat.reshape(n * slices, h * w // slices, c)
    gram = torch.bmm(sliced.transpose(1, 2), sliced).view(n, slices, c, c).float().sum(1) / (h * w)
    return SecondOrder(flat.float().mean(1), gram)


def cross(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean over the batch's positions of a b': (N, c, h, w) and (N, C, h, w) -> (c, C), float32."""
    flat_a = a.permute(0, 2, 3, 1).reshape(a.shape[0], -1, a.shape[1])
    flat_b = b.permute(0, 2, 3, 1).reshape(b.shape[0], -1, b.shape[1])
    return torch.bmm(flat_a.transpose(1, 2), flat_b).float().sum(0) / (flat_a.shape[0] * flat_a.shape[1])


def objective_taps(
    student: Student,
    features: Mapping[str, torch.Tensor],
    content: Mapping[str, torch.Tensor],
    style: Mapping[str, SecondOrder],
    weights: LossWeights,
    parts: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """The product's objective (``losses.objective``) as gradients at the layers.

    ``features``, ``content``: (N, c, h, w); ``style``: of (N, c). ``parts``: (N, 2), factors of alpha and beta.
    Differentiable with respect to features; how the slopes depend on them is left out.
    """
    taps: dict[str, torch.Tensor] = {}
    for name in weights.layers:
        f = features[name]
        n, c, h, w = f.shape
        flat = f.permute(0, 2, 3, 1).reshape(n, h * w, c)
        g = torch.zeros_like(flat)
        if name in weights.style_layers:
            with torch.no_grad():
                distance = STATISTICS[weights.statistic](student.layer(name), style[name], style[name])
                slope = distance(SecondOrder.of(f.detach()))[1]
                factor = parts[:, 1] * weights.style / (len(weights.style_layers) * h * w)
                of_mean = (slope.mean * factor[:, None])[:, None].to(flat.dtype)
                of_gram = (slope.gram * 2 * factor.view(-1, 1, 1)).to(flat.dtype)
            g = g + torch.bmm(flat, of_gram) + of_mean
        if name in weights.content_layers:
            q = student.adapters[name].T @ student.adapters[name]
            factor_c = parts[:, 0, None, None] * weights.content * reference_positions(layer_stride(name)) / (h * w)
            difference = (f - content[name]).permute(0, 2, 3, 1).reshape(n, h * w, c)
            g = g + torch.bmm(difference, (q * factor_c).to(flat.dtype))
        taps[name] = g.view(n, h, w, c).permute(0, 3, 1, 2)
    return taps
