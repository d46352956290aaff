"""The optimiser's loop body as CUDA graphs, recorded once and replayed.

An evaluation is a few hundred small kernels, which Python takes longer to launch than a GPU to run. A CUDA graph
launches them with one call, at fixed addresses: a frame's tensors are copied into the buffers of the recorded loop.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from videostyle.optimise.lbfgs import History
from videostyle.optimise.loop import WARM_UP, LoopRunner, OptimiserLoop

Body = Callable[[], None]
# (body, all tensors that it reads or writes) -> what does the same.
Record = Callable[[Body, Sequence[torch.Tensor]], Body]


class ReplayedRunner(LoopRunner):
    """A `LoopRunner` that replays recorded loops."""

    def __init__(self, loop: OptimiserLoop, graphs: "CudaGraphs") -> None:
        self._recorded = graphs.of(loop)
        super().__init__(self._recorded.loop)

    def _next(self) -> None:
        self._recorded.step_and_evaluate() if self.taken else self._recorded.evaluate()

    def history(self) -> History | None:
        """A copy: the next frame overwrites the recorded loop's own."""
        found = super().history()
        return None if found is None else found.clone()


@dataclass(frozen=True)
class RecordedLoop:
    """A loop on buffers that never move, and replays of its ``evaluate`` and ``step_and_evaluate``."""

    loop: OptimiserLoop
    evaluate: Body
    step_and_evaluate: Body


class CudaGraphs:
    """A `RecordedLoop` for each kind of frame, made for the first of its kind by ``record``."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._made: dict[Hashable, RecordedLoop] = {}

    def of(self, loop: OptimiserLoop) -> RecordedLoop:
        """The recorded loop of this kind, with the tensors of ``loop`` copied in."""
        if loop.kind not in self._made:
            own = loop.clone()
            bodies = (self.record(body, own.tensors()) for body in (own.evaluate, own.step_and_evaluate))
            self._made[loop.kind] = RecordedLoop(own, *bodies)
        recorded = self._made[loop.kind]
        recorded.loop.load(loop)
        return recorded


def record_graph(body: Body, tensors: Sequence[torch.Tensor], pool: Any = None) -> Body:
    """``body`` as a CUDA graph; ``tensors`` are left as WARM_UP calls made them, so the caller fills them again.

    ``pool``: memory for temporaries, from ``torch.cuda.graph_pool_handle``, which graphs may share if no two of them
    run at once; None: memory of its own.
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
    """The stand-in for `record_graph` without a GPU: the body itself."""
    return body
