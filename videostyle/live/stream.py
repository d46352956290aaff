"""A live session of a camera or a pipe, and what it keeps: the recording, and the painted clip with its sound."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import torch

from videostyle.device import encoder_threads
from videostyle.errors import MediaError, UsageError
from videostyle.frames import Frame, VideoInfo
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
from videostyle.media.held import HeldFrames
from videostyle.media.probe import probe
from videostyle.media.stream import FrameStream, camera_stream, pipe_stream
from videostyle.pipeline.request import Callbacks
from videostyle.pipeline.webcam import recording_name


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
    if request.source is not None:
        if sys.stdin.isatty():
            raise UsageError("input is - and nothing is piped in; give a clip, or leave --input out for the camera")
        return pipe_stream(sys.stdin.buffer, request.size, recording), "the pipe"
    camera = cameras.choose_camera(request.device)
    return camera_stream(camera, request.size, cameras.choose_microphone(request.microphone), recording), camera.spec


class _Kept:
    """A context manager that keeps a session: the recording that FFmpeg makes, and the painted frames, held nearly
    lossless until they are joined with the recording's sound. After an error the recording alone is kept."""

    def __init__(self, output: OutputFormat) -> None:
        self.output: OutputFormat = output
        self.recording: Path | None = recording_name(output.path)
        publish.check_place(self.recording, overwrite=output.settings.overwrite)
        self.recording_part = publish.part_name(self.recording)
        self._painted_part = publish.part_name(output.path)
        self._held = HeldFrames(self._painted_part)

    @classmethod
    def of(cls, request: LiveRequest) -> "_Kept | None":
        """None where there is no output."""
        return None if request.output is None else cls(OutputFormat.of(request.output, request.media))

    def write(self, frame: Frame, picture: torch.Tensor) -> None:
        """Hold a painted frame."""
        self._held.write(Frame(picture, frame.pts, frame.time_base))

    def __enter__(self) -> Self:
        publish.remove_stale(self.output.path)
        publish.remove_stale(recording_name(self.output.path))
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self._held.close()
            if self._held.frames:
                info = self._publish_recording()
                if error is None:
                    self._join(info)
        finally:
            publish.remove(self.recording_part)
            publish.remove(self._painted_part)

    def _publish_recording(self) -> VideoInfo | None:
        """The recording as probing finds it; None where FFmpeg died before it wrote anything."""
        try:
            probe(self.recording_part)
        except (MediaError, UsageError):
            self.recording = None
            return None
        assert self.recording is not None
        publish.publish(self.recording_part, self.recording, overwrite=self.output.settings.overwrite)
        return probe(self.recording)

    def _join(self, recording: VideoInfo | None) -> None:
        """The painted frames at the recording's times, with its sound."""
        held = probe(self._painted_part)
        info = recording or held
        begins = self._held.first_seconds - info.start_seconds  # both outputs of that FFmpeg have one clock
        size = held.width, held.height
        with Decoder(held) as decoder:
            tick = decoder.time_base
            plan = rehearse(self.output, info, size=size, time_base=tick)
            encoder = Encoder(self.output, info, size=size, time_base=tick, threads=encoder_threads(), plan=plan)
            with encoder:
                for frame in decoder:
                    encoder.write(Frame(frame.pixels, frame.pts + round(begins / tick), tick))
