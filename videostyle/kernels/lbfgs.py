"""A step of L-BFGS in four Triton kernels, for which ``optimise.lbfgs`` takes ninety of PyTorch's, each 2 us on a GPU.

Triton's needs: see ``pooling.py``.
"""

import torch
import triton
import triton.language as tl

# Programs that share the pixels, each with a partial sum: four for each multiprocessor of a large GPU.
PROGRAMS = 512
VALUES = 1024  # pixel values that a program takes at a time


def self_test(device: torch.device | str = "cuda") -> bool:
    """Whether the kernels work (see ``pooling.self_test``)."""
    try:
        products = torch.zeros(16, 16, dtype=torch.float64, device=device)
        flags = torch.zeros(9, dtype=torch.bool, device=device)
        newest_slot = torch.zeros((), dtype=torch.int64, device=device)
        x, g, last_x, last_g = torch.ones(4, 1, 3, 16, 16, device=device)
        pairs, last = torch.zeros(16, 768, device=device), (last_x.flatten(), last_g.flatten())
        tensors, limits = [pairs, products, flags[:8], newest_slot, *last, flags[8]], (1e-8, 0.25, 2.0)
        without_pairs = step(tensors, x, g, *limits)
        g[:, :, :8] = 0.5  # s = -1/4; y = -1/2 in one half and 0 in the other: H g = 2 g - 1/4
        with_one = step(tensors, without_pairs, g, *limits)
        return bool((without_pairs == 0.75).all() and torch.allclose(with_one, 1 - 2 * g, atol=1e-5))
    except Exception:
        return False


def step(
    tensors: list[torch.Tensor], x: torch.Tensor, g: torch.Tensor, pair_angle: float, first_step: float,
    longest_step: float,
) -> torch.Tensor:  # fmt: skip
    """The picture to try next, not yet projected. ``tensors``: ``LBFGS.tensors()``, all updated in place.

    ``x``, ``g``: (1, 3, H, W) float32. Constants: see ``optimise.lbfgs``.
    """
    x, g = x.contiguous(), g.contiguous()  # the layout of the pairs
    pairs, products, valid, newest_slot, last_x, last_g, has_previous = tensors
    rows, count = pairs.shape
    padded = triton.next_power_of_2(rows)
    partial = x.new_empty(PROGRAMS, 3, padded)
    coefficients = x.new_empty(rows + 2)
    moved, lengths = torch.empty_like(x), x.new_empty(PROGRAMS)
    block = max(16, 4096 // padded)
    _append_pair[(PROGRAMS,)](
        x, g, last_x, last_g, pairs, newest_slot, has_previous, partial, count, rows // 2, padded, block, PROGRAMS
    )
    pieces = min(PROGRAMS, max(8, 2048 // padded))
    state = products, valid, newest_slot, has_previous
    _recall[(1,)](partial, *state, coefficients, rows // 2, padded, pieces, PROGRAMS, pair_angle)
    _direction[(PROGRAMS,)](g, pairs, coefficients, moved, lengths, count, rows, VALUES, PROGRAMS)
    _move[(triton.cdiv(count, VALUES),)](
        x, moved, lengths, coefficients, count, rows, first_step, longest_step, VALUES, PROGRAMS
    )
    return moved


@triton.jit
def _append_pair(
    x_at, g_at, last_x_at, last_g_at, pairs_at, newest_at, begun_at, partial_at, count,
    M: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, PROGRAMS: tl.constexpr,
):  # fmt: skip
    """Write the new pair over the oldest (before the first step, the newest over itself), and this program's share of
    the products of all pairs with it and with the gradient, (3, ROWS)."""
    has_previous = tl.load(begun_at) != 0
    slot = ((tl.load(newest_at) + has_previous) % M).to(tl.int32)
    row = tl.arange(0, ROWS)
    others = (row < 2 * M) & (row != slot) & (row != slot + M)
    with_s = tl.zeros((ROWS, BLOCK), tl.float32)
    with_y = tl.zeros((ROWS, BLOCK), tl.float32)
    with_g = tl.zeros((ROWS, BLOCK), tl.float32)
    for start in range(tl.program_id(0) * BLOCK, count, PROGRAMS * BLOCK):
        at = start + tl.arange(0, BLOCK)
        inside = at < count
        x = tl.load(x_at + at, mask=inside, other=0.0)
        g = tl.load(g_at + at, mask=inside, other=0.0)
        s_at = pairs_at + slot.to(tl.int64) * count + at
        y_at = s_at + M * count.to(tl.int64)
        s = _new(x, last_x_at + at, s_at, has_previous, inside)
        y = _new(g, last_g_at + at, y_at, has_previous, inside)
        known = tl.load(
            pairs_at + row[:, None].to(tl.int64) * count + at[None, :],
            mask=others[:, None] & inside[None, :],
            other=0.0,
        )
        known = tl.where(row[:, None] == slot, s[None, :], known)
        known = tl.where(row[:, None] == slot + M, y[None, :], known)
        with_s += known * s[None, :]
        with_y += known * y[None, :]
        with_g += known * g[None, :]
        tl.store(s_at, s, mask=inside)
        tl.store(y_at, y, mask=inside)
        tl.store(last_x_at + at, x, mask=inside)
        tl.store(last_g_at + at, g, mask=inside)
    into = partial_at + tl.program_id(0) * 3 * ROWS + row
    tl.store(into, tl.sum(with_s, 1))
    tl.store(into + ROWS, tl.sum(with_y, 1))
    tl.store(into + 2 * ROWS, tl.sum(with_g, 1))


@triton.jit
def _new(now, last_at, kept_at, has_previous, inside):
    """The new pair's s or y: the change since the last step; before the first one, what is in its place."""
    change = now - tl.load(last_at, mask=inside, other=0.0)
    return tl.where(has_previous, change, tl.load(kept_at, mask=inside & (has_previous == 0), other=0.0))


@triton.jit
def _recall(
    partial_at, products_at, valid_at, newest_at, begun_at, coefficients_at,
    M: tl.constexpr, ROWS: tl.constexpr, PIECES: tl.constexpr, PROGRAMS: tl.constexpr, PAIR_ANGLE: tl.constexpr,
):  # fmt: skip
    """Update the products; then -H g as coefficients of the pairs and of the gradient, and whether any pair is valid.

    One program. A single element of a vector is read as a sum with one term.
    """
    row = tl.arange(0, ROWS)
    with_s, with_y, with_g = _totals(partial_at, ROWS, PIECES, PROGRAMS)
    has_previous = tl.load(begun_at) != 0
    slot = ((tl.load(newest_at) + has_previous) % M).to(tl.int32)
    _write_products(products_at, with_s, with_y, slot, M, ROWS)
    ss = tl.sum(tl.where(row == slot, with_s, 0.0))
    sy = tl.sum(tl.where(row == slot + M, with_s, 0.0))
    yy = tl.sum(tl.where(row == slot + M, with_y, 0.0))
    bends = (sy > PAIR_ANGLE * tl.sqrt(ss) * tl.sqrt(yy)) & (has_previous | (tl.load(valid_at + slot) != 0))
    tl.debug_barrier()  # all threads have read what is written next, and see what was written above
    tl.store(valid_at + slot, bends.to(tl.int1))
    tl.store(newest_at, slot.to(tl.int64))
    tl.store(begun_at, has_previous | True)
    tl.debug_barrier()
    found, gamma, any_valid = _two_loops(products_at, valid_at, with_g, slot, M, ROWS)
    width: tl.constexpr = 2 * M
    tl.store(coefficients_at + row, -found.to(tl.float32), mask=row < width)
    tl.store(coefficients_at + width, -gamma.to(tl.float32))
    tl.store(coefficients_at + width + 1, any_valid.to(tl.float32))


@triton.jit
def _totals(partial_at, ROWS: tl.constexpr, PIECES: tl.constexpr, PROGRAMS: tl.constexpr):
    """The products of all pairs with the new pair's two halves and with the gradient, summed over the programs."""
    row = tl.arange(0, ROWS)
    with_s = tl.zeros((ROWS,), tl.float64)
    with_y = tl.zeros((ROWS,), tl.float64)
    with_g = tl.zeros((ROWS,), tl.float64)
    piece = tl.arange(0, PIECES)
    for first in range(0, PROGRAMS, PIECES):
        at = partial_at + (first + piece[:, None]) * 3 * ROWS + row[None, :]
        with_s += tl.sum(tl.load(at).to(tl.float64), 0)
        with_y += tl.sum(tl.load(at + ROWS).to(tl.float64), 0)
        with_g += tl.sum(tl.load(at + 2 * ROWS).to(tl.float64), 0)
    return with_s, with_y, with_g


@triton.jit
def _write_products(products_at, with_s, with_y, slot, M: tl.constexpr, ROWS: tl.constexpr):
    """The new pair's two rows and columns of the matrix of products."""
    row = tl.arange(0, ROWS)
    width: tl.constexpr = 2 * M
    real = row < width
    tl.store(products_at + slot * width + row, with_s, mask=real)
    tl.store(products_at + row * width + slot, with_s, mask=real)
    tl.store(products_at + (slot + M) * width + row, with_y, mask=real)
    tl.store(products_at + row * width + slot + M, with_y, mask=real)


@triton.jit
def _two_loops(products_at, valid_at, with_g, slot, M: tl.constexpr, ROWS: tl.constexpr):
    """H g by Nocedal and Wright's algorithm 7.4 on the products alone: (coefficients of the pairs, gamma, whether any
    pair is valid)."""
    row = tl.arange(0, ROWS)
    width: tl.constexpr = 2 * M
    real = row < width
    found = tl.zeros((ROWS,), tl.float64)
    alphas = tl.zeros((ROWS,), tl.float64)
    gamma = tl.full((), 1.0, tl.float64)
    any_valid = tl.full((), 0, tl.int32)
    for age in range(M):
        i = (slot - age + M) % M
        valid = tl.load(valid_at + i) != 0
        sy = tl.load(products_at + i * width + i + M)
        yy = tl.load(products_at + (i + M) * width + i + M)
        gamma = tl.where(valid & (any_valid == 0), sy / tl.maximum(yy, 2.3e-308), gamma)
        any_valid = any_valid | valid.to(tl.int32)
        products = tl.load(products_at + i * width + row, mask=real, other=0.0)
        along = tl.sum(found * products) + tl.sum(tl.where(row == i, with_g, 0.0))
        alpha = tl.where(valid, along / tl.where(valid, sy, 1.0), 0.0)
        found = tl.where(row == i + M, -alpha, found)
        alphas = tl.where(row == i, alpha, alphas)
    found = found * gamma
    for younger in range(M):
        i = (slot + 1 + younger) % M
        valid = tl.load(valid_at + i) != 0
        sy = tl.load(products_at + i * width + i + M)
        products = tl.load(products_at + (i + M) * width + row, mask=real, other=0.0)
        along = tl.sum(found * products) + gamma * tl.sum(tl.where(row == i + M, with_g, 0.0))
        alpha = tl.sum(tl.where(row == i, alphas, 0.0))
        beta = tl.where(valid, along / tl.where(valid, sy, 1.0), 0.0)
        found = tl.where(row == i, alpha - beta, found)
    return found, gamma, any_valid


@triton.jit
def _direction(
    g_at, pairs_at, coefficients_at, direction_at, lengths_at, count,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, PROGRAMS: tl.constexpr,
):  # fmt: skip
    """The direction from its coefficients, and this program's share of the sum of its absolute values."""
    length = tl.zeros((BLOCK,), tl.float32)
    of_gradient = tl.load(coefficients_at + ROWS)
    for start in range(tl.program_id(0) * BLOCK, count, PROGRAMS * BLOCK):
        at = start + tl.arange(0, BLOCK)
        inside = at < count
        found = of_gradient * tl.load(g_at + at, mask=inside, other=0.0)
        for row in tl.static_range(ROWS):
            pair = tl.load(pairs_at + row * count.to(tl.int64) + at, mask=inside, other=0.0)
            found += tl.load(coefficients_at + row) * pair
        tl.store(direction_at + at, found, mask=inside)
        length += tl.abs(found)
    tl.store(lengths_at + tl.program_id(0), tl.sum(length))


@triton.jit
def _move(
    x_at, direction_at, lengths_at, coefficients_at, count,
    ROWS: tl.constexpr, FIRST_STEP: tl.constexpr, LONGEST_STEP: tl.constexpr,
    BLOCK: tl.constexpr, PROGRAMS: tl.constexpr,
):  # fmt: skip
    """Write x plus the limited direction over the direction (``LBFGS._limited``)."""
    mean = tl.maximum(tl.sum(tl.load(lengths_at + tl.arange(0, PROGRAMS))) / count, 1.2e-38)
    known = tl.load(coefficients_at + ROWS + 1) > 0
    share = tl.where(known, tl.minimum(LONGEST_STEP / mean, 1.0), FIRST_STEP / mean)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    moved = tl.load(x_at + at, mask=inside) + share * tl.load(direction_at + at, mask=inside)
    tl.store(direction_at + at, moved, mask=inside)
