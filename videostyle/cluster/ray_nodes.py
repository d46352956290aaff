"""Getting at a Ray cluster and its nodes: connected to, named, and asked whether they see the run's folder and files.

Only this file imports Ray, and only when it is asked for.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from videostyle.cluster.task import node_name, unseen
from videostyle.device import cores
from videostyle.errors import MediaError, MissingLibraryError, UsageError
from videostyle.version import __version__

ANSWER_SECONDS = 5.0  # that an address is given to answer
CHECK_SECONDS = 120.0  # that all nodes are given to say whether they see the folder: Ray starts a worker for it
# What a lost task's exception means, by the name of its class.
LOST = {
    "NodeDiedError": "the node died",
    "WorkerCrashedError": "the worker died, or its node did",
    "OutOfMemoryError": "the worker was killed, as its node ran out of memory",
}


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


def kept_quiet(ray: Any) -> Callable[[], None]:
    """Let Ray print nothing, until what is returned is called: it has no option for that, and pages for a lost task."""
    printer = ray._private.worker
    before = printer.print_to_stdstream
    printer.print_to_stdstream = lambda *what, **how: None
    return lambda: setattr(printer, "print_to_stdstream", before)


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


def here() -> str:
    """This node's name, as `name_of` has it."""
    ray = import_ray()
    return _name(node_name(), ray.get_runtime_context().get_node_id())


def name_of(node: dict[str, Any]) -> str:
    return _name(node["NodeManagerHostname"], node["NodeID"])


def _name(host: str, number: str) -> str:
    return f"{host} ({number[:8]})"


def sees(token: Path, files: Collection[str]) -> tuple[str, str, str]:
    """(this node's name, the first of these files that is not there, the version of this package): what a node is
    asked."""
    return here(), unseen([str(token), *files]), __version__


def check_nodes(ray: Any, nodes: list[dict[str, Any]], token: Path, files: Collection[str] = ()) -> None:
    """Refuse, before any work, nodes that do not share the run's folder and ``files``, or have another version.

    A node that is lost meanwhile is no reason, as long as another one answers. Raises MediaError.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0, max_retries=0)(sees)
    pinned = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=True) for node in nodes]
    asked = [ask.options(scheduling_strategy=strategy).remote(token, sorted(files)) for strategy in pinned]
    _, late = ray.wait(asked, num_returns=len(asked), timeout=CHECK_SECONDS)
    if late:
        words = f"{len(late)} of the cluster's {len(nodes)} nodes do not answer within {CHECK_SECONDS:.0f} s"
        raise MediaError(f"{words}; look at ray status")
    lost: list[str] = []
    for node, reference in zip(nodes, asked, strict=True):
        try:
            check_answer(token, *ray.get(reference))
        except ray.exceptions.RayError as error:
            if type(error).__name__ not in LOST:
                words = f"node {name_of(node)} cannot run videostyle: {first_line(error)}"
                raise MediaError(f"{words}; use one image with videostyle {__version__} on all nodes") from error
            lost.append(f"{name_of(node)}: {LOST[type(error).__name__]}")
    if len(lost) == len(nodes):
        raise MediaError(f"no node of the cluster can be had ({'; '.join(lost)[:300]}); look at ray status")


def check_answer(token: Path, node: str, missing: str, version: str) -> None:
    """Refuse a node by its answer (`sees`). Raises MediaError."""
    if missing == str(token):
        folder = token.parent.parent
        raise MediaError(f"{folder} is not shared: node {node} does not see it; name an output in a folder that is")
    if missing:
        words = f"{missing} is not shared: node {node} does not see it"
        raise MediaError(f"{words}; put it in a folder that all nodes share")
    if version != __version__:
        words = f"node {node} has videostyle {version} and this machine {__version__}"
        raise MediaError(f"{words}; use one version on all nodes")


def first_line(error: BaseException) -> str:
    """The last line of a remote traceback, or the first of a message: what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1] if "Traceback" in str(error) or "ray::" in lines[0] else lines[0]
