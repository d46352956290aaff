"""L-BFGS without a line search, in matrix form, with a history that is carried to the next frame and warped with it.

The direction is -H g with the compact representation of the inverse Hessian (Byrd, Nocedal and Schnabel 1994, theorem
2.2) instead of the two-loop recursion: two products over the pixels and a few small matrices, the same number of
operations whatever the history holds. Nothing is read back to the host inside an iteration.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from videostyle.kernels.loader import load_tested

# A pair (s, y) says something about the curvature only if s.y > PAIR_ANGLE |s||y|. The rule has no scale of its own:
# torch's absolute 1e-10 drops every pair of a loss of small scale, and then L-BFGS stalls.
PAIR_ANGLE = 1e-8
# Without curvature pairs the first step changes pixels by this much on average (pixels in [0, 1]).
FIRST_STEP = 1 / 255
# No step changes pixels by more than this on average: there is no line search to catch a wild one.
LONGEST_STEP = 32 / 255


@dataclass(frozen=True)
class History:
    """Up to m pairs (s, y) of steps and gradient differences.

    ``pairs``: float32 (2m, 3, H, W), the m steps first, then the m gradient differences, each a ring.
    ``valid``: bool (m,), False where a slot is empty or its pair was rejected. Rejected pairs are masked, not removed:
    shapes never change, which a captured CUDA graph needs.
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

    def warped(self, warp: Callable[[torch.Tensor], torch.Tensor], mask: torch.Tensor | None = None) -> "History":
        """The history moved along with the picture, zero where ``mask`` (1, 1, H, W) does not trust the warp.

        ``warp`` gives a new tensor, masked in place: memory that is new at every frame costs more than the product.
        """
        pairs = warp(self.pairs)
        return History(pairs if mask is None else pairs.mul_(mask), self.valid, self.newest_slot)


class LBFGS:
    """Takes gradients, gives the next picture. ``history`` is where it goes on from, and what it leaves behind."""

    def __init__(self, history: History) -> None:
        self.pairs = history.pairs.clone().flatten(1)
        self.shape, self.newest_slot = history.pairs.shape, history.newest_slot.clone()
        self.products = inner_products(self.pairs, self.pairs)  # among s and y, (2m, 2m)
        self.valid = history.valid & self._has_positive_curvature()
        self.last_x, self.last_g = self.pairs.new_zeros(2, self.pairs.shape[1])
        # Whether there was a step: what is recorded has to ask a tensor.
        self.has_previous: bool | torch.Tensor = False

    @property
    def size(self) -> int:
        return self.valid.shape[0]

    def history(self) -> History:
        """The pairs as they are now."""
        return History(self.pairs.view(self.shape), self.valid, self.newest_slot)

    def tensors(self) -> list[torch.Tensor]:
        """All that a step reads or writes."""
        has_previous = torch.as_tensor(self.has_previous, device=self.valid.device)
        return [self.pairs, self.products, self.valid, self.newest_slot, self.last_x, self.last_g, has_previous]

    def clone(self) -> "LBFGS":
        """The same on copies of its tensors; whether there was a step is one of them."""
        made, without_priors = copy.copy(self), [t.clone() for t in self.tensors()]
        made.pairs, made.products, made.valid, made.newest_slot, made.last_x, made.last_g, made.has_previous = (
            without_priors
        )
        return made

    def step(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """The picture to try next, from the picture ``x`` and its gradient ``g``, both (1, 3, H, W) float32."""
        if isinstance(self.has_previous, torch.Tensor) and x.is_cuda and (kernels := loaded_kernels()):
            return kernels.step(self.tensors(), x, g, PAIR_ANGLE, FIRST_STEP, LONGEST_STEP)
        flat = g.flatten()
        products = self._append_pair(x.flatten() - self.last_x, flat - self.last_g, flat)
        # In place, as everything here: buffers that a CUDA graph knows must not move.
        self.last_x.copy_(x.flatten())
        self.last_g.copy_(flat)
        if isinstance(self.has_previous, torch.Tensor):
            self.has_previous.fill_(True)
        else:
            self.has_previous = True
        return x + self._limited(self.direction(flat, products)).view_as(x)

    def _append_pair(self, s: torch.Tensor, y: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Write a pair over the oldest one and bring the products up to date. Returns those of the pairs with ``g``.

        All products with the pairs are taken in one pass over them, which is what a step costs.
        """
        m, pair = self.size, torch.stack((s, y))
        self.newest_slot.add_(self.has_previous).remainder_(m)
        slots = torch.stack((self.newest_slot, self.newest_slot + m))
        if self.has_previous is not True:  # before the first step, the newest pair over itself
            has_previous = torch.as_tensor(self.has_previous, device=pair.device)
            pair = torch.where(has_previous, pair, self.pairs.index_select(0, slots))
        self.pairs.index_copy_(0, slots, pair)
        products = inner_products(torch.cat((pair, g[None])), self.pairs)  # (3, 2m)
        loss_log = products[:2]
        self.products.index_copy_(0, slots, loss_log)
        self.products.index_copy_(1, slots, loss_log.T.contiguous())
        written = torch.arange(m, device=s.device) == self.newest_slot
        self.valid.copy_(
            torch.where(written, self._has_positive_curvature() & (self.valid | self.has_previous), self.valid)
        )
        return products[2]

    def _has_positive_curvature(self) -> torch.Tensor:
        """bool (m,): which pairs have s.y > PAIR_ANGLE |s||y|."""
        m = self.pairs.shape[0] // 2
        norms = self.products.diagonal().sqrt()
        return self.products[:m, m:].diagonal() > PAIR_ANGLE * norms[:m] * norms[m:]

    def direction(self, g: torch.Tensor, products: torch.Tensor | None = None) -> torch.Tensor:
        """-H g for a flat gradient; -g where there is no valid pair. ``products``: those of the pairs with ``g``.

        H g = gamma g + S R^-T ((D + gamma Y'Y) R^-1 S'g - gamma Y'g) - gamma Y R^-1 S'g, where R is the upper triangle
        of S'Y in order of time and D its diagonal. A rejected pair's row and column become the identity's.
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
        return -(gamma.to(g.dtype) * g + coefficients.to(g.dtype) @ self.pairs)

    def _scale(self) -> torch.Tensor:
        """gamma = s.y / y.y of the newest valid pair (Nocedal and Wright, eq. 7.20); 1 where there is none."""
        m = self.size
        age = (self.newest_slot - torch.arange(m, device=self.valid.device)) % m
        # masked_fill, not where: a number would be copied to a GPU, and a copy from the host ends a recording;
        # index_select: indexing with a tensor of no dimension would read it back to the host
        youngest = age.masked_fill(~self.valid, m).argmin().view(1)
        sy, yy = (
            p.diagonal().index_select(0, youngest).squeeze(0) for p in (self.products[:m, m:], self.products[m:, m:])
        )
        return (sy / yy.clamp_min(torch.finfo(torch.float64).tiny)).masked_fill(~self.valid.any(), 1.0)

    def _limited(self, d: torch.Tensor) -> torch.Tensor:
        """The direction as a step: as it is with curvature known, FIRST_STEP without, never above LONGEST_STEP."""
        mean = d.abs().mean().clamp_min(torch.finfo(d.dtype).tiny)
        known = (LONGEST_STEP / mean).clamp_max(1.0)
        return d * torch.where(self.valid.any(), known, FIRST_STEP / mean)


# A whole step in a few kernels of our own on a GPU.
loaded_kernels = partial(load_tested, "videostyle.kernels.lbfgs")


# What a product over the pixels is cut into on a GPU, where one long sum would keep one multiprocessor busy.
GPU_CHUNKS = 256


def inner_products(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a b' in float64 of float32 (n, P) and (m, P), the sums over P in float32 as the device does them best."""
    if a.device.type != "cuda" or a.shape[1] < 16 * GPU_CHUNKS:
        return (a @ b.T).double()
    whole = a.shape[1] // GPU_CHUNKS * GPU_CHUNKS
    chunks, others = (t[:, :whole].view(len(t), GPU_CHUNKS, -1).transpose(0, 1) for t in (a, b))
    rest = a[:, whole:] @ b[:, whole:].T
    return torch.bmm(chunks, others.transpose(1, 2)).double().sum(0) + rest
