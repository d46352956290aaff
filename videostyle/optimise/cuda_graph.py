"""The loop body recorded once and replayed.

On a GPU an evaluation is a few hundred small kernels: launching them from Python would take longer than running them. A
CUDA graph replays them with one call, but it only knows addresses: everything that a frame brings (features, priors,
history) is copied into the buffers of the recording. Nothing is read back to the host inside; losses are looked at
every few evaluations.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from videostyle.optimise.lbfgs import History
from videostyle.optimise.loop import WARM_UP, LoopRunner, OptimiserLoop

Body = Callable[[], None]
# Makes something that does what a body does. The tensors are all that the body changes or reads from outside.
Record = Callable[[Body, Sequence[torch.Tensor]], Body]


class ReplayedRunner(LoopRunner):
    """The same by replaying: one recording evaluates where the frame begins, the other goes on from there."""

    def __init__(self, loop: OptimiserLoop, recordings: "CudaGraphs") -> None:
        recording = recordings.of(loop)
        super().__init__(recording.loop)
        self._recording = recording

    def _next(self) -> None:
        self._recording.step_and_evaluate() if self.taken else self._recording.evaluate()

    def history(self) -> History | None:
        """A copy: the next frame writes over the recording's own."""
        found = super().history()
        return None if found is None else History(found.pairs.clone(), found.valid.clone(), found.newest_slot.clone())


@dataclass(frozen=True)
class RecordedLoop:
    """A loop on buffers that never move, and what replays ``OptimiserLoop.evaluate`` and
    ``OptimiserLoop.step_and_evaluate`` on them.
    """

    loop: OptimiserLoop
    evaluate: Body
    step_and_evaluate: Body


class CudaGraphs:
    """One recording for every kind of frame, made when the first of its kind comes."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._made: dict[Hashable, RecordedLoop] = {}

    def of(self, loop: OptimiserLoop) -> RecordedLoop:
        """The recording for loops of this kind, made to stand where ``loop`` does."""
        if loop.kind not in self._made:
            own = loop.clone()
            bodies = (self._record(body, own.tensors()) for body in (own.evaluate, own.step_and_evaluate))
            self._made[loop.kind] = RecordedLoop(own, *bodies)
        recording = self._made[loop.kind]
        recording.loop.load(loop)
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


def run_eagerly(body: Body, tensors: Sequence[torch.Tensor]) -> Body:
    """The stand-in where there is no GPU: what is replayed is the body itself."""
    return body
