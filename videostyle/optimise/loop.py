"""The optimiser's loop body on buffers that never move, and the runner that calls it directly."""

import copy
from collections.abc import Hashable

import torch

from videostyle.losses.objective import Objective
from videostyle.optimise.adam import Adam
from videostyle.optimise.lbfgs import LBFGS, History

Stepper = LBFGS | Adam
# Columns of ``OptimiserLoop.loss_log``.
TOTAL, CONTENT, STYLE, WITHOUT_PRIORS, REGION = range(5)
BUFFERS = ("x", "best_image", "gradient", "update_mask", "loss_log", "lowest", "count", "best")
# Calls of a body before it is recorded, which choose kernels and fill caches.
WARM_UP = 3


class OptimiserLoop:
    """One frame's optimisation: `evaluate`, then `step_and_evaluate` again and again.

    ``start``: (1, 3, H, W) float32 in [0, 1]. ``update_mask``: (1, 1, H, W), 0 where the picture stays as it is.
    ``room``: evaluations that ``loss_log`` has rows for; its columns are named above. ``best_image``: the picture with
    the lowest total so far, that of evaluation ``best``, from 0. Everything stays on the device.
    """

    def __init__(
        self, objective: Objective, stepper: Stepper, start: torch.Tensor, update_mask: torch.Tensor | None, room: int
    ) -> None:
        self.objective, self.stepper = objective, stepper
        wide, device = torch.promote_types(objective.extractor.dtype, torch.float32), start.device
        self.x, self.best_image, self.gradient = start.clamp(0, 1), start.clamp(0, 1), torch.zeros_like(start)
        self.update_mask = torch.ones_like(start[:, :1]) if update_mask is None else update_mask
        spare = 2 * (WARM_UP + 1)  # rows of the warm-up calls of two recordings
        self.loss_log = torch.zeros(room + spare, 5, dtype=wide, device=device)
        self.lowest = torch.full((1,), torch.inf, dtype=wide, device=device)
        self.count, self.best = torch.zeros(2, 1, dtype=torch.int64, device=device).clone()

    def evaluate(self) -> None:
        """Write the losses and the gradient of the picture to the buffers."""
        losses, gradient = self.objective.value_and_gradient(self.x)
        row = torch.stack((losses.total, losses.content, losses.style, losses.without_priors, losses.region), -1)
        self.loss_log.index_copy_(0, self.count, row.to(self.loss_log.dtype))
        better = losses.total < self.lowest
        torch.where(better.view(1, 1, 1, 1), self.x, self.best_image, out=self.best_image)
        self.best.copy_(torch.where(better, self.count, self.best))
        self.lowest.copy_(torch.where(better, losses.total, self.lowest))
        torch.mul(gradient, self.update_mask, out=self.gradient)
        self.count.add_(1)

    def step_and_evaluate(self) -> None:
        """One step of the optimiser, projected onto [0, 1], and `evaluate`."""
        self.x.copy_(self.stepper.step(self.x, self.gradient).clamp_(0, 1))
        self.evaluate()

    @property
    def kind(self) -> Hashable:
        """Equal for loops that differ in the values of their tensors only: one recorded loop serves them all."""
        priors = tuple(prior.weight for prior in self.objective.priors)
        gains = tuple(area.target.anchor_gain for area in self.objective.areas)
        weights = self.objective.weights.content, self.objective.weights.style, self.objective.weights.tv
        tensors = tuple(t.shape for t in self.objective.tensors())
        return gains, weights, priors, tensors, self.x.shape, self.loss_log.shape

    def tensors(self) -> list[torch.Tensor]:
        """All tensors that a body reads or writes, in a fixed order."""
        assert isinstance(self.stepper, LBFGS)
        own = [getattr(self, name) for name in BUFFERS]
        return [*own, *self.stepper.tensors(), *self.objective.tensors()]

    def clone(self) -> "OptimiserLoop":
        """A copy with tensors of its own."""
        assert isinstance(self.stepper, LBFGS)
        made = copy.copy(self)
        for name in BUFFERS:
            setattr(made, name, getattr(self, name).clone())
        made.stepper, made.objective = self.stepper.clone(), self.objective.clone()
        return made

    def load(self, other: "OptimiserLoop") -> None:
        """Copy the tensors of ``other``, of the same kind, into this loop's own."""
        for mine, theirs in zip(self.tensors(), other.tensors(), strict=True):
            mine.copy_(theirs)


class LoopRunner:
    """Runs a loop, evaluation by evaluation; ``taken``: evaluations so far."""

    def __init__(self, loop: OptimiserLoop) -> None:
        self.loop, self.taken = loop, 0

    def advance(self, count: int) -> None:
        """Take ``count`` more evaluations."""
        for _ in range(count):
            self._next()
            self.taken += 1

    def _next(self) -> None:
        self.loop.step_and_evaluate() if self.taken else self.loop.evaluate()

    def history(self) -> History | None:
        """The curvature pairs to carry on; None with Adam."""
        return self.loop.stepper.history() if isinstance(self.loop.stepper, LBFGS) else None
