"""A live session of a camera or a pipe, and what it keeps: the recording, and the painted clip with its sound."""

import sys
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import torch

from videostyle.device import encoder_threads
from videostyle.errors import MediaError, UsageError
from videostyle.frames import Frame, to_array
from videostyle.live.loop import Loop
from videostyle.live.newest import Newest
from videostyle.live.painter import LivePainter
from videostyle.live.request import LiveRequest, LiveResult
from videostyle.live.viewers import viewers
from videostyle.media import camera as cameras
from videostyle.media import publish
from videostyle.media.decode import Decoder
from videostyle.media.encode import Encoder, rehearse
from videostyle.media.formats import OutputFormat
from videostyle.media.probe import probe
from videostyle.media.stream import FrameStream, camera_stream, pipe_stream
from videostyle.pipeline.job import default_size
from videostyle.pipeline.request import Callbacks
from videostyle.pipeline.webcam import recording_name

# Of the painted frames until the end: nearly lossless, and cheap to write.
HELD = {"preset": "ultrafast", "crf": "6"}
TICK = Fraction(1, 1000)  # Matroska's


def paint_stream(request: LiveRequest, painter: LivePainter, callbacks: Callbacks) -> LiveResult:
    """Paint what comes until it ends or is stopped. Raises VideoStyleError, and MediaError where nothing came."""
    loop, kept = Loop(painter, callbacks, None, request.live.seconds), _Kept.of(request)
    with ExitStack() as stack:
        if kept is not None:
            stack.enter_context(kept)
        stream, name = _open(request, None if kept is None else kept.recording_part)
        stack.enter_context(stream)
        every = request.source is not None and not request.shows_window and not request.virtual_camera
        frames = stack.enter_context(Newest(stream, keep_all=every))
        stack.callback(stream.stop)
        _paint(request, loop, frames, kept, every)
    if not stream.frames:
        raise MediaError(f"{name} gave no picture: {stream.problem or 'it ended at once'}")
    problem = f"{name} ended: {stream.problem}" if stream.problem else ""
    output, recording = (None, None) if kept is None else (kept.output.path, kept.recording)
    return LiveResult(output, recording, loop.totals(frames.dropped), problem)


def _paint(request: LiveRequest, loop: Loop, frames: Newest[Frame], kept: "_Kept | None", every: bool) -> None:
    with ExitStack() as stack:
        for number, (frame, picture) in enumerate(loop.run(frames, None if every else request.live.fps)):
            if number == 0:
                loop.viewers += stack.enter_context(viewers(request, frame.size))
            if kept is not None:
                kept.write(frame, picture)


def _open(request: LiveRequest, recording: Path | None) -> tuple[FrameStream, str]:
    """The stream, and what it is called."""
    size = request.media.size or default_size(request.settings)
    if request.source is not None:
        if sys.stdin.isatty():
            raise UsageError("input is - and nothing is piped in; give a clip, or leave --input out for the camera")
        return pipe_stream(sys.stdin.buffer, size, recording), "the pipe"
    camera = cameras.choose_camera(request.device)
    return camera_stream(camera, size, cameras.choose_microphone(request.microphone), recording), camera.spec


class _Kept:
    """A context manager that keeps a session: the recording that FFmpeg makes, and the painted frames, held nearly
    lossless until they are joined with the recording's sound. After an error the recording alone is kept."""

    def __init__(self, output: OutputFormat) -> None:
        self.output, self.recording = output, recording_name(output.path)
        publish.check_place(self.recording, overwrite=output.settings.overwrite)
        self.recording_part = publish.part_name(self.recording)
        self._painted_part = publish.part_name(output.path)
        self._container: Any = None
        self._stream: Any = None
        self._first = Fraction(0)

    @classmethod
    def of(cls, request: LiveRequest) -> "_Kept | None":
        """None where there is no output."""
        return None if request.output is None else cls(OutputFormat.of(request.output, request.media))

    def write(self, frame: Frame, picture: torch.Tensor) -> None:
        """Hold a painted frame."""
        if self._container is None:
            self._first = frame.time_seconds
            self._container = av.open(str(self._painted_part), "w", format="matroska")
            self._stream = self._container.add_stream("libx264rgb", rate=1000, options=HELD)
            self._stream.width, self._stream.height = frame.size
            self._stream.pix_fmt, self._stream.codec_context.time_base = "rgb24", TICK
        made = av.VideoFrame.from_ndarray(to_array(picture), format="rgb24")
        made.pts, made.time_base = round((frame.time_seconds - self._first) / TICK), TICK
        self._container.mux(self._stream.encode(made))

    def __enter__(self) -> Self:
        publish.remove_stale(self.output.path)
        publish.remove_stale(self.recording)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if self._container is not None:
                self._container.mux(self._stream.encode(None))
                self._container.close()
            if self.recording_part.is_file() and self._container is not None:
                publish.publish(self.recording_part, self.recording, overwrite=self.output.settings.overwrite)
                if error is None:
                    self._join()
        finally:
            publish.remove(self.recording_part)
            publish.remove(self._painted_part)

    def _join(self) -> None:
        """The painted frames at the recording's times, with its sound."""
        held = probe(self._painted_part)
        try:
            info = probe(self.recording)
        except MediaError:  # FFmpeg died before it wrote anything: no sound
            info = held
        begins = self._first - info.start_seconds  # both outputs of that FFmpeg have one clock
        size = held.width, held.height
        with Decoder(held) as decoder:
            tick = decoder.time_base
            plan = rehearse(self.output, info, size=size, time_base=tick)
            encoder = Encoder(self.output, info, size=size, time_base=tick, threads=encoder_threads(), plan=plan)
            with encoder:
                for frame in decoder:
                    encoder.write(Frame(frame.pixels, frame.pts + round(begins / tick), tick))
