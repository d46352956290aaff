"""A feed-forward network that paints frames in one style, with a memory of the frame before.

After Johnson, Alahi and Fei-Fei 2016, with instance normalisation (Ulyanov, Vedaldi and Lempitsky 2016). Departures:
two by two pixels are folded into channels, so that no wide convolution runs at full size; the last picture goes in,
moved along the flow, and a gate keeps part of it; a fixed field of noise goes in, so that flat areas get strokes too;
the output is a change of a faint grey copy of the frame, which keeps its small detail and leaves the colours to the
network; it is cut off at black and white, not bent: behind a sigmoid, areas that once burn out never come back.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

INPUTS = 7  # frame and last picture, RGB, and the trust in the latter
FOLD = 2  # pixels a side that are folded into channels
STRIDE = 4  # pixels a side of one position of the trunk
NOISE_CELLS = (1, 2)  # of the noise field, in positions of the trunk
NOISE_PERIOD = 128  # positions after which it repeats: so a field of any size is a part of the same one
CONTRAST = 0.3  # of the grey copy, over the frame's
LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709
FIRST_CHANGE = 0.03  # factor of the last layer's initial weights
EPSILON = 1e-5
# [place of an enlarged pixel, neighbour there, neighbour here]: 1 where the two are the same.
PLACES = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [0, 1, 0]], [[0, 1, 0], [0, 1, 0], [0, 0, 1]]])


@dataclass(frozen=True)
class Shape:
    """Channels at half size (``fine``) and at a quarter (``coarse``), and the number of residual blocks there."""

    fine: int = 24
    coarse: int = 64
    blocks: int = 5


class StyleNetwork(nn.Module):
    """Paints (N, 3, H, W) RGB in [0, 1] of any size; computes in the precision of its weights."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape or Shape()
        fine, coarse = self.shape.fine, self.shape.coarse
        self.first = _Layer(INPUTS * FOLD**2, fine)
        self.down = _Layer(fine, coarse, stride=2)
        self.noise_tile: torch.Tensor
        self.register_buffer("noise_tile", noise_tile(), persistent=False)
        self.noise = nn.Conv2d(coarse + len(NOISE_CELLS), coarse, 1)
        self.trunk = nn.Sequential(*(_Residual(coarse) for _ in range(self.shape.blocks)))
        self.up = _Layer(coarse, fine)
        self.last = nn.Conv2d(fine, 4, 3)
        with torch.no_grad():
            self.last.weight *= FIRST_CHANGE
        self.to(memory_format=torch.channels_last)

    def forward(
        self, frame: torch.Tensor, previous: torch.Tensor | None = None, trust: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The picture of ``frame``, (N, 3, H, W) float32 in [0, 1].

        ``previous``: the last picture at this frame's pixels. ``trust``: (N, 1, H, W) in [0, 1], 0 where that says
        nothing. Without them it is a first frame.
        """
        if previous is None or trust is None:
            previous, trust = torch.zeros_like(frame), torch.zeros_like(frame[:, :1])
        height, width = frame.shape[2:]
        change, gate = self._change(torch.cat((frame - 0.5, (previous - 0.5) * trust, trust), 1)).split((3, 1), 1)
        grey = (frame * frame.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        painted = _InRange.apply(0.5 + CONTRAST * (grey - 0.5) + change[..., :height, :width])
        return torch.lerp(painted, previous, torch.sigmoid(gate[..., :height, :width]) * trust)

    def _change(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 4, H or more, W or more) float32: what is added to the grey copy, and the logit of the gate."""
        height, width = x.shape[2:]
        to_height, to_width = (max(2 * STRIDE, (side + STRIDE - 1) // STRIDE * STRIDE) for side in (height, width))
        if (to_height, to_width) != (height, width):
            x = F.pad(x, (0, to_width - width, 0, to_height - height), mode="replicate")
        x = _relu(self.down(_relu(self.first(_folded(x.to(self.last.weight.dtype))))))
        field = repeated(self.noise_tile, x.shape[2], x.shape[3]).expand(x.shape[0], -1, -1, -1).to(x.dtype)
        x = self.trunk(self.noise(torch.cat((x, field), 1)))
        x = _relu(self.up.norm(convolved_twice_as_large(x, self.up.convolution.weight)))
        return convolved_twice_as_large(x, self.last.weight, self.last.bias).float().contiguous()


def with_fine_channels(network: StyleNetwork, fine: int) -> StyleNetwork:
    """A network that paints the same pictures with ``fine`` channels at half size, of which the new ones are empty.

    PyTorch normalises 32 channels on a CPU in a third of the time that it takes for 24.
    """
    made = StyleNetwork(replace(network.shape, fine=fine))
    wide = made.state_dict()
    for name, tensor in network.state_dict().items():
        wide[name].zero_()[tuple(slice(0, side) for side in tensor.shape)] = tensor
    made.load_state_dict(wide)
    return made


class _Layer(nn.Module):
    """A 3x3 convolution and its normalisation."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride, bias=False)
        self.norm = InstanceNorm(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.convolution(_with_border(x)))


def _relu(x: torch.Tensor) -> torch.Tensor:
    """In place: `InstanceNorm` keeps its input for the way back, not its output."""
    return F.relu(x, inplace=True)


def _folded(x: torch.Tensor) -> torch.Tensor:
    """``F.pixel_unshuffle`` to a channels-last tensor; as slices a CPU copies it in half the time."""
    places = [x[:, :, down::FOLD, across::FOLD] for down in range(FOLD) for across in range(FOLD)]
    return torch.stack(places, 2).flatten(1, 2).contiguous(memory_format=torch.channels_last)


def convolved_twice_as_large(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """A 3x3 convolution of ``x`` enlarged twice by repetition and mirrored by a pixel, without the enlarged ``x``.

    Of three neighbours there two are the same pixel here: each of the four places of a pixel has a kernel of its own,
    whose weights are sums of ``weight``'s.
    """
    summed = torch.einsum("oiab,paj,qbk->opqijk", weight, PLACES.to(weight), PLACES.to(weight)).flatten(0, 2)
    each = None if bias is None else bias.repeat_interleave(4)
    return F.pixel_shuffle(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), summed, each), 2)


def _with_border(x: torch.Tensor) -> torch.Tensor:
    """Mirrored by a pixel: where zeros border it, a network learns to paint the picture's edges otherwise."""
    return F.pad(x, (1, 1, 1, 1), mode="reflect")


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = _Layer(channels, channels), _Layer(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.b(_relu(self.a(x)))


class InstanceNorm(nn.Module):
    """Every channel of every picture to mean ``bias`` and deviation ``weight``: (C,), or (N, C) for one each.

    PyTorch's own copies a channels-last tensor twice, and takes a CPU four times as long.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        each = x.shape[:2]
        if not torch.is_grad_enabled() and self.weight.ndim == 1:
            return F.group_norm(x, each[1], self.weight.to(x.dtype), self.bias.to(x.dtype), EPSILON)
        return _Normalise.apply(x, self.weight.expand(each), self.bias.expand(each))


class _InRange(torch.autograd.Function):
    """``x`` cut off at 0 and 1; a gradient comes back to what lies beyond, unless it points further out."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (x,), g = ctx.saved_tensors, gradients[0]
        return torch.where(((x > 1) & (g < 0)) | ((x < 0) & (g > 0)), 0.0, g)


class _Normalise(torch.autograd.Function):
    """weight (x - mean) / deviation + bias of channels-last ``x``; ``weight`` and ``bias`` (N, C)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        plain, mean, inverse = torch.ops.aten.native_group_norm(x, None, None, n, c, h * w, c, EPSILON)
        ctx.save_for_backward(x, weight, mean, inverse)
        return torch.addcmul(_per_channel(bias, x), plain, _per_channel(weight, x))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """With z = (x - mean) / deviation: weight / deviation (g - mean(g) - z mean(g z))."""
        x, weight, mean, inverse = ctx.saved_tensors
        n, c, h, w = x.shape
        g, flat = (t.permute(0, 2, 3, 1).reshape(n, h * w, c) for t in (gradients[0], x))
        ones = g.new_ones(n, 1, h * w)
        mean, inverse = mean.float(), inverse.float()
        of_g, of_gx = (torch.bmm(ones, t)[:, 0].float() / (h * w) for t in (g, g * flat))
        of_gz = inverse * (of_gx - mean * of_g)
        slope = weight.float() * inverse
        in_x = -slope * inverse * of_gz
        rest = -slope * of_g - in_x * mean
        rows = [t.to(x.dtype)[:, None] for t in (rest, in_x, slope)]
        back = torch.addcmul(rows[0], flat, rows[1]).addcmul_(g, rows[2])
        return back.view(n, h, w, c).permute(0, 3, 1, 2), of_gz * (h * w), of_g * (h * w)


def _per_channel(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.to(like.dtype)[:, :, None, None]


def repeated(tile: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """``tile`` (N, C, h, w), side by side, cut to (N, C, height, width)."""
    down, across = (
        torch.arange(side, device=tile.device) % period
        for side, period in zip((height, width), tile.shape[2:], strict=True)
    )
    return tile[:, :, down][:, :, :, across]


@lru_cache(maxsize=1)
def noise_tile() -> torch.Tensor:
    """White noise in cells of ``NOISE_CELLS``, (1, 2, NOISE_PERIOD, NOISE_PERIOD) float32, always the same."""
    generator, fields = torch.Generator().manual_seed(0), []
    for cell in NOISE_CELLS:
        count = NOISE_PERIOD // cell
        drawn = F.pad(torch.randn(1, 1, count, count, generator=generator), (1, 1, 1, 1), mode="circular")
        field = F.interpolate(drawn, scale_factor=float(cell), mode="bilinear") if cell > 1 else drawn
        fields.append(field[..., cell:-cell, cell:-cell])
    return torch.cat(fields, 1)
