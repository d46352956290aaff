"""What turns source frames into stylised ones, in which order and by which means."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from videostyle.frames import Frame, StylisedFrame
from videostyle.stylise.state import SequenceState

OnState = Callable[[SequenceState], None]


class FrameMaker(Protocol):
    """Makes the stylised frames of a clip."""

    @property
    def state_types(self) -> tuple[type, ...]:
        """The classes that its states are made of, for whoever stores them."""

    def frames(
        self, source: Iterable[Frame], state: SequenceState | None = None, on_state: OnState | None = None
    ) -> Iterator[StylisedFrame]:
        """The frames of ``source``, one for one and in order, as they are finished.

        ``on_state`` is called before a frame comes out, with what is known after it. Given as ``state``, with the
        frames from ``state.index`` on, it goes on as if it had never stopped, to the bit.
        """
