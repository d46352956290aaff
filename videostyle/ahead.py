"""Decoding and optical flow ahead of the optimiser: one thread, a bounded queue."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

import torch

from videostyle.frame import Frame

Made = TypeVar("Made")

# Frames that are ready while one is optimised. The flow takes a fraction of a frame's time: more would only be memory.
ROOM = 2
# How often a thread that waits for room looks whether it is still wanted.
WAIT_SECONDS = 0.1


class Ahead(Generic[Made]):
    """Makes what ``items`` yields in a thread, at most ``room`` before they are taken. A context manager.

    An exception there is raised here as soon as the next item is asked for, before those that are ready. Leaving the
    context ends the thread; it has finished its item by then.
    """

    def __init__(self, items: Iterable[Made], room: int = ROOM) -> None:
        self._items = items
        self._ready: queue.Queue[Made | None] = queue.Queue(room)
        self._unwanted = threading.Event()
        self._counted = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="ahead", daemon=True)

    def __enter__(self) -> Self:
        threads = torch.get_num_threads()
        self._thread.start()
        self._counted.wait()
        # Of torch's two settings the OpenMP one belongs to a thread, MKL's to the process: ours is put back.
        torch.set_num_threads(threads)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unwanted.set()
        self._thread.join()

    def __iter__(self) -> Iterator[Made]:
        while True:
            item = self._take()
            if self._error is not None:
                raise self._error
            if item is None:
                return
            yield item

    def _take(self) -> Made | None:
        while self._error is None:
            try:
                return self._ready.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                continue
        return None

    def _work(self) -> None:
        torch.set_num_threads(1)  # a second team of threads on the same cores would slow the optimiser several times
        self._counted.set()
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as e:
            self._error = e
        self._put(None)

    def _put(self, item: Made | None) -> bool:
        while not self._unwanted.is_set():
            try:
                self._ready.put(item, timeout=WAIT_SECONDS)
                return True
            except queue.Full:
                continue
        return False


Flow = TypeVar("Flow")


class FlowAhead(Generic[Flow]):
    """Frames with the flow to the one before each, made together; nothing is estimated across a cut.

    ``estimate(current, previous)`` is the estimator; ``wanted``: whether anybody is going to ask. Iterate over
    ``frames(pairs(...))``, with an `Ahead` around the pairs, and give this object to whoever asks for the flow between
    the frame that was taken last and the one before.
    """

    def __init__(self, estimate: Callable[[torch.Tensor, torch.Tensor], Flow], wanted: bool = True) -> None:
        self._estimate, self._wanted = estimate, wanted
        self._last: Flow | None = None

    def pairs(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Flow | None]]:
        """Each frame with its flow, None for the first of a shot: what the thread does."""
        previous: Frame | None = None
        for frame in frames:
            known = self._wanted and previous is not None and not frame.cut
            yield frame, self._estimate(frame.pixels, previous.pixels) if known and previous else None
            previous = frame

    def frames(self, pairs: Iterable[tuple[Frame, Flow | None]]) -> Iterator[Frame]:
        """The frames alone, in the consumer's thread."""
        for frame, self._last in pairs:
            yield frame

    def __call__(self, current: torch.Tensor, previous: torch.Tensor) -> Flow:
        """The flow of the frame taken last; estimated now where it was not before (a run that is gone on with)."""
        return self._estimate(current, previous) if self._last is None else self._last
