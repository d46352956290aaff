"""The optimiser's loop body on buffers that never move, and the loop that runs it as it is."""

import copy
from collections.abc import Hashable

import torch

from videostyle.losses.objective import Objective
from videostyle.optimise.adam import Adam
from videostyle.optimise.lbfgs import LBFGS, History

# Columns of ``Descent.rows``.
TOTAL, CONTENT, STYLE, OWN, PART = range(5)

# Calls before a recording, which choose kernels and fill caches.
WARM_UP = 3


class Descent:
    """One frame on its way down: `evaluate`, then `move` and `evaluate` again and again.

    ``start``: (1, 3, H, W) float32 in [0, 1]. ``free``: (1, 1, H, W), 0 where it stays as it is. ``room``: evaluations
    that ``rows`` (room, 5) has place for: total, content, style, own and part's loss. ``kept``: the picture with the
    lowest total so far, that of evaluation ``best``, from 0. Everything stays on the device.
    """

    def __init__(
        self, objective: Objective, stepper: LBFGS | Adam, start: torch.Tensor, free: torch.Tensor | None, room: int
    ) -> None:
        self.objective, self.stepper = objective, stepper
        wide, device = torch.promote_types(objective.trunk.dtype, torch.float32), start.device
        self.x, self.kept, self.gradient = start.clamp(0, 1), start.clamp(0, 1), torch.zeros_like(start)
        self.free = torch.ones_like(start[:, :1]) if free is None else free
        spare = 2 * (WARM_UP + 1)  # for the calls that two recordings begin with
        self.rows = torch.zeros(room + spare, 5, dtype=wide, device=device)
        self.lowest = torch.full((1,), torch.inf, dtype=wide, device=device)
        self.count, self.best = torch.zeros(2, 1, dtype=torch.int64, device=device).clone()

    def evaluate(self) -> None:
        """Losses and gradient of the picture."""
        losses, gradient = self.objective.value_and_gradient(self.x)
        row = torch.stack((losses.total, losses.content, losses.style, losses.own, losses.part), -1)
        self.rows.index_copy_(0, self.count, row.to(self.rows.dtype))
        better = losses.total < self.lowest
        torch.where(better.view(1, 1, 1, 1), self.x, self.kept, out=self.kept)
        self.best.copy_(torch.where(better, self.count, self.best))
        self.lowest.copy_(torch.where(better, losses.total, self.lowest))
        torch.mul(gradient, self.free, out=self.gradient)
        self.count.add_(1)

    def move(self) -> None:
        """One step of the optimiser, projected onto [0, 1]."""
        self.x.copy_(self.stepper.step(self.x, self.gradient).clamp_(0, 1))

    def again(self) -> None:
        self.move()
        self.evaluate()

    @property
    def kind(self) -> Hashable:
        """What a recording is good for: all frames of one kind differ in their tensors only."""
        priors = tuple(prior.weight for prior in self.objective.priors)
        return self.objective.style.stiffness, priors, len(self.objective.tensors()), self.x.shape, self.rows.shape

    def tensors(self) -> list[torch.Tensor]:
        """Everything that evaluating and moving reads or writes, in a fixed order."""
        assert isinstance(self.stepper, LBFGS)
        own = [self.x, self.kept, self.gradient, self.free, self.rows, self.lowest, self.count, self.best]
        return [*own, *self.stepper.tensors(), *self.objective.tensors()]

    def owning(self) -> "Descent":
        """The same on copies of all tensors."""
        assert isinstance(self.stepper, LBFGS)
        made = copy.copy(self)
        for name in ("x", "kept", "gradient", "free", "rows", "lowest", "count", "best"):
            setattr(made, name, getattr(self, name).clone())
        made.stepper, made.objective = self.stepper.owning(), self.objective.owning()
        return made

    def load(self, other: "Descent") -> None:
        """Become ``other``, of the same kind, in place."""
        for mine, theirs in zip(self.tensors(), other.tensors(), strict=True):
            mine.copy_(theirs)


class Steps:
    """Takes a descent further, evaluation by evaluation."""

    def __init__(self, descent: Descent) -> None:
        self.descent, self.taken = descent, 0

    def advance(self, count: int) -> None:
        """``count`` evaluations more."""
        for _ in range(count):
            self._again()
            self.taken += 1

    def _again(self) -> None:
        self.descent.again() if self.taken else self.descent.evaluate()

    def history(self) -> History | None:
        """The curvature pairs to carry on; None with Adam."""
        return self.descent.stepper.history() if isinstance(self.descent.stepper, LBFGS) else None
