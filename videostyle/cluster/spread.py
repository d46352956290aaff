"""Tasks over workers: handed out in order, begun again elsewhere when one is lost, until all are done or failed."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from videostyle.cluster.task import Outcome, Task

MOST_ATTEMPTS = 3  # of a task: it is begun again twice
FAILURES_OF_NODE = 2  # with tasks that do well elsewhere, after which it gets no more
LOOK_SECONDS = 0.25  # between two looks at how far the workers are


class Engine(Protocol):
    """Where tasks run."""

    @property
    def room(self) -> int:
        """How many tasks it takes at a time."""

    def submit(self, task: Task, avoid: Collection[str]) -> None:
        """Begin a task, on none of these nodes where there are others."""

    def wait(self, seconds: float) -> list[tuple[Task, Outcome]]:
        """What has ended, after this time at most."""

    def close(self) -> None:
        """End all workers at once."""


@dataclass(frozen=True)
class Ended:
    """A task that was carried out, or failed for good after so many ``attempts``."""

    task: Task
    outcome: Outcome
    attempts: int = 1

    @property
    def problem(self) -> str:
        """One line about a failure; empty where there was none."""
        if not self.outcome.problem:
            return ""
        times = f" {self.attempts} times, at last" if self.attempts > 1 else ""
        where = f"{self.task.label} failed{times} on {self.outcome.node}"
        log = f" (see {self.task.log})" if self.task.log.exists() else ""  # a worker that never began wrote none
        return f"{where}: {self.outcome.problem}{log}"


def spread(
    tasks: Iterable[Task],
    engine: Engine,
    on_look: Callable[[Collection[Task]], None],
    should_stop: Callable[[], bool],
) -> Iterator[Ended]:
    """Carry out ``tasks`` in their order, as many at a time as the engine takes; each as it ends.

    ``on_look`` is called several times a second with the tasks in progress, and ``should_stop`` is asked as often:
    after it nothing is begun, and what is in progress is waited for.
    """
    left, again = iter(tasks), deque[Task]()
    running: dict[str, Task] = {}
    attempts = Counter[str]()
    failed_on: dict[str, list[str]] = {}  # nodes, by task; a task that failed for good says nothing of them
    while True:
        stopping = should_stop()
        while not stopping and len(running) < engine.room:
            task = again.popleft() if again else next(left, None)
            if task is None:
                break
            key = str(task.log)
            running[key] = task
            attempts[key] += 1
            engine.submit(task, _bad(failed_on.values()) | set(failed_on.get(key, ())))
            stopping = should_stop()
        if not running:
            return
        for task, outcome in engine.wait(LOOK_SECONDS):
            key = str(task.log)
            del running[key]
            if outcome.stopped and stopping:
                continue
            if outcome.stopped:  # by itself: a file system of the network did not show it the run's folder
                outcome = Outcome(outcome.node, "it stopped, which nobody had asked for", again=True)
            if outcome.problem and outcome.again and attempts[key] < MOST_ATTEMPTS:
                failed_on.setdefault(key, []).append(outcome.node)
                again.append(task)
                continue
            if outcome.problem:
                failed_on.pop(key, None)
            yield Ended(task, outcome, attempts[key])
        on_look(running.values())


def _bad(failures: Iterable[Collection[str]]) -> set[str]:
    """Nodes that failed so often that they get no more."""
    counts = Counter(node for nodes in failures for node in nodes)
    return {node for node, count in counts.items() if count >= FAILURES_OF_NODE}
