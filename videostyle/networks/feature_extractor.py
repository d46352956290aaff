"""Forward and input gradient through a chain of convolutions, without autograd: the package's hot path.

Tensors are channels-last, so that a feature map is a (positions, channels) matrix without a copy. The input gradient of
a stride-1 convolution is a convolution with the flipped kernel: both directions use the same fast kernels, and no
weight gradient is formed.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from videostyle.kernels.loader import load_tested
from videostyle.networks.backbone import Backbone, layer_stride
from videostyle.networks.convolution import CHANNELS_LAST, Convolution
from videostyle.networks.tiles import Tile, tiles

# (layer, features, gradient from above or None) -> gradient with that of the layer's losses: ``Activations.backward``.
TapGradient = Callable[[str, torch.Tensor, torch.Tensor | None], torch.Tensor | None]
# Our own kernels for pooling on a GPU.
loaded_kernels = partial(load_tested, "videostyle.kernels.pooling")


@dataclass
class _Stage:
    """A convolution with its ReLU, what runs before it, and how its gradient goes back."""

    name: str
    pool: bool
    forward: Convolution
    backward: Convolution


class FeatureExtractor:
    """A backbone made ready for one device, precision and pooling, up to the deepest of ``layers``.

    ``pooling``: by default the backbone's first. ``dtype``: bfloat16 or float32 on any device (float64 on a CPU, for
    tests). Features are the convolutions' own: the losses apply scale and adapter of `LayerReference`, where they are
    cheap, to the Gram matrix.
    ``tile_pixels``: most pixels that should go through at once, None: any number (see `tiles`).
    """

    def __init__(
        self,
        backbone: Backbone,
        layers: Collection[str],
        *,
        pooling: str | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        pooling = pooling or backbone.poolings[0]
        backbone.check(layers, pooling)
        self.backbone, self.pooling = backbone.pooled(pooling), pooling
        self.device, self.dtype = torch.device(device), dtype
        self.tile_pixels: int | None = None
        self.kernels = loaded_kernels() if self.device.type == "cuda" else None
        names = [conv.name for conv in backbone.convs]
        self.layers = tuple(sorted(layers, key=names.index))
        depth = max(names.index(name) for name in layers) + 1
        self.stages = [self._stage(i) for i in range(depth)]
        centre = torch.tensor(backbone.centre, dtype=torch.float64).view(1, 3, 1, 1)
        self.centre = centre.to(self.device, torch.promote_types(dtype, torch.float32))

    def _stage(self, i: int) -> _Stage:
        conv = self.backbone.convs[i]
        weight = conv.weight.to(self.device, self.dtype)
        bias = conv.bias.to(self.device, self.dtype)
        radius = weight.shape[-1] // 2
        back = weight.flip(2, 3).transpose(0, 1)
        if conv.pool and self.pooling == "average":
            back = back / 4  # average pooling's own factor, exact in every precision
        # The first convolution reads a picture with its border repeated, and its gradient covers that border too.
        pad_in, pad_back = (0, 2 * radius) if i == 0 else (radius, radius)
        forward, backward = Convolution(weight, bias, pad_in, True), Convolution(back, None, pad_back, False)
        return _Stage(conv.name, conv.pool, forward, backward)

    @property
    def smallest_side(self) -> int:
        """Fewest pixels a side of a picture: the deepest layer has one position then."""
        return layer_stride(self.stages[-1].name)

    @property
    def halo(self) -> int:
        """Pixels on each side of its own that a position of the deepest layer depends on, up to its stride's multiple.

        A pooling adds none: a position's own pixels are those that it pools.
        """
        stages = zip(self.backbone.convs, self.stages, strict=False)
        reach = sum(conv.weight.shape[-1] // 2 * layer_stride(stage.name) for conv, stage in stages)
        return -(-reach // self.smallest_side) * self.smallest_side

    def tiles(self, size: Sequence[int]) -> list[Tile]:
        """Those that a picture of ``size`` (H, W) should go through in: one where ``tile_pixels`` allows it."""
        height, width = size
        if self.tile_pixels is None or height * width <= self.tile_pixels:
            return tiles(height, width, max(height, width), 1, 0)
        side = max(self.smallest_side, math.isqrt(self.tile_pixels) - 2 * self.halo)
        return tiles(height, width, side, self.smallest_side, self.halo)

    def forward_whole(self, x: torch.Tensor) -> "Activations | None":
        """``forward`` of a picture that goes through at once; None of one that takes several tiles."""
        return self.forward(x) if len(self.tiles(x.shape[2:])) == 1 else None

    @torch.no_grad()
    def forward(self, x: torch.Tensor, layers: Collection[str] | None = None) -> "Activations":
        """Activations of RGB ``x`` (N, 3, H, W) in [0, 1], up to the deepest of ``layers`` (default: all)."""
        wanted = set(self.layers if layers is None else layers)
        acts = Activations(self, tuple(x.shape))
        h = x.to(self.device) - self.centre.to(x.dtype)
        radius = self.backbone.convs[0].weight.shape[-1] // 2
        h = F.pad(h, (radius,) * 4, mode="replicate")
        h = h.to(self.dtype).contiguous(memory_format=CHANNELS_LAST)  # in one call a CPU takes twice as long
        for stage in self.stages:
            if stage.pool:
                h = acts.pool(h)
            h = stage.forward(h)
            acts.outputs.append(h)
            wanted.discard(stage.name)
            if not wanted:
                break
        return acts


class Activations:
    """A forward pass's outputs, by stage, and what its way back needs."""

    def __init__(self, extractor: FeatureExtractor, shape: tuple[int, ...]) -> None:
        self.extractor, self.shape = extractor, shape
        self.outputs: list[torch.Tensor] = []
        self._max_indices: list[torch.Tensor] = []

    def __getitem__(self, name: str) -> torch.Tensor:
        """Features (N, C, h, w) of a layer, channels-last, after the ReLU."""
        for stage, output in zip(self.extractor.stages, self.outputs, strict=False):
            if stage.name == name:
                return output
        raise KeyError(name)

    def pool(self, h: torch.Tensor) -> torch.Tensor:
        if self.extractor.pooling == "average":
            return self.extractor.kernels.average_pool(h) if self.extractor.kernels else F.avg_pool2d(h, 2)
        pooled, indices = F.max_pool2d(h, 2, return_indices=True)
        self._max_indices.append(indices)
        return pooled

    def _unpool(self, g: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """Gradient of the pooling; that of the average repeats ``g``, for its 1/4 is in the convolution's weights."""
        if self.extractor.pooling == "max":
            where = [2, 2], [2, 2], [0, 0], [1, 1], False, self._max_indices.pop()
            return torch.ops.aten.max_pool2d_with_indices_backward(g, below, *where)
        up = torch.empty_like(below)
        _clear_odd_edges(up)
        if self.extractor.kernels:
            return self.extractor.kernels.repeat(g, into=up)
        _row_pairs(up).copy_(_repeated(g))
        return up

    def _unpool_through_relu(self, g: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """``_unpool`` of the average and the ReLU's gradient in one pass, written over the features."""
        _clear_odd_edges(below)
        if self.extractor.kernels:
            return self.extractor.kernels.repeat(g, into=below, masked=True)
        features = _row_pairs(below)
        relu_gradient(_repeated(g), features, into=features)
        return below

    @torch.no_grad()
    def backward(self, tap: TapGradient, through_relu: Collection[str] = ()) -> torch.Tensor:
        """Gradient with respect to the picture, (N, 3, H, W), float32 or better. Call it once: it overwrites features.

        ``tap(layer, features, g)``, called for the extractor's layers from the deepest up, returns ``g`` plus the
        gradient of the losses on that layer; it may change ``g`` in place. ``g`` is None where there is no gradient
        from above, and the result None where there is nothing to add either. ``through_relu``: layers where the result
        has gone through the ReLU already.
        """
        g: torch.Tensor | None = None
        masked = False  # whether g has gone through this layer's ReLU
        for i in range(len(self.outputs) - 1, -1, -1):
            stage, output = self.extractor.stages[i], self.outputs[i]
            if stage.name in self.extractor.layers:
                g = tap(stage.name, output, g)
                masked = stage.name in through_relu
            if g is None:
                continue
            g = stage.backward(g if masked else relu_gradient(g, output, into=g))
            masked = stage.pool and self._may_fuse(i - 1)
            if stage.pool:
                g = (self._unpool_through_relu if masked else self._unpool)(g, self.outputs[i - 1])
        if g is None:
            return torch.zeros(self.shape, device=self.extractor.device)
        return _fold_border(g, (g.shape[2] - self.shape[2]) // 2)

    def _may_fuse(self, below: int) -> bool:
        """Whether no loss comes between the pooling and the ReLU below it, so that one pass goes through both."""
        return self.extractor.pooling == "average" and self.extractor.stages[below].name not in self.extractor.layers


def relu_gradient(g: torch.Tensor, features: torch.Tensor, into: torch.Tensor) -> torch.Tensor:
    """``g`` where ``features`` are above zero, else 0, written to ``into``, which may be either of them.

    A bf16 number is above zero where its bits, read as a 16-bit integer, are: a CPU takes a fifth of the time then.
    """
    dtype = g.dtype
    if dtype == torch.bfloat16 and g.device.type == "cpu":
        g, features, into = (t.view(torch.int16) for t in (g, features, into))
    return torch.ops.aten.threshold_backward.grad_input(g, features, 0, grad_input=into).view(dtype)


def _row_pairs(x: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) channels-last -> (N, h, 2, 2 w C), a view: pairs of the rows that a 2x2 pooling covers."""
    n, c, h, w = x.shape[0], x.shape[1], x.shape[2] // 2, x.shape[3] // 2
    return x[:, :, : 2 * h, : 2 * w].permute(0, 2, 3, 1).view(n, h, 2, 2 * w * c)


def _repeated(g: torch.Tensor) -> torch.Tensor:
    """(N, C, h, w) channels-last -> (N, h, 2, 2 w C), every value four times: copied along the rows, so that memory is
    read in long runs, and a view across them."""
    rows = torch.cat((g, g), 1).permute(0, 2, 3, 1).flatten(2)
    return rows[:, :, None].expand(-1, -1, 2, -1)


def _fold_border(g: torch.Tensor, radius: int) -> torch.Tensor:
    """Gradient of the repeated border, float32 or better: (N, C, H + 2 r, W + 2 r) -> (N, C, H, W).

    PyTorch's own takes a CPU four times as long: it runs on one core.
    """
    g = g.to(torch.promote_types(g.dtype, torch.float32), memory_format=torch.contiguous_format)
    if g.is_cuda:
        n, c, h, w = g.shape
        inside = g.new_empty(n, c, h - 2 * radius, w - 2 * radius)
        return torch.ops.aten.replication_pad2d_backward(g, inside, [radius] * 4)
    for dim in (2, 3):
        before, inside, after = g.split([radius, g.shape[dim] - 2 * radius, radius], dim)
        inside.narrow(dim, 0, 1).add_(before.sum(dim, keepdim=True))
        inside.narrow(dim, -1, 1).add_(after.sum(dim, keepdim=True))
        g = inside
    return g.contiguous()


def _clear_odd_edges(x: torch.Tensor) -> None:
    """Zero the last row and column where a 2x2 pooling leaves them out."""
    if x.shape[2] % 2:
        x[:, :, -1:] = 0
    if x.shape[3] % 2:
        x[..., -1:] = 0
