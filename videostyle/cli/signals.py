"""Ctrl-C and SIGTERM during a run: the first one is a request, the second one an order."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from videostyle.errors import StoppedError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# stage, "" before the first one -> what there is where a run that cannot be resumed from it was ended
LEFT_BEHIND = {
    "": "nothing was written",
    "choose": "the pictures that are there are whole",
    "pipe": "the frames that were written are whole",
}


class InterruptedRunError(Exception):
    """A run ended by a signal: its number, and what to say."""

    def __init__(self, words: str, number: int) -> None:
        super().__init__(words)
        self.number = number


class Interrupts:
    """A context manager: while frames are painted the first signal only calls ``on_request``, any other one raises.

    Raises InterruptedRunError where a signal ended the body.
    """

    def __init__(self, on_request: Callable[[], None]) -> None:
        self.painting = self.requested = False
        self.stage = ""
        self.number: int = signal.SIGINT
        self._on_request = on_request
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python sets no handlers
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, StoppedError):
            raise InterruptedRunError(str(error), self.number) from error
        if isinstance(error, KeyboardInterrupt):
            words = LEFT_BEHIND.get(self.stage, "the same command goes on from the last state")
            raise InterruptedRunError(f"interrupted; {words}", self.number) from error

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        if not self.painting or self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._on_request()

    def watch(self, stage: str) -> None:
        """Take note of the stage: only frames that are being painted, or chosen, are finished before a stop."""
        self.painting, self.stage = stage in ("stylise", "carry back", "choose", "pipe"), stage

    def should_stop(self) -> bool:
        return self.requested
