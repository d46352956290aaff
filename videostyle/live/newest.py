"""The newest item of a source that does not wait: what comes too fast is dropped, so that nothing piles up."""

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Arrived(Generic[T]):
    """An item and the monotonic time at which it came."""

    item: T
    seconds: float


class Newest(Generic[T]):
    """A context manager that takes ``items`` in a thread and hands on the newest one; ``dropped`` counts the others.

    ``keep_all``: the thread waits until an item is taken, and none is dropped. An exception in the thread is raised
    here. The context's end waits for the source's: stop it before.
    """

    def __init__(self, items: Iterable[T], *, keep_all: bool = False) -> None:
        self.dropped = 0
        self._items, self._keep_all = items, keep_all
        self._slot: Arrived[T] | None = None
        self._changed = threading.Condition()
        self._over = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="newest", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()
        self._thread.join()

    def close(self) -> None:
        """Take no more of what comes; the source is still read to its end."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Arrived[T]]:
        while True:
            with self._changed:
                while self._slot is None and not self._over:
                    self._changed.wait()
                arrived, self._slot = self._slot, None
                self._changed.notify_all()
            if arrived is None:
                break
            yield arrived
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            for item in self._items:
                self._put(item)
        except BaseException as error:
            self._error = error
        finally:
            self.close()

    def _put(self, item: T) -> None:
        with self._changed:
            while self._keep_all and self._slot is not None and not self._over:
                self._changed.wait()
            if not self._over:
                self.dropped += self._slot is not None
                self._slot = Arrived(item, time.monotonic())
                self._changed.notify_all()
