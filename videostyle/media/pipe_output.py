"""Painted frames into a pipe, as y4m or NUT: the container, range and layout of planes of the stream that came in."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import IO, Any, Self

import av

from videostyle.errors import MediaError
from videostyle.frames import Frame, VideoInfo, to_array
from videostyle.media import colour
from videostyle.media.ffmpeg import Child, find_ffmpeg
from videostyle.media.pipe_input import Y4M
from videostyle.media.probe import assumed_matrix

USUAL_RATE = Fraction(25)  # of a y4m that names none, as FFmpeg reads it
LAST_SECONDS = 5.0  # after an error, for the frames that are whole already


@dataclass(frozen=True)
class PipeFormat:
    """How frames leave. ``raw``: as they are given to FFmpeg. ``filters``: to what is written."""

    raw: str
    filters: str

    @classmethod
    def of(cls, info: VideoInfo, size: tuple[int, int]) -> Self:
        """As the stream came in, at ``size``; of what is not planar YUV without alpha, the nearest that is. Nothing in
        the stream says which matrix is meant: the one that a reader assumes for frames of this height."""
        deep = info.bit_depth > 8
        raw = "rgb48le" if deep else "rgb24"
        if info.color_matrix is None:
            return cls(raw, f"format={raw},setsar=1")
        planes = re.fullmatch(r"yuv[aj]?(4\d\dp)(\d*)(?:le)?", info.pixel_format)
        layout, bits = planes.groups() if planes else ("420p", str(info.bit_depth) if deep else "")
        written = f"yuv{layout}{bits}le" if bits else f"yuv{layout}"
        levels = "pc" if info.full_range else "tv"
        filters = colour.to_planes(written, assumed_matrix(size[1]), levels)
        return cls(raw, f"{filters},setparams=range={levels},setsar=1")


class PipeEncoder:
    """A context manager that writes frames to an open pipe, and waits as long as the reader does.

    ``info``: of the stream that came in; ``size``: (width, height); ``time_base``: of the frames' times, which count
    from ``info.start_seconds``. What has been written is whole frames, after an error too. ``frames``: how many were
    taken. Raises MediaError where the reader has gone.
    """

    def __init__(self, pipe: IO[bytes], info: VideoInfo, *, size: tuple[int, int], time_base: Fraction) -> None:
        self.frames = 0
        self._info, self._size, self._time_base = info, size, time_base
        self._format = PipeFormat.of(info, size)
        self._begin = round(info.start_seconds / time_base)
        self._child = Child([find_ffmpeg().path, *self._command()], stdin=True, writes=pipe)
        self._container: Any = None

    def _command(self) -> list[str]:
        tick = f"{self._time_base.numerator}/{self._time_base.denominator}"
        rate = self._info.average_rate or USUAL_RATE
        if self._info.container == Y4M:  # its frames have no times of their own
            timing, muxer = ["-r", f"{rate.numerator}/{rate.denominator}"], ["-f", Y4M, "-strict", "-1"]
        else:
            timing = ["-seek_timestamp", "1"]
            muxer = ["-enc_time_base", tick, "-c:v", "rawvideo", "-f", "nut", "-write_index", "0"]
        return [
            *("-hide_banner", "-v", "warning", "-probesize", "32", "-analyzeduration", "0", *timing),
            *("-f", "nut", "-protocol_whitelist", "pipe", "-i", "pipe:0", "-vf", self._format.filters),
            *("-fps_mode", "passthrough", "-map_metadata", "-1", *muxer, "-flush_packets", "1", "pipe:1"),
        ]

    def write(self, frame: Frame) -> None:
        """Append a frame of the size, later than the last one."""
        with self._guarded():
            if self._container is None:
                self._container, self._stream = self._open()
            deep = self._format.raw == "rgb48le"
            made = av.VideoFrame.from_ndarray(to_array(frame.pixels, 16 if deep else 8), format=self._format.raw)
            made.pts, made.time_base = frame.pts + self._begin, self._time_base
            self._container.mux(self._stream.encode(made))
            assert self._child.process.stdin is not None
            self._child.process.stdin.flush()
        self.frames += 1

    def _open(self) -> tuple[Any, Any]:
        options = {"flush_packets": "1"}
        pipe: Any = self._child.process.stdin
        container = av.open(pipe, "w", format="nut", options=options, buffer_size=1 << 16)
        stream: Any = container.add_stream("rawvideo", rate=1000)
        stream.width, stream.height = self._size
        stream.pix_fmt = self._format.raw
        stream.time_base = stream.codec_context.time_base = self._time_base
        return container, stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with self._guarded():
                    self._finish(None)
            else:
                with suppress(OSError, av.FFmpegError):
                    self._finish(LAST_SECONDS)
        finally:
            self._child.close()

    def _finish(self, seconds: float | None) -> None:
        """Close our end and wait until FFmpeg has written the rest, no longer than ``seconds``."""
        if self._container is not None:
            self._container.close()
            self._container = None
        assert self._child.process.stdin is not None
        self._child.process.stdin.close()
        status = self._child.process.wait() if seconds is None else self._child.wait(seconds)
        if status != 0:
            raise BrokenPipeError

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (OSError, av.FFmpegError):
            self._child.wait(LAST_SECONDS)
            raise MediaError(self._reason()) from None

    def _reason(self) -> str:
        if any("Broken pipe" in line for line in self._child.lines):
            return f"whoever reads standard output has gone; {self.frames} frames were painted"
        return f"FFmpeg could not write to standard output: {self._child.summary}"
