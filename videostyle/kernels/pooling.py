"""2x2 average pooling of channels-last maps and its way back on a GPU, each in one pass over memory.

PyTorch's kernels for them take as long as the convolutions between. Triton comes with PyTorch's CUDA builds for Linux
and needs a C compiler when a kernel is first used: without either, FeatureExtractor uses PyTorch's kernels.
"""

import torch
import triton
import triton.language as tl

BLOCK = 1024  # values of a program


def self_test(device: torch.device | str = "cuda") -> bool:
    """Whether the kernels work; a missing compiler, header or folder raises no common exception."""
    try:
        x = torch.tensor([-1.0, 3.0], device=device).expand(1, 8, 2, 2).contiguous(memory_format=torch.channels_last)
        pooled = average_pool(x)
        everywhere, masked = repeat(pooled, into=x.clone()), repeat(pooled, into=x.clone(), masked=True)
        return bool((pooled == 1).all() and (everywhere == 1).all() and (masked == (x > 0)).all())
    except Exception:
        return False


def average_pool(x: torch.Tensor) -> torch.Tensor:
    """As ``F.avg_pool2d(x, 2)``: (N, C, H, W) channels-last -> (N, C, H // 2, W // 2) channels-last."""
    n, c, height, width = x.shape
    h, w = height // 2, width // 2
    out = torch.empty(n, c, h, w, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    _pool[(triton.cdiv(w * c, BLOCK), n * h)](x, out, c, height, width, h, w, BLOCK=BLOCK)
    return out


def repeat(g: torch.Tensor, into: torch.Tensor, masked: bool = False) -> torch.Tensor:
    """Every value of ``g`` (N, C, h, w) at the four places of ``into`` (N, C, H, W) that pooling took it from.

    ``masked``: 0 where ``into`` is not above zero. A last odd row or column of ``into`` is left as it is.
    """
    n, c, height, width = into.shape
    h, w = g.shape[2:]
    _repeat[(triton.cdiv(2 * w * c, BLOCK), n * h)](g, into, c, height, width, h, w, MASKED=masked, BLOCK=BLOCK)
    return into


@triton.jit(do_not_specialize=["height", "width", "h", "w"])
def _pool(x, out, C: tl.constexpr, height, width, h, w, BLOCK: tl.constexpr):
    row = tl.program_id(1).to(tl.int64)  # of the output, over all pictures
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # along the row: column * C + channel
    inside = place < w * C
    first = ((row // h) * height + 2 * (row % h)) * width * C + 2 * (place // C) * C + place % C
    total = tl.load(x + first, inside).to(tl.float32) + tl.load(x + first + C, inside).to(tl.float32)
    second = first + width * C
    total += tl.load(x + second, inside).to(tl.float32) + tl.load(x + second + C, inside).to(tl.float32)
    tl.store(out + row * w * C + place, (total * 0.25).to(out.dtype.element_ty), inside)


@triton.jit(do_not_specialize=["height", "width", "h", "w"])
def _repeat(g, into, C: tl.constexpr, height, width, h, w, MASKED: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(1).to(tl.int64)  # of g, over all pictures
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # along two rows of the output
    inside = place < 2 * w * C
    value = tl.load(g + row * w * C + (place // C // 2) * C + place % C, inside)
    for k in tl.static_range(2):
        there = into + ((row // h) * height + 2 * (row % h) + k) * width * C + place
        kept = value
        if MASKED:
            kept = tl.where(tl.load(there, inside) > 0, value, 0.0)
        tl.store(there, kept, inside)
