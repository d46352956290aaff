"""Frames of a clip, one after the other, with their exact times.

FFmpeg decodes, turns, scales and converts; the frames come through a pipe as NUT, which keeps timestamps, and PyAV
reads them. Memory does not grow with the clip.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av
import ffmpeg
import numpy as np
import torch

from videostyle.errors import MediaError, UsageError
from videostyle.frames import Frame, VideoInfo
from videostyle.media import colour
from videostyle.media.ffmpeg import STALL_SECONDS, Child, file_argument, find_ffmpeg, has
from videostyle.media.survey import MAX_PIXELS

FINEST_SECONDS = Fraction(1, 90_000)  # times are kept in ticks at least this fine: then a repeated one can be moved
SHORTEST_SECONDS = Fraction(1, 10_000_000)  # mp4 counts a frame's duration in 32 bits: at this tick it may be 429 s
FIRST_FRAME_SECONDS = 600.0  # seeking in a clip without an index decodes everything before
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders drop the alpha plane


def fine_time_base(time_base: Fraction) -> Fraction:
    """A whole tick 1/n that divides ``time_base`` and is no longer than 1/90000 s; the shortest is 100 ns."""
    denominator = time_base.denominator * math.ceil(Fraction(1, time_base.denominator) / FINEST_SECONDS)
    return max(Fraction(1, denominator), SHORTEST_SECONDS)


def output_size(info: VideoInfo, longest: int | None, even: bool) -> tuple[int, int]:
    """(width, height) whose longer side is ``longest``, aspect kept, never above the source's.

    ``even``: both sides even, the nearest such number that is not above the source's (2 for a source of one pixel).
    """
    scale = min(Fraction(1), Fraction(longest or max(info.width, info.height), max(info.width, info.height)))
    return _side(info.width, scale, even), _side(info.height, scale, even)


def _side(source: int, scale: Fraction, even: bool) -> int:
    if not even:
        return max(1, round(source * scale))
    return max(2, min(2 * round(source * scale / 2), source // 2 * 2))


def decode(
    info: VideoInfo,
    *,
    size: tuple[int, int] | None = None,
    start_seconds: float = 0,
    duration_seconds: float | None = None,
) -> Iterator[Frame]:
    """The frames of `Decoder`, for a caller who has no use for its counts; closing the generator ends FFmpeg."""
    with Decoder(info, size=size, start_seconds=start_seconds, duration_seconds=duration_seconds) as decoder:
        yield from decoder


class Decoder:
    """Iterates over the frames of a clip; a context manager whose end is also FFmpeg's.

    ``size``: (width, height) of the frames, by default the clip's as seen. ``start_seconds`` and ``duration_seconds``
    count from the clip's beginning, as a player shows them, and so do the frames' times. Timestamps are strictly
    increasing: a repeated one is moved by one tick of ``time_base``.

    A transparent clip is laid on white; with ``keep_alpha`` what it was made of can be fetched with `take_alpha`.

    ``frames`` counts what was delivered; after the last one ``warnings`` says what was wrong with the clip. Raises
    MediaError when FFmpeg dies, stalls or finds no frame at all.
    """

    def __init__(
        self,
        info: VideoInfo,
        *,
        size: tuple[int, int] | None = None,
        start_seconds: float = 0,
        duration_seconds: float | None = None,
        threads: int | None = None,
        keep_alpha: bool = False,
    ) -> None:
        self.info = info
        self.size = size or (info.width, info.height)
        self.time_base = fine_time_base(info.time_base)
        self.frames = 0
        self.warnings: list[str] = []
        self._keep_alpha = keep_alpha
        self._alpha: dict[int, torch.Tensor] = {}
        self._moved = 0
        self._start = as_spoken(start_seconds)
        self._end = None if duration_seconds is None else self._start + as_spoken(duration_seconds)
        self._check_start()
        # FFmpeg's own cut would drop or move the first frame: it seeks to a second earlier, and we cut by timestamp.
        self._offset: Fraction | int = self._seconds_subtracted()
        self._child = self._start_child(self._command(threads))
        self._container: Any = None

    def _check_start(self) -> None:
        length = self.info.duration_seconds
        if length is not None and self._start >= length > 0:
            raise UsageError(
                f"start is {float(self._start):g} s and {self.info.path} lasts {float(length):.2f} s; begin earlier"
            )

    def _seeks(self) -> bool:
        """Only to after the first timestamp: before it a transport stream finds nothing."""
        return self._start >= 2 and self.info.start_seconds + self._start >= 2

    def _restarts(self) -> bool:
        """Whether FFmpeg takes jumps out of this clip's clock, as it does for the sound. Then where that clock begins
        differs by version, and the first picture tells it."""
        return self.info.container == "mpegts" and not self._seeks() and self.info.first_seconds is not None

    def _seconds_subtracted(self) -> int:
        """What FFmpeg takes off the container's clock. Without a seek that is the clip's start: NUT has no times
        before zero, and FFmpeg holds a clock that starts after 10 s for broken and sets it to zero."""
        if self._seeks():
            return math.floor(self.info.start_seconds + self._start) - 1
        return math.floor(self.info.start_seconds)

    def _start_child(self, command: list[str]) -> Child:
        return Child(command, stdout=True)

    def _input(self) -> tuple[str, dict[str, Any]]:
        """FFmpeg's name for the clip, and options that go with it."""
        return file_argument(self.info.path), {"protocol_whitelist": "file"}

    def _command(self, threads: int | None) -> list[str]:
        info, (name, options) = self.info, self._input()
        options |= {
            "f": info.container.split(",")[0],
            "max_pixels": MAX_PIXELS,
            "seek_timestamp": 1,
            "noautorotate": None,
        }
        if self._restarts():
            options |= {"seek_timestamp": 0, "itsoffset": 1}  # from one second on: NUT has no times before zero
        elif self._offset:
            options |= {"ss": self._offset} if self._seeks() else {"itsoffset": -self._offset}
        if info.has_alpha and info.codec in ALPHA_DECODERS:
            options["c:v"] = ALPHA_DECODERS[info.codec]
        if threads:
            options["threads"] = threads
        binary = find_ffmpeg()
        missing = [name for name in colour.needs(info) if not has(binary, "filters", name)]
        if missing:
            raise MediaError(f"{info.path} needs FFmpeg's {missing[0]}, which {binary.path} lacks; use a fuller build")
        source = ffmpeg.input(name, **options)
        video = colour.to_rgb(source[str(info.stream_index)], info, self.size)
        output = video.output(
            "pipe:1",
            f="nut",
            fps_mode="passthrough",
            enc_time_base=f"{self.time_base.numerator}/{self.time_base.denominator}",
            write_index=0,
            map_metadata=-1,  # it may be in any encoding, and nobody reads it here
            map_chapters=-1,
            **{"c:v": "rawvideo"},
        )
        return [binary.path, "-nostdin", "-hide_banner", "-v", "error", *output.get_args()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stop(self) -> None:
        """Let the frames end here, while another thread takes them."""
        self._child.process.kill()

    def close(self) -> None:
        """End FFmpeg, wherever it is; may be called again."""
        self._child.close()
        if self._container is not None:
            self._container.close()
            self._container = None

    def __iter__(self) -> Iterator[Frame]:
        last = -1
        for pixels, time in self._read():
            if self._end is not None and time >= self._end:
                break
            if time < self._start:
                continue
            self._moved += round(time / self.time_base) <= last
            last = next_timestamp(time, self.time_base, last)
            self.frames += 1
            yield Frame(self._opaque(pixels(), last), last, self.time_base)
        else:
            self._finish()
        if self.frames == 0:
            raise MediaError(f"{self.info.path}: no frame was decoded in the part asked for{self._said()}")

    def take_alpha(self, pts: int) -> torch.Tensor | None:
        """The opacity of the frame of that timestamp, float32 (1, 1, H, W), once; None where there is none."""
        return self._alpha.pop(pts, None)

    def _opaque(self, pixels: torch.Tensor, pts: int) -> torch.Tensor:
        """The frame's three colours; a fourth channel is laid on white (the colours are multiplied by it already)."""
        if pixels.shape[1] == 3:
            return pixels
        alpha = pixels[:, 3:]
        if self._keep_alpha:
            self._alpha[pts] = alpha.clone()
        return (pixels[:, :3] + (1 - alpha)).clamp_(0, 1)

    def _read(self) -> Iterator[tuple[Any, Fraction]]:
        """(a function that makes the pixels, seconds from the clip's beginning) of every frame that comes through."""
        frames = self._packets()
        limit = FIRST_FRAME_SECONDS
        while True:
            with self._deadline(limit):
                frame = next(frames, None)
            if frame is None:
                return
            delivered = frame.pts * frame.time_base
            if limit != STALL_SECONDS and self._restarts():
                self._offset = (self.info.first_seconds or 0) - delivered
            limit = STALL_SECONDS
            time = self._time(delivered)
            yield (lambda frame=frame: to_tensor(frame.to_ndarray())), time

    def _deadline(self, seconds: float) -> AbstractContextManager[None]:
        return self._child.deadline(seconds)

    def _time(self, delivered: Fraction) -> Fraction:
        """Seconds from the clip's beginning. FFmpeg rounds what it subtracts to the source's ticks; a source's time is
        a whole number of them, which takes that error back. Start and frame are rounded alike to our ticks: of a source
        with finer ones the first frame would else fall before the start."""
        moment = round((delivered + self._offset) / self.info.time_base) * self.info.time_base
        return (round(moment / self.time_base) - round(self.info.start_seconds / self.time_base)) * self.time_base

    def _packets(self) -> Iterator[Any]:
        options = {"probesize": "32", "analyzeduration": "0"}
        try:
            self._container = av.open(self._child.process.stdout, format="nut", options=options, buffer_size=1 << 20)
            yield from self._container.decode(video=0)
        except av.FFmpegError:  # an empty or cut pipe: FFmpeg's status and words tell more
            return

    def _finish(self) -> None:
        """FFmpeg closed its end: find out whether that was the end of the clip."""
        status = self._child.wait()
        if self._child.expired:
            raise MediaError(f"{self.info.path}: FFmpeg stalled after {self.frames} frames and was stopped")
        if status < 0 or (status > 0 and self.frames == 0):
            raise MediaError(f"{self.info.path}: FFmpeg ended with status {status}{self._said()}")
        if status > 0:
            self.warnings.append(f"the clip could not be read to its end{self._said()}")
        if self._child.line_count:
            self.warnings.append(
                f"the clip is damaged: {self._child.line_count} complaints of the decoder{self._said()}"
            )
        if self._moved:
            self.warnings.append(
                f"{self._moved} frames repeat a time or run backwards; each is shown right after the one before it"
            )
        announced = self.info.frames if self._start == 0 and self._end is None else None
        # AVI counts a frame too many at times: one missing frame is damage only where something was complained of
        if announced and announced - self.frames > (not self._child.line_count):
            self.warnings.append(f"{self.frames} of {announced} frames could be decoded; those around fill the gaps")

    def _said(self) -> str:
        return f": {self._child.last_words}" if self._child.lines else ""


def as_spoken(seconds: float) -> Fraction:
    """0.2 as a fifth, not as the double that is a little more and would let one more frame in."""
    return Fraction(seconds).limit_denominator(1_000_000)


def next_timestamp(time: Fraction, time_base: Fraction, last: int) -> int:
    """``time`` in ticks, but later than ``last``: a repeated or backward time is moved to the next tick."""
    return max(round(time / time_base), last + 1)


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """(H, W, C) of uint8 or uint16 to float32 (1, C, H, W) in [0, 1]."""
    scale = float(np.iinfo(array.dtype).max)
    pixels = torch.from_numpy(array.astype(np.float32) if array.dtype == np.uint16 else array)
    return pixels.permute(2, 0, 1)[None].to(torch.float32, memory_format=torch.contiguous_format).div_(scale)
