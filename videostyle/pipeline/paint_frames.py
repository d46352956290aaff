"""Frames that are painted as they come, without a run directory: of a pipe, of a program that holds them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from videostyle.frames import Frame, StylisedFrame
from videostyle.pipeline.memory_check import check_memory, enough_memory
from videostyle.pipeline.prefetch import with_flow_ahead
from videostyle.settings import MediaSettings
from videostyle.stylise.choose_maker import frame_maker_of
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.cuts import in_shots


@contextmanager
def painted_frames(
    frames: Iterator[Frame],
    stylizer: Stylizer,
    size: tuple[int, int],
    media: MediaSettings | None = None,
    on_evaluation: Callable[[int, int, float], None] | None = None,
) -> Iterator[Iterator[StylisedFrame]]:
    """Every one of ``frames``, all of ``size`` (width, height), painted in turn as the stylizer's settings say.

    Cuts are found, or are those of ``media``. On an accelerator frames and flow are made ahead in threads, which the
    context's end waits for. Raises DeviceError where memory is not enough.
    """
    check_memory(stylizer, size)
    with (
        with_flow_ahead(in_shots(frames, media or MediaSettings()), None, stylizer) as (ahead, flow),
        enough_memory(stylizer, size, resumes=False),
    ):
        yield frame_maker_of(stylizer, flow, on_evaluation).frames(ahead)
