"""A feed-forward network that paints frames in one style, with a memory of the frame before.

After Johnson, Alahi and Fei-Fei 2016, with instance normalisation (Ulyanov, Vedaldi and Lempitsky 2016). Departures:
two by two pixels are folded into channels, so that no wide convolution runs at full size; the last picture goes in,
moved along the flow, and a gate keeps part of it; a fixed field of noise goes in, so that flat areas get strokes too;
the output is a change of the frame's logit, so that an untrained network begins near the content.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

INPUTS = 7  # frame and last picture, RGB, and the trust in the latter
FOLD = 2  # pixels a side that are folded into channels
STRIDE = 4  # pixels a side of one position of the trunk
MARGIN_PX = 8  # repeated border that goes in and is cut off again: convolutions pad with zeros
NOISE_CELLS = (1, 2)  # of the noise field, in positions of the trunk
LEAST_COLOUR = 0.02  # colours nearer to 0 and 1 than this have no logit worth adding to
FIRST_CHANGE = 0.2  # factor of the last layer's initial weights
EPSILON = 1e-5


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
        self.noise = nn.Conv2d(coarse + len(NOISE_CELLS), coarse, 1)
        self.trunk = nn.Sequential(*(_Residual(coarse) for _ in range(self.shape.blocks)))
        self.up = _Layer(coarse, fine)
        self.last = nn.Conv2d(fine, 4, 3, padding=1)
        with torch.no_grad():
            self.last.weight *= FIRST_CHANGE
        self.to(memory_format=torch.channels_last)

    def forward(
        self, frame: torch.Tensor, previous: torch.Tensor | None = None, trust: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The picture of ``frame``, (N, 3, H, W) float32 in (0, 1).

        ``previous``: the last picture at this frame's pixels. ``trust``: (N, 1, H, W) in [0, 1], 0 where that says
        nothing. Without them it is a first frame.
        """
        if previous is None or trust is None:
            previous, trust = torch.zeros_like(frame), torch.zeros_like(frame[:, :1])
        height, width = frame.shape[2:]
        change, gate = self._change(torch.cat((frame - 0.5, (previous - 0.5) * trust, trust), 1)).split((3, 1), 1)
        logit = torch.logit(frame.clamp(LEAST_COLOUR, 1 - LEAST_COLOUR))
        painted = torch.sigmoid(0.5 * logit + change[..., :height, :width])
        return torch.lerp(painted, previous, torch.sigmoid(gate[..., :height, :width]) * trust)

    def _change(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 4, H or more, W or more) float32: what is added to the logit, and the logit of the gate."""
        height, width = x.shape[2:]
        x = F.pad(
            x, (MARGIN_PX, MARGIN_PX + -width % STRIDE, MARGIN_PX, MARGIN_PX + -height % STRIDE), mode="replicate"
        )
        x = F.pixel_unshuffle(x.to(self.last.weight.dtype), FOLD).contiguous(memory_format=torch.channels_last)
        x = F.relu(self.down(F.relu(self.first(x))))
        field = noise_field(x.shape[2], x.shape[3]).to(x).expand(x.shape[0], -1, -1, -1)
        x = self.trunk(self.noise(torch.cat((x, field), 1)))
        x = F.relu(self.up(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        x = self.last(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x[..., MARGIN_PX:, MARGIN_PX:].float()


class _Layer(nn.Module):
    """A 3x3 convolution and its normalisation."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm = InstanceNorm(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.convolution(x))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = _Layer(channels, channels), _Layer(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.b(F.relu(self.a(x)))


class InstanceNorm(nn.Module):
    """Every channel of every picture to mean ``bias`` and deviation ``weight``: (C,), or (N, C) for one each.

    PyTorch's own copies a channels-last tensor twice, and takes a CPU four times as long.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        each = x.shape[:2]
        return _Normalise.apply(x, self.weight.expand(each), self.bias.expand(each))


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


@lru_cache(maxsize=4)
def noise_field(height: int, width: int) -> torch.Tensor:
    """White noise in cells of ``NOISE_CELLS``, (1, 2, height, width) float32, always the same; drawn on the CPU."""
    generator, fields = torch.Generator().manual_seed(0), []
    for cell in NOISE_CELLS:
        drawn = torch.randn(1, 1, height // cell + 2, width // cell + 2, generator=generator)
        field = F.interpolate(drawn, scale_factor=float(cell), mode="bilinear") if cell > 1 else drawn
        fields.append(field[..., :height, :width])
    return torch.cat(fields, 1)
