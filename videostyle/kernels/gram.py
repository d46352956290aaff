"""The style's losses and gradients on a GPU: three Triton kernels a layer instead of twenty of PyTorch's.

Features and gradients are contiguous matrices of positions by channels, (M, C): channels-last maps of one picture.
Triton's needs: see ``pooling.py``.
"""

import torch
import triton
import triton.language as tl

# Programs of a kernel: one for each multiprocessor of a large GPU.
PROGRAMS = 132


def self_test() -> bool:
    """Whether the kernels work (see ``pooling.self_test``)."""
    try:
        flat = torch.ones(128, 128, dtype=torch.bfloat16, device="cuda")
        target, weights = torch.zeros(128, 128, device="cuda"), torch.full((128,), 1 / 128, device="cuda")
        slopes, sums = slope_and_loss(flat, target, target, (1.0, 1.0, 1.0), (weights, weights[:1], 128.0, 128.0))
        found = add_style_through_relu(None, flat, slopes, weights)
        return bool((found == 129).all() and (sums.sum(0) == 128 * 128).all())
    except Exception:
        return False


def slope_and_loss(
    flat: torch.Tensor,
    minimised_grams: torch.Tensor,
    target: torch.Tensor,
    scales: tuple[float, float, float],
    region: tuple[torch.Tensor, torch.Tensor, float, float] | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The style of one layer: (slopes (1 or 2, C, C) like F, sums (n, 3) float32 whose columns add up to the losses).

    With G the mean Gram matrix of ``flat``, the first slope is scales[0] (G - minimised_grams); the losses are
    scales[1] |G - minimised_grams|^2, minimised, scales[2] |G - target|^2, reported, and the region's. ``region``:
    (weights of the positions (M,) float32, its share as a tensor of one number, scales of its slope and loss); its Gram
    matrix is compared with ``target``.
    """
    grams = _grams(flat, None if region is None else region[0])
    count, slices, c, _ = grams.shape
    slopes = torch.empty(count, c, c, dtype=flat.dtype, device=flat.device)
    padded = triton.next_power_of_2(slices)
    block = max(16, 4096 // padded)
    sums = torch.zeros(triton.cdiv(c * c, block), 3, device=flat.device)
    share, region_scales = (sums, (0.0, 0.0)) if region is None else (region[1], region[2:])
    tensors = grams, minimised_grams, target, share, slopes, sums
    _compare[(len(sums),)](*tensors, c * c, *scales, *region_scales, slices, padded, block, count == 2)
    return slopes, sums


@triton.jit
def _compare(
    grams_at, minimised_at, target_at, share_at, slopes_at, sums_at, count,
    slope_scale, minimised_scale, distance_scale, region_slope_scale, region_scale,
    SLICES: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr, REGION: tl.constexpr,
):  # fmt: skip
    """Sum of the slices' Gram matrices, its differences as slopes, and this program's share of the losses."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    piece = tl.arange(0, PADDED)[:, None]
    there = (piece < SLICES) & inside[None, :]
    gram = tl.sum(tl.load(grams_at + piece * count + at[None, :], mask=there, other=0.0), 0)
    target = tl.load(target_at + at, mask=inside, other=0.0)
    difference = gram - tl.load(minimised_at + at, mask=inside, other=0.0)
    slope = difference * slope_scale
    tl.store(slopes_at + at, slope.to(slopes_at.dtype.element_ty), mask=inside)
    sums = sums_at + tl.program_id(0) * 3
    tl.store(sums, minimised_scale * tl.sum(difference * difference))
    difference = gram - target
    tl.store(sums + 1, distance_scale * tl.sum(difference * difference))
    if REGION:
        share = tl.load(share_at)
        gram = tl.sum(tl.load(grams_at + (SLICES + piece) * count + at[None, :], mask=there, other=0.0), 0)
        difference = gram - target
        slope = difference * (region_slope_scale * share)
        tl.store(slopes_at + count + at, slope.to(slopes_at.dtype.element_ty), mask=inside)
        tl.store(sums + 2, region_scale * share * tl.sum(difference * difference))


def _grams(flat: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """F'F / M and, with ``weights``, F' diag(weights) F, as slices to be added: (1 or 2, slices, C, C) float32."""
    m, c = flat.shape
    side = 64 if c <= 64 else 128
    tiles = triton.cdiv(c, side)
    slices = max(1, min(PROGRAMS // tiles**2, m // 64))
    length = triton.cdiv(triton.cdiv(m, slices), 64) * 64
    slices = triton.cdiv(m, length)
    count = 1 if weights is None else 2
    grams = torch.empty(count, slices, c, c, device=flat.device)
    tensors, warps = (flat, flat if weights is None else weights, grams), 4 if side == 64 else 8
    _gram_slices[(tiles, tiles, slices)](*tensors, m, length, 1.0 / m, c, side, 64, count == 2, num_warps=warps)
    return grams


@triton.jit
def _gram_slices(
    flat_at, weights_at, grams_at, m, length, scale,
    C: tl.constexpr, SIDE: tl.constexpr, STEP: tl.constexpr, WEIGHTED: tl.constexpr,
):  # fmt: skip
    """One tile of one slice's Gram matrix, and of its weighted one."""
    left = tl.program_id(0) * SIDE + tl.arange(0, SIDE)
    right = tl.program_id(1) * SIDE + tl.arange(0, SIDE)
    first = tl.program_id(2) * length
    gram = tl.zeros((SIDE, SIDE), tl.float32)
    weighted = tl.zeros((SIDE, SIDE), tl.float32)
    for start in range(first, tl.minimum(first + length, m), STEP):
        position = start + tl.arange(0, STEP)
        inside = (position < m)[:, None]
        rows = flat_at + position[:, None].to(tl.int64) * C
        a = tl.load(rows + left[None, :], mask=inside & (left < C)[None, :], other=0.0)
        b = tl.load(rows + right[None, :], mask=inside & (right < C)[None, :], other=0.0)
        gram = tl.dot(tl.trans(a), b, gram)
        if WEIGHTED:
            weight = tl.load(weights_at + position, mask=position < m, other=0.0)
            weighted = tl.dot(tl.trans((a * weight[:, None]).to(a.dtype)), b, weighted)
    into = grams_at + tl.program_id(2) * C * C + left[:, None] * C + right[None, :]
    there = (left < C)[:, None] & (right < C)[None, :]
    tl.store(into, gram * scale, mask=there)
    if WEIGHTED:
        tl.store(into + tl.num_programs(2) * C * C, weighted, mask=there)


def add_style_through_relu(
    g: torch.Tensor | None, flat: torch.Tensor, slopes: torch.Tensor, weights: torch.Tensor | None
) -> torch.Tensor:
    """g + F slope (+ weights F slope of the region), where F > 0, else 0: (M, C), over ``g`` where there is one."""
    m, c = flat.shape
    out = torch.empty_like(flat) if g is None else g
    side = 64 if c <= 64 else 128
    weighted = weights is not None
    tensors, warps = (out, flat, slopes, weights if weighted else flat), 8 if weighted or side == 128 else 4
    grid, constants = (triton.cdiv(c, side) * triton.cdiv(m, 128),), (c, 128, side, 64, g is not None, weighted)
    _add_style[grid](*tensors, m, *constants, num_warps=warps, num_stages=2)  # 3: too much shared memory for small GPUs
    return out


@triton.jit
def _add_style(
    g_at, flat_at, slopes_at, weights_at, m,
    C: tl.constexpr, POSITIONS: tl.constexpr, SIDE: tl.constexpr, STEP: tl.constexpr,
    ADD: tl.constexpr, WEIGHTED: tl.constexpr,
):  # fmt: skip
    # One axis for both: only the grid's first is long enough for a large picture's positions.
    tiles: tl.constexpr = (C + SIDE - 1) // SIDE
    channel = tl.program_id(0) % tiles * SIDE + tl.arange(0, SIDE)
    position = tl.program_id(0) // tiles * POSITIONS + tl.arange(0, POSITIONS)
    inside = (position < m)[:, None]
    rows = flat_at + position[:, None].to(tl.int64) * C
    found = tl.zeros((POSITIONS, SIDE), tl.float32)
    of_region = tl.zeros((POSITIONS, SIDE), tl.float32)
    for start in range(0, C, STEP):
        inner = start + tl.arange(0, STEP)
        features = tl.load(rows + inner[None, :], mask=inside & (inner < C)[None, :], other=0.0)
        there = (inner < C)[:, None] & (channel < C)[None, :]
        slope_at = slopes_at + inner[:, None] * C + channel[None, :]
        found = tl.dot(features, tl.load(slope_at, mask=there, other=0.0), found)
        if WEIGHTED:
            of_region = tl.dot(features, tl.load(slope_at + C * C, mask=there, other=0.0), of_region)
    if WEIGHTED:
        found += of_region * tl.load(weights_at + position, mask=position < m, other=0.0)[:, None]
    there = inside & (channel < C)[None, :]
    into = g_at + position[:, None].to(tl.int64) * C + channel[None, :]
    if ADD:
        found += tl.load(into, mask=there, other=0.0).to(tl.float32)
    features = tl.load(rows + channel[None, :], mask=there, other=0.0)
    found = tl.where(features > 0, found, 0.0)
    tl.store(into, found.to(g_at.dtype.element_ty), mask=there)
