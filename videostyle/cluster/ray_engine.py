"""Workers on a Ray cluster: a task a shot or a clip. Paths and small values go through Ray, frames never do.

Ray's own retries are off: `spread` begins a lost task again, and so can leave out a node that fails, and name the one
that failed.
"""

import math
import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from videostyle.cluster.prepare import Prepared
from videostyle.cluster.ray_nodes import (
    LOST,
    alive,
    check_nodes,
    connect,
    first_line,
    here,
    import_ray,
    kept_quiet,
    name_of,
)
from videostyle.cluster.task import Outcome, Task, carry_out, last_node
from videostyle.errors import DeviceError
from videostyle.settings import Settings, SpreadSettings
from videostyle.stylise.memory import GIB, PROGRAM_BYTES

NODES_SECONDS = 5.0  # between two looks at which nodes there are
WAITING = 8  # tasks that wait in Ray's queue at least, for its autoscaler to see
MEMORY_SHARE = 1.1  # of what painting takes by estimate


@dataclass(frozen=True)
class Needs:
    """What a task takes of a node; ``memory_bytes`` 0: nothing is reserved."""

    cpus: int
    gpus: float
    memory_bytes: int = 0


class RayOpener:
    """A cluster that is connected to. Raises MissingLibraryError, UsageError and DeviceError."""

    def __init__(self, spread: SpreadSettings, settings: Settings) -> None:
        self._ray = import_ray()
        self._mine = not self._ray.is_initialized()
        if self._mine:
            connect(self._ray, spread.ray or "auto")
        self._with_words = kept_quiet(self._ray)
        try:
            self._needs = needs_of(self._nodes(), spread, settings)
        except BaseException:
            self.close()
            raise

    def _nodes(self) -> list[dict[str, Any]]:
        return alive(self._ray.nodes())

    @property
    def room(self) -> int:
        return slots(self._nodes(), self._needs)

    def memory_gib(self, prepared: Prepared) -> float | None:
        """Never more than one process may take here, which so cuts frames into the same tiles."""
        wanted = 2 * PROGRAM_BYTES
        if not self._needs.gpus:
            settings, allowed = prepared.request.settings, prepared.allowed_bytes
            wanted = min(MEMORY_SHARE * prepared.planned_bytes, math.inf if allowed is None else allowed)
            wanted = wanted if settings.memory is None else settings.memory * GIB
        most = max((node["Resources"].get("memory", 0) for node in self._nodes()), default=0)
        if wanted > most:
            words = (
                f"a task needs about {wanted / GIB:.1f} GiB, and the largest node has {most / GIB:.1f} GiB for tasks"
            )
            raise DeviceError(f"{words}; give a smaller --size, or --memory, or ray start --memory")
        return None if self._needs.gpus else wanted / GIB

    def open(self, token: Path, files: Collection[str], logs: Path) -> "RayEngine":
        check_nodes(self._ray, self._nodes(), token.absolute(), files)
        return RayEngine(self._ray, self._needs)

    def close(self) -> None:
        if self._mine:
            self._ray.shutdown()
        self._with_words()


@dataclass
class RayEngine:
    """`spread.Engine` on a cluster that is connected to."""

    ray: Any
    needs: Needs
    _running: dict[Any, Task] = field(default_factory=dict)
    _avoided: dict[Any, set[str]] = field(default_factory=dict)  # numbers of nodes that a task waits for others of
    _paint: Any = None
    _room: int = 0
    _looked: float = -NODES_SECONDS

    @property
    def room(self) -> int:
        """As many as run at a time, and some that wait; nodes may come and go."""
        if time.monotonic() - self._looked >= NODES_SECONDS:
            nodes = alive(self.ray.nodes())
            there = slots(nodes, self.needs)  # by CPUs and GPUs: Ray has tasks wait for memory
            self._room, self._looked = there + max(WAITING, there // 4), time.monotonic()
            self._let_go(nodes)
        return self._room

    def _let_go(self, nodes: list[dict[str, Any]]) -> None:
        """Tasks that wait for other nodes than those that are left take any."""
        for reference, bad in list(self._avoided.items()):
            needs = self._needs_of(self._running[reference])
            if slots(nodes, needs) and not slots(_without(nodes, bad), needs):
                self.ray.cancel(reference)
                del self._avoided[reference]
                self.submit(self._running.pop(reference), ())

    def submit(self, task: Task, avoid: Collection[str]) -> None:
        needs = self._needs_of(task)
        own = replace(task, threads=needs.cpus, memory_share=min(1.0, needs.gpus or 1.0))
        options: dict[str, Any] = {"scheduling_strategy": "SPREAD", "memory": needs.memory_bytes}
        nodes = alive(self.ray.nodes())
        bad = {node["NodeID"] for node in nodes if name_of(node) in avoid}
        if bad and slots(_without(nodes, bad), needs):
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(bad))})"}
        else:
            bad.clear()
        if self._paint is None:  # once: Ray keeps every function that it is given
            share = {"num_cpus": needs.cpus, "num_gpus": needs.gpus}
            self._paint = self.ray.remote(max_retries=0, **share)(paint_here)
        reference = self._paint.options(**options).remote(own)
        self._running[reference] = task
        if bad:
            self._avoided[reference] = bad

    def _needs_of(self, task: Task) -> Needs:
        gib = task.memory_gib
        return replace(self.needs, memory_bytes=round(2 * PROGRAM_BYTES if gib is None else gib * GIB))

    def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
        ready, _ = self.ray.wait(list(self._running), num_returns=1, timeout=seconds, fetch_local=True)
        if ready:  # and whatever else is
            ready, _ = self.ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [self._outcome(reference) for reference in ready]

    def _outcome(self, reference: Any) -> tuple[Task, Outcome]:
        task = self._running.pop(reference)
        self._avoided.pop(reference, None)
        try:
            return task, self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            words = LOST.get(type(error).__name__) or f"{type(error).__name__}: {first_line(error)}"
            named = [name_of(node) for node in self.ray.nodes() if node["NodeID"] in str(error)]
            where = named[0] if named else last_node(task) or "an unknown node"  # none: it was lost before it began
            return task, Outcome(where, words, again=True)

    def close(self) -> None:
        for reference in self._running:
            self.ray.cancel(reference, force=True)
        self._running.clear()


def _without(nodes: list[dict[str, Any]], bad: Collection[str]) -> list[dict[str, Any]]:
    return [node for node in nodes if node["NodeID"] not in bad]


def paint_here(task: Task) -> Outcome:
    """What a worker of Ray does: `carry_out`, under the name of its node."""
    return carry_out(task, here())


def needs_of(nodes: list[dict[str, Any]], spread: SpreadSettings, settings: Settings) -> Needs:
    """A task's share: a GPU where there are some, and all CPUs of the smallest node, or of a GPU's part of it.

    Raises DeviceError for a cluster that can never carry out a task.
    """
    gpus = spread.ray_gpus
    if gpus is None:
        there = any(node["Resources"].get("GPU", 0) >= 1 for node in nodes)
        gpus = 1.0 if there and settings.device in ("auto", "cuda") else 0.0
    fit = [node["Resources"] for node in nodes if node["Resources"].get("GPU", 0) >= gpus]
    shares = [int(have["CPU"] // max(1.0, have.get("GPU", 0) / gpus if gpus else 1.0)) for have in fit]
    cpus = spread.ray_cpus or max(1, min(shares, default=1))
    needs = Needs(cpus, int(gpus) if gpus == int(gpus) else gpus)
    if not slots(nodes, needs):
        have = f"{len(nodes)} nodes with CPUs" if nodes else "no node with CPUs"
        words = f"a task needs {cpus} CPUs and {gpus:g} GPUs; the cluster has {have}, and none with so many"
        raise DeviceError(f"{words}: give --ray-cpus and --ray-gpus that fit, or add nodes")
    return needs


def slots(nodes: list[dict[str, Any]], needs: Needs) -> int:
    """How many tasks run at a time."""
    found = 0
    for node in nodes:
        have = node["Resources"]
        fit = [have.get("CPU", 0) // needs.cpus]
        if needs.gpus:
            fit.append(have.get("GPU", 0) // needs.gpus)
        if needs.memory_bytes:
            fit.append(have.get("memory", 0) // needs.memory_bytes)
        found += int(min(fit))
    return found
