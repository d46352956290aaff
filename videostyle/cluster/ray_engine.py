"""Workers on a Ray cluster: a task a shot or a clip. Paths and small values go through Ray, frames never do.

Only this file knows Ray, and only when it is asked for. Ray's own retries are off: `spread` begins a lost task again,
and so can leave out a node that fails, and name the one that failed.
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from videostyle.cluster.folder import is_visible
from videostyle.cluster.prepare import Prepared
from videostyle.cluster.task import Outcome, Task, carry_out, last_node, node_name
from videostyle.device import cores
from videostyle.errors import DeviceError, MediaError, MissingLibraryError, UsageError
from videostyle.settings import Settings, SpreadSettings
from videostyle.stylise.memory import GIB, PROGRAM_BYTES
from videostyle.version import __version__

ANSWER_SECONDS = 5.0  # that an address is given to answer
CHECK_SECONDS = 120.0  # that all nodes are given to say whether they see the folder: Ray starts a worker for it
NODES_SECONDS = 5.0  # between two looks at which nodes there are
WAITING = 8  # tasks that wait in Ray's queue at least, for its autoscaler to see
MEMORY_SHARE = 1.1  # of what painting takes by estimate
# What a lost task's exception means, by the name of its class.
LOST = {
    "NodeDiedError": "the node died",
    "WorkerCrashedError": "the worker died, or its node did",
    "OutOfMemoryError": "the worker was killed, as its node ran out of memory",
}


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

    def open(self, prepared: Prepared, logs: Path, token: Path) -> "RayEngine":
        settings, nodes = prepared.request.settings, self._nodes()
        planned = settings.memory * GIB if settings.memory is not None else MEMORY_SHARE * prepared.memory_bytes
        wanted = round(planned if not self._needs.gpus else 2 * PROGRAM_BYTES)
        most = max((node["Resources"].get("memory", 0) for node in nodes), default=0)
        if wanted > most:
            words = (
                f"a task needs about {wanted / GIB:.1f} GiB, and the largest node has {most / GIB:.1f} GiB for tasks"
            )
            raise DeviceError(f"{words}; give a smaller --size, or --memory, or ray start --memory")
        check_nodes(self._ray, nodes, token.absolute())
        return RayEngine(self._ray, replace(self._needs, memory_bytes=wanted))

    def close(self) -> None:
        if self._mine:
            self._ray.shutdown()


@dataclass
class RayEngine:
    """`spread.Engine` on a cluster that is connected to."""

    ray: Any
    needs: Needs
    _running: dict[Any, Task] = field(default_factory=dict)
    _paint: Any = None
    _room: int = 0
    _looked: float = -NODES_SECONDS

    @property
    def room(self) -> int:
        """As many as run at a time, and some that wait; nodes may come and go."""
        if time.monotonic() - self._looked >= NODES_SECONDS:
            there = slots(alive(self.ray.nodes()), self.needs)
            self._room, self._looked = there + max(WAITING, there // 4), time.monotonic()
        return self._room

    def submit(self, task: Task, avoid: Collection[str]) -> None:
        needs = self.needs
        own = replace(task, threads=needs.cpus, memory_gib=None if needs.gpus else needs.memory_bytes / GIB)
        options: dict[str, Any] = {"scheduling_strategy": "SPREAD"}
        nodes = alive(self.ray.nodes())
        bad = [node["NodeID"] for node in nodes if name_of(node) in avoid]
        if bad and len(bad) < len([node for node in nodes if slots([node], needs)]):
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(bad)})"}
        if self._paint is None:  # once: Ray keeps every function that it is given
            share = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "memory": needs.memory_bytes}
            self._paint = self.ray.remote(max_retries=0, **share)(paint_here)
        self._running[self._paint.options(**options).remote(own)] = task

    def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
        ready, _ = self.ray.wait(list(self._running), num_returns=1, timeout=seconds, fetch_local=True)
        if ready:  # and whatever else is
            ready, _ = self.ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [self._outcome(reference) for reference in ready]

    def _outcome(self, reference: Any) -> tuple[Task, Outcome]:
        task = self._running.pop(reference)
        try:
            return task, self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            words = LOST.get(type(error).__name__) or f"{type(error).__name__}: {first_line(error)}"
            return task, Outcome(last_node(task) or "an unknown node", words, again=True)

    def close(self) -> None:
        for reference in self._running:
            self.ray.cancel(reference, force=True)
        self._running.clear()


def paint_here(task: Task) -> Outcome:
    """What a worker of Ray does: `carry_out`, under the name of its node."""
    return carry_out(task, here())


def here() -> str:
    """This node's name, as `name_of` has it."""
    ray = import_ray()
    return _name(node_name(), ray.get_runtime_context().get_node_id())


def name_of(node: dict[str, Any]) -> str:
    return _name(node["NodeManagerHostname"], node["NodeID"])


def _name(host: str, number: str) -> str:
    return f"{host} ({number[:8]})"


def import_ray() -> Any:
    """Raises MissingLibraryError."""
    try:
        import ray
    except ImportError as error:
        raise MissingLibraryError(f"--ray needs Ray ({error}): pip install 'videostyle[ray]', on all nodes") from error
    return ray


def connect(ray: Any, address: str) -> None:
    """Be a driver of the cluster at ``address``: host:port, auto or local. Raises UsageError."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or "auto"
    if "://" in address:
        words = "expected host:port, auto or local; to begin on another machine: ray job submit"
        raise UsageError(f"ray is {address}, which Ray's client would need; {words}")
    host, _, port = address.rpartition(":")
    if port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
        except OSError as error:
            words = f"no Ray cluster answers at {address} ({error.strerror or error})"
            raise UsageError(f"{words}; start one with ray start --head, or give --ray local") from error
    elif address not in ("auto", "local"):
        raise UsageError(f"ray is {address!r}; expected host:port, auto or local")
    own = {"num_cpus": cores(), "include_dashboard": False} if address == "local" else {}
    try:
        with _signals_kept():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except ConnectionError as error:
        words = "no Ray cluster runs here, and RAY_ADDRESS names none"
        raise UsageError(f"{words}; start one with ray start --head, or give --ray local") from error
    except RuntimeError as error:
        if "ersion mismatch" not in str(error):
            raise
        words = " ".join(str(error).split())
        raise UsageError(f"{words}; use one image, with one Ray and one Python, on all nodes") from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray has handlers of its own, which would end a run that is asked to stop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def alive(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that can take a task."""
    return [node for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]


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


def sees(token: Path) -> tuple[str, bool, str]:
    """(this node's name, whether the run's folder is there, the version of this package): what a node is asked."""
    return here(), is_visible(token), __version__


def check_nodes(ray: Any, nodes: list[dict[str, Any]], token: Path) -> None:
    """Refuse, before any work, nodes that do not share the run's folder or have another version. Raises MediaError."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0, max_retries=1)(sees)
    pinned = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=True) for node in nodes]
    asked = [ask.options(scheduling_strategy=strategy).remote(token) for strategy in pinned]
    try:
        answers = ray.get(asked, timeout=CHECK_SECONDS)
    except ray.exceptions.GetTimeoutError as error:
        raise MediaError(
            f"the cluster's nodes do not answer within {CHECK_SECONDS:.0f} s; look at ray status"
        ) from error
    except ray.exceptions.RayError as error:
        words = f"a node cannot run videostyle: {first_line(error)}"
        raise MediaError(f"{words}; use one image with videostyle {__version__} on all nodes") from error
    for node, there, version in answers:
        if not there:
            folder = token.parent.parent
            raise MediaError(f"{folder} is not shared: node {node} does not see it; name an output in a folder that is")
        if version != __version__:
            words = f"node {node} has videostyle {version} and this machine {__version__}"
            raise MediaError(f"{words}; use one version on all nodes")


def first_line(error: BaseException) -> str:
    """The last line of a remote traceback, or the first of a message: what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1] if "Traceback" in str(error) or "ray::" in lines[0] else lines[0]
