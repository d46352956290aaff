"""The optimiser's loop body on buffers that never move, run as it is or recorded once and replayed.

On a GPU an evaluation is a few hundred small kernels: launching them from Python would take longer than running them. A
CUDA graph replays them with one call, but it only knows addresses: everything that a frame brings (features, priors,
history) is copied into the buffers of the recording. Nothing is read back to the host inside; losses are looked at
every few evaluations.
"""

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from videostyle.optimise.adam import Adam
from videostyle.optimise.lbfgs import LBFGS, History
from videostyle.perception.objective import Objective

# Columns of ``Descent.rows``.
TOTAL, CONTENT, STYLE, OWN, PART = range(5)
# Calls before a recording, which choose kernels and fill caches.
WARM_UP = 3

Body = Callable[[], None]
# Makes something that does what a body does. The tensors are all that the body changes or reads from outside.
Record = Callable[[Body, Sequence[torch.Tensor]], Body]


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


class RecordedSteps(Steps):
    """The same by replaying: one recording evaluates where the frame begins, the other goes on from there."""

    def __init__(self, descent: Descent, recordings: "Recordings") -> None:
        recording = recordings.of(descent)
        super().__init__(recording.descent)
        self._recording = recording

    def _again(self) -> None:
        self._recording.again() if self.taken else self._recording.evaluate()

    def history(self) -> History | None:
        """A copy: the next frame writes over the recording's own."""
        found = super().history()
        return None if found is None else History(found.pairs.clone(), found.valid.clone(), found.newest.clone())


@dataclass(frozen=True)
class Recording:
    """A descent on buffers that never move, and what replays ``Descent.evaluate`` and ``Descent.again`` on them."""

    descent: Descent
    evaluate: Body
    again: Body


class Recordings:
    """One recording for every kind of frame, made when the first of its kind comes."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._made: dict[Hashable, Recording] = {}

    def of(self, descent: Descent) -> Recording:
        """The recording for descents of this kind, made to stand where ``descent`` does."""
        if descent.kind not in self._made:
            own = descent.owning()
            bodies = (self._record(body, own.tensors()) for body in (own.evaluate, own.again))
            self._made[descent.kind] = Recording(own, *bodies)
        recording = self._made[descent.kind]
        recording.descent.load(descent)
        return recording


def record_graph(body: Body, tensors: Sequence[torch.Tensor], pool: Any = None) -> Body:
    """``body`` as a CUDA graph. Its tensors are left as a few calls made them: the caller fills them anew.

    ``pool``: from ``torch.cuda.graph_pool_handle``, memory for what a body makes and drops. Graphs may share it as long
    as no two of them run at once; None gives each its own.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            body()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        body()
    return graph.replay


def replayed(body: Body, tensors: Sequence[torch.Tensor]) -> Body:
    """The stand-in where there is no GPU: what is replayed is the body itself."""
    return body
