"""From pipe to pipe: every frame of a stream, in order, painted as a clip's are. Nothing is kept on the disk."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from videostyle.device import encoder_threads
from videostyle.errors import StoppedError, UsageError
from videostyle.frames import Frame
from videostyle.media.decode import output_size
from videostyle.media.mask_picture import is_picture
from videostyle.media.pipe_input import PipeDecoder, read_head
from videostyle.media.pipe_output import PipeEncoder
from videostyle.pipeline.job import default_size, open_stylizer
from videostyle.pipeline.paint_frames import painted_frames
from videostyle.pipeline.progress import Reporter, log_notices
from videostyle.pipeline.request import Callbacks
from videostyle.settings import MediaSettings, Settings
from videostyle.settings.curves import needs_cuts, needs_duration, needs_sound
from videostyle.settings.look import Look

STAGE = "pipe"
ASKED_EVERY_SECONDS = 0.1  # whether to stop, while the next frame is waited for


@dataclass(frozen=True)
class PipeRequest:
    """What is painted; of ``media`` the size and the cuts count."""

    look: Look
    settings: Settings = field(default_factory=Settings)
    media: MediaSettings = field(default_factory=MediaSettings)


@dataclass(frozen=True)
class PipeResult:
    """What was painted. ``problem``: why the stream that came in ended before its time."""

    frames: int
    seconds: float
    notices: tuple[str, ...] = ()
    problem: str = ""


def paint_pipe(
    request: PipeRequest, source: IO[bytes], target: IO[bytes], callbacks: Callbacks | None = None
) -> PipeResult:
    """Paint what ``source`` gives, y4m or NUT, into ``target``, as the same. Both are open files with a descriptor.

    At most the few frames are in memory that cuts and keyframes look ahead at. What is in ``target`` is whole frames,
    however this ends. Raises VideoStyleError: StoppedError after ``callbacks.should_stop``, MediaError where nothing
    came or the reader has gone, UsageError for a look that needs the whole clip.
    """
    callbacks = callbacks or Callbacks()
    check_look(request.look)
    settings = request.settings.with_quality()
    head = read_head(source)
    size = output_size(head.info, request.media.size or default_size(settings), even=True)
    stylizer = open_stylizer(request.look, settings, size, callbacks)
    began, report = time.monotonic(), Reporter(STAGE, None, callbacks.on_progress, keep_all=False)
    stops = callbacks.should_stop or (lambda: False)
    with ExitStack() as stack:
        decoder = stack.enter_context(PipeDecoder(head, source, size, encoder_threads()))
        encoder = stack.enter_context(PipeEncoder(target, head.info, size=size, time_base=decoder.time_base))
        painting = painted_frames(iter(decoder), stylizer, size, request.media, report.evaluation)
        frames = stack.enter_context(painting)
        stack.callback(decoder.stop)
        stack.enter_context(stopping(stops, decoder.stop))
        for frame in frames:
            encoder.write(Frame(frame.pixels.cpu(), frame.pts, frame.time_base))
            report.frame(frame)
            if stops():
                break
        if stops():
            raise StoppedError(f"stopped; the stream ends after {encoder.frames} frames")
    problem = f"standard input broke off after {decoder.frames} frames" if decoder.broke_off else ""
    log_notices((*head.info.notices, *decoder.warnings))
    notices = (*head.info.notices, *decoder.warnings, *report.notices)
    return PipeResult(encoder.frames, time.monotonic() - began, notices, problem)


def check_look(look: Look) -> None:
    """Refuse what needs a clip that can be read more than once, or its sound. Raises UsageError."""
    for painted in look.frames:
        words = "its paint goes backwards too, and a pipe's frames are gone by then"
        told = f"{painted.picture} is for the frame at {painted.at_seconds:g} s"
        raise UsageError(f"{told}: {words}; use videostyle video")
    for region in look.regions:
        moves = Path(region.mask).exists() and not is_picture(Path(region.mask))
        if moves or region.at_seconds is not None:
            raise UsageError(f"{region.mask}: a pipe takes a picture as a mask, for all frames; use videostyle video")
    for name, curve in look.curves():
        if needs_sound(curve) or needs_duration(curve) or needs_cuts(curve):
            words = "a pipe has no sound, and its length and cuts are not known; give times in seconds"
            raise UsageError(f"{name}: {words}, or use videostyle video")


@contextmanager
def stopping(asked: Callable[[], bool], stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` once ``asked`` says so, from a thread: the body may be waiting for a frame that does not come."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(ASKED_EVERY_SECONDS):
            if asked():
                return stop()

    thread = threading.Thread(target=watch, name="stopping", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
