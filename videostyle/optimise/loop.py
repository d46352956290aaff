"""The optimiser's loop body on buffers that never move, and the loop that runs it as it is."""

import copy
from collections.abc import Hashable

import torch

from videostyle.losses.objective import Objective
from videostyle.optimise.adam import Adam
from videostyle.optimise.lbfgs import LBFGS, History

# Columns of ``OptimiserLoop.loss_log``.
TOTAL, CONTENT, STYLE, WITHOUT_PRIORS, REGION = range(5)
BUFFERS = ("x", "best_image", "gradient", "update_mask", "loss_log", "lowest", "count", "best")
# Calls before a recording, which choose kernels and fill caches.
WARM_UP = 3


class OptimiserLoop:
    """One frame's optimisation: `evaluate`, then `move` and `evaluate` again and again.

    ``start``: (1, 3, H, W) float32 in [0, 1]. ``update_mask``: (1, 1, H, W), 0 where it stays as it is. ``room``:
    evaluations that ``loss_log`` (room, 5) has place for: total, content, style, no priors, region. ``best_image``:
    the picture with the lowest total so far, that of evaluation ``best``, from 0. Everything stays on the device.
    """

    def __init__(
        self,
        objective: Objective,
        stepper: LBFGS | Adam,
        start: torch.Tensor,
        update_mask: torch.Tensor | None,
        room: int,
    ) -> None:
        self.objective, self.stepper = objective, stepper
        wide, device = torch.promote_types(objective.extractor.dtype, torch.float32), start.device
        self.x, self.best_image, self.gradient = start.clamp(0, 1), start.clamp(0, 1), torch.zeros_like(start)
        self.update_mask = torch.ones_like(start[:, :1]) if update_mask is None else update_mask
        spare = 2 * (WARM_UP + 1)  # for the calls that two recordings begin with
        self.loss_log = torch.zeros(room + spare, 5, dtype=wide, device=device)
        self.lowest = torch.full((1,), torch.inf, dtype=wide, device=device)
        self.count, self.best = torch.zeros(2, 1, dtype=torch.int64, device=device).clone()

    def evaluate(self) -> None:
        """Losses and gradient of the picture."""
        losses, gradient = self.objective.value_and_gradient(self.x)
        row = torch.stack((losses.total, losses.content, losses.style, losses.without_priors, losses.region), -1)
        self.loss_log.index_copy_(0, self.count, row.to(self.loss_log.dtype))
        better = losses.total < self.lowest
        torch.where(better.view(1, 1, 1, 1), self.x, self.best_image, out=self.best_image)
        self.best.copy_(torch.where(better, self.count, self.best))
        self.lowest.copy_(torch.where(better, losses.total, self.lowest))
        torch.mul(gradient, self.update_mask, out=self.gradient)
        self.count.add_(1)

    def move(self) -> None:
        """One step of the optimiser, projected onto [0, 1]."""
        self.x.copy_(self.stepper.step(self.x, self.gradient).clamp_(0, 1))

    def step_and_evaluate(self) -> None:
        self.move()
        self.evaluate()

    @property
    def kind(self) -> Hashable:
        """What a recording is good for: all frames of one kind differ in their tensors only."""
        priors = tuple(prior.weight for prior in self.objective.priors)
        tensors = len(self.objective.tensors())
        return self.objective.style.anchor_gain, priors, tensors, self.x.shape, self.loss_log.shape

    def tensors(self) -> list[torch.Tensor]:
        """Everything that evaluating and moving reads or writes, in a fixed order."""
        assert isinstance(self.stepper, LBFGS)
        own = [getattr(self, name) for name in BUFFERS]
        return [*own, *self.stepper.tensors(), *self.objective.tensors()]

    def clone(self) -> "OptimiserLoop":
        """The same on copies of all tensors."""
        assert isinstance(self.stepper, LBFGS)
        made = copy.copy(self)
        for name in BUFFERS:
            setattr(made, name, getattr(self, name).clone())
        made.stepper, made.objective = self.stepper.clone(), self.objective.clone()
        return made

    def load(self, other: "OptimiserLoop") -> None:
        """Become ``other``, of the same kind, in place."""
        for mine, theirs in zip(self.tensors(), other.tensors(), strict=True):
            mine.copy_(theirs)


class LoopRunner:
    """Takes a loop further, evaluation by evaluation."""

    def __init__(self, loop: OptimiserLoop) -> None:
        self.loop, self.taken = loop, 0

    def advance(self, count: int) -> None:
        """``count`` evaluations more."""
        for _ in range(count):
            self._next()
            self.taken += 1

    def _next(self) -> None:
        self.loop.step_and_evaluate() if self.taken else self.loop.evaluate()

    def history(self) -> History | None:
        """The curvature pairs to carry on; None with Adam."""
        return self.loop.stepper.history() if isinstance(self.loop.stepper, LBFGS) else None
