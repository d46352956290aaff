"""Decoding and optical flow ahead of the optimiser: a thread, a bounded queue, and helpers for the flow."""

import itertools
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Generic, Self, TypeVar

import torch

from videostyle.device import cores
from videostyle.frames import Frame
from videostyle.stylise.choose_maker import flow_of
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.flow import FlowEstimator

Made = TypeVar("Made")
QUEUE_SIZE = 2  # frames that are ready while one is optimised, by default: more would only take memory
MAX_FLOW_WORKERS = 8  # several, as a GPU paints a small frame in less time than one core needs for its flow
WAIT_SECONDS = 0.1  # between two looks of a waiting thread at whether it is still wanted


class Prefetcher(Generic[Made]):
    """A context manager that makes what ``items`` yields in a thread, at most ``room`` before they are taken.

    An exception there is raised here when the next item is asked for, before those that are ready. Leaving the context
    waits for the thread to finish its item, and ends it.
    """

    def __init__(self, items: Iterable[Made], room: int = QUEUE_SIZE) -> None:
        self._items = items
        self._ready: queue.Queue[Made | None] = queue.Queue(room)
        self._unwanted = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="ahead", daemon=True)

    def __enter__(self) -> Self:
        self._cores = torch.get_num_threads()  # asking settles it for this thread, whatever others set after that
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._unwanted.set()
        self._thread.join()
        torch.set_num_threads(self._cores)  # what a thread sets for itself torch also keeps for threads begun later

    def __iter__(self) -> Iterator[Made]:
        while (item := self._take()) is not None:
            yield item

    def _take(self) -> Made | None:
        item = None
        while self._error is None:
            with suppress(queue.Empty):
                item = self._ready.get(timeout=WAIT_SECONDS)
                break
        if self._error is not None:
            raise self._error
        return item

    def _work(self) -> None:
        _on_one_core()  # a second team of threads on the same cores would slow the optimiser several times
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as e:
            self._error = e
        finally:
            if isinstance(self._items, Generator):
                self._items.close()
        self._put(None)

    def _put(self, item: Made | None) -> bool:
        while not self._unwanted.is_set():
            with suppress(queue.Full):
                self._ready.put(item, timeout=WAIT_SECONDS)
                return True
        return False


Flow = TypeVar("Flow")
Estimate = Callable[[torch.Tensor, torch.Tensor], Flow]


def flow_workers() -> int:
    """How many flows are estimated at a time beside an accelerator, which two of our cores are left to feed."""
    return max(1, min(MAX_FLOW_WORKERS, cores() - 2))


class FlowPrefetcher(Generic[Flow]):
    """Frames with the flow from each to the one before; nothing is estimated across a cut.

    ``estimate(current, previous)`` is the estimator; ``wanted``: whether a flow will be asked for. Iterate over
    ``frames(pairs(...))``, with a `Prefetcher` around the pairs; then this object, called, gives the flow of the frame
    taken last. ``helpers``: threads that estimate as soon as a pair is made; with 0 a flow is estimated when its frame
    is taken.
    """

    def __init__(self, estimate: Estimate[Flow], wanted: bool = True, helpers: int = 0) -> None:
        self._estimate, self._wanted, self._helpers = estimate, wanted, helpers
        self._last: Flow | None = None

    def pairs(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Callable[[], Flow] | None]]:
        """Each frame with what gives its flow, None for the first of a shot; runs in the thread."""
        pool = ThreadPoolExecutor(max(1, self._helpers), "flow", initializer=_on_one_core)  # begins threads when used
        previous: Frame | None = None
        try:
            for frame in frames:
                flow: Callable[[], Flow] | None = None
                if self._wanted and previous is not None and not frame.cut:
                    flow = partial(self._estimate, frame.pixels, previous.pixels)
                    flow = pool.submit(flow).result if self._helpers else flow
                yield frame, flow
                previous = frame
        except GeneratorExit:  # nobody is going to take what has not been begun
            pool.shutdown(cancel_futures=True)
        finally:
            pool.shutdown()

    def frames(self, pairs: Iterable[tuple[Frame, Callable[[], Flow] | None]]) -> Iterator[Frame]:
        """The frames alone, in the consumer's thread."""
        for frame, flow in pairs:
            self._last = flow() if flow else None
            yield frame

    def __call__(self, current: torch.Tensor, previous: torch.Tensor) -> Flow:
        """The flow of the frame taken last; estimated now where it was not before (a resumed run)."""
        return self._estimate(current, previous) if self._last is None else self._last


@contextmanager
def with_flow_ahead(
    frames: Iterator[Frame], last: Frame | None, stylizer: Stylizer
) -> Iterator[tuple[Iterator[Frame], FlowEstimator]]:
    """(``frames``, the flow between them), on an accelerator both made ahead of whoever takes them.

    ``last``: the frame before them, None for the clip's first. On a CPU nothing runs ahead: beside a second thread
    OpenMP lets its threads sleep at every barrier, which slows the optimiser.
    """
    ahead, estimate = stylizer.machine.accelerated, flow_of(stylizer)
    # A network's flow takes turns with the optimiser on the device, where another thread may be recording
    workers = flow_workers() if ahead and stylizer.flow_network is None else 0
    flow = FlowPrefetcher(estimate, stylizer.settings.init == "warped", workers)
    before = [] if last is None else [last]
    pairs_in_line = flow.pairs(itertools.chain(before, frames))
    with Prefetcher(pairs_in_line, max(QUEUE_SIZE, workers)) if ahead else nullcontext(pairs_in_line) as pairs:
        yield itertools.islice(flow.frames(pairs), len(before), None), flow


def _on_one_core() -> None:
    torch.set_num_threads(1)
