"""A live session of a clip: to the viewers at its own pace, or every frame into a file."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from videostyle.device import encoder_threads
from videostyle.frames import Frame
from videostyle.live.loop import Loop
from videostyle.live.newest import Newest
from videostyle.live.painter import LivePainter
from videostyle.live.request import LiveRequest, LiveResult
from videostyle.live.viewers import viewers
from videostyle.media.decode import Decoder, output_size
from videostyle.media.encode import Encoder, check_output, rehearse
from videostyle.media.formats import OutputFormat
from videostyle.media.probe import probe
from videostyle.pipeline.job import expected_frames
from videostyle.pipeline.request import Callbacks
from videostyle.settings import MediaSettings


def paint_clip(request: LiveRequest, painter: LivePainter, callbacks: Callbacks) -> LiveResult:
    """Every frame into the output, as fast as may be, or to the viewers at the clip's pace. Raises VideoStyleError."""
    media, output = _limited(request), None
    info = probe(Path(str(request.source)), media.stream)
    size = output_size(info, request.size, even=True)
    if request.output is not None:
        output = OutputFormat.of(request.output, media)
        check_output(output, info.path)
    loop, paced = Loop(painter, callbacks, expected_frames(info, media)), output is None
    with ExitStack() as stack:
        decoder = stack.enter_context(
            Decoder(info, size=size, start_seconds=media.start_seconds, duration_seconds=media.duration_seconds)
        )
        encoder = None if output is None else stack.enter_context(_encoder(output, decoder))
        loop.viewers += stack.enter_context(viewers(request, size))
        frames = stack.enter_context(Newest(_at_its_pace(decoder) if paced else decoder, keep_all=not paced))
        stack.callback(decoder.stop)
        for frame, picture in loop.run(frames, request.live.fps if paced else None):
            if encoder is not None:
                encoder.write(Frame(picture, frame.pts, frame.time_base))
    return LiveResult(None if output is None else output.path, None, loop.totals(frames.dropped))


def _limited(request: LiveRequest) -> MediaSettings:
    """What is read of the clip, sound included: no more than the session lasts."""
    limits = [s for s in (request.media.duration_seconds, request.live.seconds) if s is not None]
    return request.media.replace(duration_seconds=min(limits, default=None))


def _encoder(output: OutputFormat, decoder: Decoder) -> Encoder:
    info, size, tick = decoder.info, decoder.size, decoder.time_base
    plan = rehearse(output, info, size=size, time_base=tick)
    return Encoder(output, info, size=size, time_base=tick, threads=encoder_threads(), plan=plan)


def _at_its_pace(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Each frame at its own time."""
    began: float | None = None
    for frame in frames:
        moment = float(frame.time_seconds)
        began = time.monotonic() - moment if began is None else began
        time.sleep(max(0.0, began + moment - time.monotonic()))
        yield frame
