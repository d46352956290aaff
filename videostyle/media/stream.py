"""Frames as they come: from a camera or a pipe, scaled by the FFmpeg that may also record them."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import av

from videostyle.frames import Frame
from videostyle.media import camera as cameras
from videostyle.media.camera import OPENING_SECONDS, Camera
from videostyle.media.decode import to_tensor
from videostyle.media.ffmpeg import STALL_SECONDS, Child, find_ffmpeg

RECORDING_PRESET = "ultrafast"  # painting needs the processor
AT_ONCE = ("-flush_packets", "1", "-cluster_time_limit", "1000")  # in ms: a process that dies loses a second
SCALE = "scale='min({0},iw)':'min({0},ih)':force_original_aspect_ratio=decrease:force_divisible_by=2:flags=area"


class FrameStream:
    """Iterates over the frames that an FFmpeg delivers; a context manager whose end is also FFmpeg's.

    ``inputs``: its input options. ``size``: the longer side of the frames, at most. ``recording``: options of an output
    that is written beside them. ``reads``: what it has as its standard input. ``problem``: after the last frame, why
    there was no other, in FFmpeg's words; empty where all is well.
    """

    def __init__(
        self, inputs: Sequence[str], size: int, recording: Sequence[str] = (), reads: IO[bytes] | None = None
    ) -> None:
        picture = ["-map", "0:v:0", "-vf", f"{SCALE.format(size)},format=rgb24", "-fps_mode", "passthrough"]
        command = [
            *(find_ffmpeg().path, "-hide_banner", "-v", "error", "-y", *inputs, *recording),
            *(*picture, "-c:v", "rawvideo", "-f", "nut", "-write_index", "0", "-flush_packets", "1", "pipe:1"),
        ]
        self.problem = ""
        self.frames = 0
        self._stopped = False
        self._child = Child(command, stdin=reads is None, stdout=True, reads=reads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close()

    def __iter__(self) -> Iterator[Frame]:
        frames, limit = self._packets(), OPENING_SECONDS
        while True:
            with self._child.deadline(limit):
                frame = next(frames, None)
            if frame is None:
                break
            limit = STALL_SECONDS
            self.frames += 1
            yield Frame(to_tensor(frame.to_ndarray()), frame.pts, frame.time_base)
        status = self._child.wait()
        if self._child.expired:
            self.problem = "it gave nothing in time"
        elif status != 0 and not self._stopped:
            self.problem = self._child.summary

    def stop(self) -> None:
        """Ask FFmpeg to finish what it records; the frames that are still on their way come first."""
        self._stopped = True
        if self._child.process.stdin is not None:
            with suppress(OSError, ValueError):
                self._child.process.stdin.write(b"q")
                self._child.process.stdin.close()
        else:
            self._child.process.terminate()

    def _packets(self) -> Iterator[Any]:
        options = {"probesize": "32", "analyzeduration": "0"}
        try:
            pipe: Any = self._child.process.stdout
            container: Any = av.open(pipe, format="nut", options=options, buffer_size=1 << 16)
            yield from container.decode(video=0)
        except av.FFmpegError:  # an empty or cut pipe: FFmpeg's status and words tell more
            return


def camera_stream(camera: Camera, size: int, microphone: Camera | None, recording: Path | None) -> FrameStream:
    """What a camera sees, from now on. ``recording``: a Matroska file to write, with sound."""
    inputs = cameras.inputs(camera, microphone)
    if camera.format == "lavfi":
        inputs = ["-re", *inputs]  # a generated picture comes as fast as it is taken
    kept = _recorded(recording, microphone is not None)
    return FrameStream(["-fflags", "nobuffer", *inputs], size, kept)


def pipe_stream(pipe: IO[bytes], size: int, recording: Path | None) -> FrameStream:
    """What comes through a pipe, in any format that FFmpeg knows."""
    kept = _recorded(recording, False)
    return FrameStream(["-protocol_whitelist", "pipe", "-i", "pipe:0"], size, kept, reads=pipe)


def _recorded(recording: Path | None, microphone: bool) -> list[str]:
    if recording is None:
        return []
    *options, place = cameras.kept(microphone, recording, RECORDING_PRESET)
    return [*options, *AT_ONCE, place]
