"""Worker processes of this machine, each with its own cores or its own GPU; one that dies is replaced."""

import math
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from videostyle.cluster.task import Outcome, Task, node_name
from videostyle.device import cores
from videostyle.errors import UsageError
from videostyle.processes import DETACHED, end_group

WORKER = [sys.executable, "-m", "videostyle.cluster.worker"]


@dataclass(frozen=True)
class Place:
    """Where a worker runs: its threads, the cores that it is held to (none: any), its GPU by CUDA's name for it.

    ``memory_share``: of the memory there.
    """

    threads: int
    cores: tuple[int, ...] = ()
    gpu: str | None = None
    memory_share: float = 1.0


def places(wanted: str, device: str) -> list[Place]:
    """``wanted`` workers on this machine: a number, or auto: one for each GPU, else one. ``device``: where frames are
    painted ("auto", "cpu" or "cuda").

    A CPU's cores are divided among the workers, and each is held to its own: two OpenMP programs on the same cores
    slow each other several times. Raises UsageError.
    """
    gpus = gpu_names() if device in ("auto", "cuda") else []
    if wanted == "auto":
        number = max(1, len(gpus))
    elif wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= 1024:
        number = int(wanted)
    else:
        raise UsageError(f"workers is {wanted!r}; expected auto, or a number from 1 to 1024")
    threads = max(1, cores() // number)
    if gpus:
        share = 1 / math.ceil(number / len(gpus))  # the same for all: it says how large the tiles of a frame are
        return [Place(threads, gpu=gpus[index % len(gpus)], memory_share=share) for index in range(number)]
    if number == 1:
        return [Place(torch.get_num_threads())]
    if not hasattr(os, "sched_getaffinity"):
        return [Place(threads, memory_share=1 / number)] * number
    there = sorted(os.sched_getaffinity(0))[: cores()]
    return [Place(threads, _own(there, index, threads), memory_share=1 / number) for index in range(number)]


def _own(there: Sequence[int], index: int, threads: int) -> tuple[int, ...]:
    return tuple(there[(index * threads + n) % len(there)] for n in range(threads))


def gpu_names() -> list[str]:
    """The CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[:number] if visible else [str(index) for index in range(number)]


class ProcessEngine:
    """`spread.Engine` on this machine. ``logs``: folder of what the workers say."""

    def __init__(self, where: Sequence[Place], logs: Path) -> None:
        self.room = len(where)
        self._tasks: queue.Queue[Task | None] = queue.Queue()
        self._ended: queue.Queue[tuple[Task, Outcome]] = queue.Queue()
        self._workers = [_Worker(number, place, logs) for number, place in enumerate(where, 1)]
        self._threads = [threading.Thread(target=self._serve, args=(w,), daemon=True) for w in self._workers]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Task, avoid: Collection[str]) -> None:
        """The next worker without work takes it: all are on the same machine."""
        self._tasks.put(task)

    def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
        found: list[tuple[Task, Outcome]] = []
        with suppress(queue.Empty):
            found.append(self._ended.get(timeout=seconds))
            while True:
                found.append(self._ended.get_nowait())
        return found

    def close(self) -> None:
        for worker in self._workers:
            self._tasks.put(None)
            worker.kill()
        for thread in self._threads:
            thread.join()
        for worker in self._workers:
            worker.close()

    def _serve(self, worker: "_Worker") -> None:
        while (task := self._tasks.get()) is not None:
            place = worker.place
            own = replace(task, threads=place.threads, memory_share=place.memory_share, parent=os.getpid())
            outcome = worker.carry_out(own)
            self._ended.put((task, outcome))


class _Worker:
    """A process that is begun when it is needed, and again when it has died."""

    def __init__(self, number: int, place: Place, logs: Path) -> None:
        self.place, self.log = place, logs / f"worker-{number}.log"
        self.node = f"{node_name()}, worker {number}"
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False
        self._starting = threading.Lock()

    def carry_out(self, task: Task) -> Outcome:
        """Raises nothing: a worker that died is an outcome too."""
        try:
            process = self._running()
            assert process.stdin is not None and process.stdout is not None
            pickle.dump(task, process.stdin)
            process.stdin.flush()
            return replace(pickle.load(process.stdout), again=False)  # it would go the same way on this machine
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            if self._ended:
                return Outcome(self.node, stopped=True)
            status = self._process.wait() if self._process is not None else None
            words = f"the worker could not be started ({error})" if status is None else _ending(status)
            return Outcome(self.node, f"{words}; its log is {self.log}", again=True)

    def _running(self) -> subprocess.Popen[bytes]:
        with self._starting:
            if self._ended:
                raise BrokenPipeError
            if self._process is None or self._process.poll() is not None:
                self.close()
                self._process = self._start()
            return self._process

    def _start(self) -> subprocess.Popen[bytes]:
        own = {"OMP_NUM_THREADS": str(self.place.threads)}
        if self.place.gpu is not None:
            own["CUDA_VISIBLE_DEVICES"] = self.place.gpu
        command = [*WORKER, self.node, ",".join(map(str, self.place.cores))]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | own,
                **DETACHED,
            )

    def kill(self) -> None:
        """End the process and what it has begun, wherever they are."""
        with self._starting:
            self._ended = True
            if self._process is not None:
                end_group(self._process)
                self._process.wait()

    def close(self) -> None:
        """Close the pipes of a process that has ended."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()


def _ending(status: int) -> str:
    return f"the worker was killed by signal {-status}" if status < 0 else f"the worker ended with status {status}"
