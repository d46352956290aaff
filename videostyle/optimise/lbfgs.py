"""L-BFGS without a line search, in matrix form, with a history that is carried to the next frame and warped with it.

The direction is -H g by the compact representation of the inverse Hessian (Byrd, Nocedal and Schnabel 1994, theorem
2.2), not by the two-loop recursion: two products over the pixels and a few small matrices, whatever the history holds.
An iteration never waits for the device.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from videostyle.kernels.loader import load_tested

# A pair (s, y) is valid if s.y > PAIR_ANGLE |s||y|. Relative: torch's absolute 1e-10 drops every pair of a small loss.
PAIR_ANGLE = 1e-8
# Mean change of the pixels, in [0, 1], by a step without valid pairs.
FIRST_STEP = 1 / 255
# Largest mean change by any step, since there is no line search.
LONGEST_STEP = 32 / 255
# Pieces of a product over the pixels on a GPU, where one long sum would keep one multiprocessor busy.
GPU_CHUNKS = 256
loaded_kernels = partial(load_tested, "videostyle.kernels.lbfgs")


@dataclass(frozen=True)
class History:
    """Up to m pairs (s, y) of steps and gradient differences.

    ``pairs``: float32 (2m, 3, H, W), the m steps first, then the m gradient differences, each a ring.
    ``valid``: bool (m,), False where a slot is empty or its pair was rejected: a CUDA graph needs fixed shapes.
    ``newest_slot``: int64 scalar tensor, the slot written last.
    """

    pairs: torch.Tensor
    valid: torch.Tensor
    newest_slot: torch.Tensor

    @classmethod
    def empty(cls, size: int, shape: tuple[int, int], device: torch.device | str = "cpu") -> "History":
        """No pairs yet: ``size`` slots for pictures of ``shape`` = (H, W)."""
        return cls(
            pairs=torch.zeros(2 * size, 3, *shape, device=device),
            valid=torch.zeros(size, dtype=torch.bool, device=device),
            newest_slot=torch.full((), size - 1, dtype=torch.int64, device=device),
        )

    @property
    def size(self) -> int:
        return self.valid.shape[0]

    def newest(self, count: int) -> "History":
        """The last ``count`` pairs alone."""
        m = self.size
        ages = torch.arange(min(count, m) - 1, -1, -1, device=self.valid.device)
        slots = (self.newest_slot - ages) % m
        pairs = self.pairs[torch.cat((slots, slots + m))]
        return History(pairs, self.valid[slots], torch.full_like(self.newest_slot, len(slots) - 1))

    def clone(self) -> "History":
        """The same with tensors of its own."""
        return History(self.pairs.clone(), self.valid.clone(), self.newest_slot.clone())

    def warped(self, warp: Callable[[torch.Tensor], torch.Tensor], mask: torch.Tensor | None = None) -> "History":
        """The history moved along with the picture, zero where ``mask`` (1, 1, H, W) does not trust the warp.

        ``warp`` must give a new tensor, which is masked in place.
        """
        pairs = warp(self.pairs)
        return History(pairs if mask is None else pairs.mul_(mask), self.valid, self.newest_slot)


class LBFGS:
    """From a picture and its gradient to the next picture, beginning with the pairs of ``history``.

    It overwrites them: a second copy would be the largest part of what a large picture takes.
    """

    def __init__(self, history: History) -> None:
        self.pairs = history.pairs.flatten(1)
        self.shape, self.newest_slot = history.pairs.shape, history.newest_slot.clone()
        self.products = inner_products(self.pairs, self.pairs)  # among s and y, (2m, 2m)
        self.valid = history.valid & self._has_positive_curvature()
        self.last_x, self.last_g = self.pairs.new_zeros(2, self.pairs.shape[1])
        # Whether there was a step; a tensor in what ``clone`` gives, since a CUDA graph can only read a tensor.
        self.has_previous: bool | torch.Tensor = False

    @property
    def size(self) -> int:
        return self.valid.shape[0]

    def history(self) -> History:
        """The pairs as they are now."""
        return History(self.pairs.view(self.shape), self.valid, self.newest_slot)

    def tensors(self) -> list[torch.Tensor]:
        """All tensors that a step reads or writes, in a fixed order."""
        has_previous = torch.as_tensor(self.has_previous, device=self.valid.device)
        return [self.pairs, self.products, self.valid, self.newest_slot, self.last_x, self.last_g, has_previous]

    def clone(self) -> "LBFGS":
        """A copy with tensors of its own, ``has_previous`` among them."""
        made, own = copy.copy(self), [t.clone() for t in self.tensors()]
        made.pairs, made.products, made.valid, made.newest_slot, made.last_x, made.last_g, made.has_previous = own
        return made

    def step(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """The picture to try next, from the picture ``x`` and its gradient ``g``, both (1, 3, H, W) float32."""
        if isinstance(self.has_previous, torch.Tensor) and x.is_cuda and (kernels := loaded_kernels()):
            return kernels.step(self.tensors(), x, g, PAIR_ANGLE, FIRST_STEP, LONGEST_STEP)
        flat = g.flatten()
        products = self._append_pair(torch.stack((x.flatten() - self.last_x, flat - self.last_g, flat)))
        # In place, as everything here: a CUDA graph needs fixed addresses.
        self.last_x.copy_(x.flatten())
        self.last_g.copy_(flat)
        if isinstance(self.has_previous, torch.Tensor):
            self.has_previous.fill_(True)
        else:
            self.has_previous = True
        return x + self._limited(self.direction(flat, products)).view_as(x)

    def _append_pair(self, new: torch.Tensor) -> torch.Tensor:
        """Write a pair over the oldest one and update the products. Returns the products of the pairs with g.

        ``new``: s, y and g, (3, P). One pass over the pairs, which takes most of a step's time.
        """
        m = self.size
        self.newest_slot.add_(self.has_previous).remainder_(m)
        slots = torch.stack((self.newest_slot, self.newest_slot + m))
        if self.has_previous is not True:  # before the first step, the newest pair over itself
            has_previous = torch.as_tensor(self.has_previous, device=new.device)
            new[:2] = torch.where(has_previous, new[:2], self.pairs.index_select(0, slots))
        self.pairs.index_copy_(0, slots, new[:2])
        products = inner_products(new, self.pairs)  # (3, 2m)
        self.products.index_copy_(0, slots, products[:2])
        self.products.index_copy_(1, slots, products[:2].T.contiguous())
        written = torch.arange(m, device=new.device) == self.newest_slot
        curved = self._has_positive_curvature() & (self.valid | self.has_previous)
        self.valid.copy_(torch.where(written, curved, self.valid))
        return products[2]

    def _has_positive_curvature(self) -> torch.Tensor:
        """bool (m,): which pairs have s.y > PAIR_ANGLE |s||y|."""
        m = self.pairs.shape[0] // 2
        norms = self.products.diagonal().sqrt()
        return self.products[:m, m:].diagonal() > PAIR_ANGLE * norms[:m] * norms[m:]

    def direction(self, g: torch.Tensor, products: torch.Tensor | None = None) -> torch.Tensor:
        """-H g for a flat gradient (P,); -g where there is no valid pair. ``products``: of the pairs with ``g``, (2m,).

        H g = gamma g + S R^-T ((D + gamma Y'Y) R^-1 S'g - gamma Y'g) - gamma Y R^-1 S'g, where R is the upper triangle
        of S'Y in order of time and D its diagonal. Departure: a rejected pair's row and column are the identity's.
        """
        m = self.size
        order = (self.newest_slot + 1 + torch.arange(m, device=g.device)) % m  # oldest first
        valid = self.valid[order].double()
        both = valid[:, None] * valid[None, :]
        sy = self.products[:m, m:][order][:, order] * both
        yy = self.products[m:, m:][order][:, order] * both
        products = inner_products(g[None], self.pairs)[0] if products is None else products
        sg, yg = products.view(2, m)[:, order] * valid
        gamma = self._scale()
        r = torch.triu(sy) + torch.diag(1 - valid)
        u = torch.linalg.solve_triangular(r, sg[:, None], upper=True)
        inner = sy.diagonal()[:, None] * u + gamma * (yy @ u) - gamma * yg[:, None]
        top = torch.linalg.solve_triangular(r.T, inner, upper=False)
        coefficients = torch.zeros_like(self.products[0])
        coefficients.index_copy_(0, torch.cat((order, order + m)), torch.cat((top, -gamma * u)).flatten())
        return (gamma.to(g.dtype) * g).add_(coefficients.to(g.dtype) @ self.pairs).neg_()

    def _scale(self) -> torch.Tensor:
        """gamma = s.y / y.y of the newest valid pair (Nocedal and Wright, eq. 7.20); 1 where there is none."""
        m = self.size
        age = (self.newest_slot - torch.arange(m, device=self.valid.device)) % m
        # masked_fill and index_select: where and indexing copy between host and device, which a CUDA graph cannot
        youngest = age.masked_fill(~self.valid, m).argmin().view(1)
        blocks = self.products[:m, m:], self.products[m:, m:]
        sy, yy = (block.diagonal().index_select(0, youngest).squeeze(0) for block in blocks)
        return (sy / yy.clamp_min(torch.finfo(torch.float64).tiny)).masked_fill(~self.valid.any(), 1.0)

    def _limited(self, d: torch.Tensor) -> torch.Tensor:
        """The step for a direction: at most LONGEST_STEP; FIRST_STEP along it where no pair is valid."""
        mean = d.abs().mean().clamp_min(torch.finfo(d.dtype).tiny)
        known = (LONGEST_STEP / mean).clamp_max(1.0)
        return d * torch.where(self.valid.any(), known, FIRST_STEP / mean)


def inner_products(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a b' of float32 (n, P) and (m, P), as float64; the sums over P are float32, in pieces on a GPU."""
    if a.device.type != "cuda" or a.shape[1] < 16 * GPU_CHUNKS:
        return (a @ b.T).double()
    whole = a.shape[1] // GPU_CHUNKS * GPU_CHUNKS
    chunks, others = (t[:, :whole].view(len(t), GPU_CHUNKS, -1).transpose(0, 1) for t in (a, b))
    rest = a[:, whole:] @ b[:, whole:].T
    return torch.bmm(chunks, others.transpose(1, 2)).double().sum(0) + rest
