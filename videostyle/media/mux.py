"""The FFmpeg that encodes an output and carries the source's other streams into it in the same pass."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch

from videostyle.errors import MediaError
from videostyle.frames import VideoInfo, to_array
from videostyle.media import colour
from videostyle.media.ffmpeg import Child, file_argument, find_ffmpeg, has
from videostyle.media.formats import Codec, Container
from videostyle.media.probe import read_survey
from videostyle.media.streams import StreamPlan, mapping
from videostyle.settings import MediaSettings

FINISH_SECONDS = 900.0  # the encoder's look-ahead, the rest of the sound, and faststart's second pass
MISSING_SECONDS = 0.1  # a container's own word on its length may leave out the last frame's
PALETTE = (
    "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1"  # a palette a frame: memory stays flat
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that one run of the encoder needs to know."""

    part: Path
    info: VideoInfo
    container: Container
    codec: Codec
    size: tuple[int, int]
    time_base: Fraction
    plan: StreamPlan
    settings: MediaSettings
    comment: str | None = None
    threads: int | None = None
    source_seconds: float | None = None


def command(job: Job) -> list[str]:
    """FFmpeg's arguments: input 0 is the pipe of frames, input 1 the source."""
    tick = f"{job.time_base.numerator}/{job.time_base.denominator}"
    return [
        *("-hide_banner", "-v", "warning", "-y"),
        *("-f", "nut", "-protocol_whitelist", "pipe", "-seek_timestamp", "1", "-i", "pipe:0"),
        *source_input(job),
        *("-filter_complex", f"[0:v]{video_filter(job.codec)}[v]", "-map", "[v]"),
        *mapping(job.plan, 1),
        *("-map_metadata", "1", "-map_chapters", "1" if job.container.chapters else "-1"),
        *(("-metadata", f"comment={job.comment}") if job.comment is not None else ()),
        *video_options(job),
        *("-fps_mode", "passthrough", "-enc_time_base", tick),
        *trim_options(job),
        *("-avoid_negative_ts", "disabled"),  # else early subtitles or priming shift everything
        *container_options(job),
        *("-f", job.container.muxer, file_argument(job.part)),
    ]


def source_input(job: Job) -> Iterator[str]:
    """Input 1. Its clock is moved by us, not by FFmpeg's own idea of where the file starts: versions disagree on it."""
    begin = job.info.start_seconds + Fraction(job.settings.start_seconds)
    yield from ("-f", job.info.container.split(",")[0], "-protocol_whitelist", "file", "-seek_timestamp", "1")
    if job.settings.start_seconds > 0:
        yield from ("-ss", f"{float(begin):.6f}")
    elif begin != 0:
        yield from ("-itsoffset", f"{float(-begin):.6f}")
    if job.source_seconds is not None:
        yield from ("-t", f"{job.source_seconds:.6f}")
    yield from ("-i", file_argument(job.info.path))


def video_filter(codec: Codec) -> str:
    return PALETTE if codec.name == "gif" else colour.to_bt709(codec.pixel_format)


def video_options(job: Job) -> Iterator[str]:
    codec = job.codec
    yield from ("-c:0", codec.encoder)
    if codec.crf is not None:
        yield from ("-crf", str(codec.crf if job.settings.crf is None else job.settings.crf))
    for option, value in codec.options.items():
        yield from (f"-{option}", value)
    if codec.name == "hevc" and job.container.name in ("mp4", "mov"):
        yield from ("-tag:0", "hvc1")  # the only one that Apple's players take
    if codec.name != "gif":
        for option, value in colour.BT709_TAGS.items():
            yield from (f"-{option}", value)
    if job.threads is not None:
        yield from ("-threads:0", str(job.threads), "-filter_complex_threads", str(job.threads))


def trim_options(job: Job) -> Iterator[str]:
    if job.settings.start_seconds > 0:
        yield from ("-copypriorss:a", "0")  # else copied sound goes back to the keyframe before
    if job.settings.duration_seconds is not None:
        # A millisecond more: it bounds the frames as well, and the last one's rounded time must not be cut off
        yield from ("-t", f"{job.settings.duration_seconds + 0.001:.6f}")


def container_options(job: Job) -> Iterator[str]:
    for option, value in job.container.options.items():
        yield from (f"-{option}", value)
    if job.container.name in ("mp4", "mov"):
        scale = str(job.time_base.denominator)
        yield from ("-video_track_timescale", scale, "-movie_timescale", scale)


class FfmpegSink:
    """Feeds frames to FFmpeg. Every method raises MediaError with FFmpeg's last words when it died or stalled."""

    def __init__(self, job: Job) -> None:
        ffmpeg = find_ffmpeg()
        if not has(ffmpeg, "encoders", job.codec.encoder):
            raise MediaError(f"{ffmpeg.path} has no {job.codec.encoder}, which {job.codec.name} needs; use --codec")
        self._job = job
        self._child = Child([ffmpeg.path, *command(job)], stdin=True)
        self._container: Any = None

    def _open(self) -> tuple[Any, Any]:
        container = av.open(self._child.process.stdin, "w", format="nut", buffer_size=1 << 20)
        stream: Any = container.add_stream("rawvideo", rate=1000)
        stream.width, stream.height = self._job.size
        stream.pix_fmt = self._job.codec.raw_format
        stream.time_base = stream.codec_context.time_base = self._job.time_base
        return container, stream

    def write(self, pixels: torch.Tensor, pts: int) -> None:
        with self._guarded():
            if self._container is None:
                self._container, self._stream = self._open()
            codec = self._job.codec
            frame = av.VideoFrame.from_ndarray(to_array(pixels, 16 if codec.deep else 8), format=codec.raw_format)
            frame.pts, frame.time_base = pts, self._job.time_base
            self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Close the pipe and wait for FFmpeg to write the rest."""
        with self._guarded(FINISH_SECONDS):
            self._container.mux(self._stream.encode(None))
            self._container.close()
            assert self._child.process.stdin is not None
            self._child.process.stdin.close()
        status = self._child.wait(FINISH_SECONDS)
        if status != 0:
            self._fail()

    @contextlib.contextmanager
    def _guarded(self, seconds: float | None = None) -> Iterator[None]:
        try:
            with self._child.deadline(seconds) if seconds else self._child.deadline():
                yield
        except (OSError, av.FFmpegError):  # a closed pipe
            self._fail()

    def _fail(self) -> None:
        status = self._child.wait(10)
        reason = "stalled and was stopped" if self._child.expired else f"ended with status {status}"
        raise MediaError(f"FFmpeg could not write the {self._job.container.name}: it {reason}: {self._child.summary}")

    def verify(self, timestamps: list[int]) -> None:
        """Decode what was written to its end, in a process of its own, and compare it with what went in."""
        job = self._job
        found = read_survey(job.part, "output", seconds=120 + len(timestamps))
        problem = found.get("error") or compare(found, timestamps, job)
        if problem:
            raise MediaError(f"the {job.container.name} that FFmpeg wrote is not whole: {problem}")

    def close(self) -> None:
        self._child.close()
        if self._container is not None:
            with contextlib.suppress(OSError, ValueError, av.FFmpegError):
                self._container.close()
            self._container = None


def compare(found: dict[str, Any], timestamps: list[int], job: Job) -> str | None:
    """What is wrong with a written file, or None: frames, their times relative to the first, streams."""
    written = found["timestamps"]
    if len(written) != len(timestamps):
        return f"{len(written)} of {len(timestamps)} frames can be decoded"
    stream = next(s for s in found["streams"] if s["kind"] == "video")
    tick = Fraction(stream["time_base"])
    allowed = tick + job.time_base  # half a tick for the frame and for the first one, in both
    for number, (ours, theirs) in enumerate(zip(timestamps, written, strict=True)):
        error = (theirs - written[0]) * tick - (ours - timestamps[0]) * job.time_base
        if abs(error) > allowed:
            return f"frame {number} is {float(error):+.4f} s off"
    video_seconds = float((written[-1] - written[0]) * tick)
    if found["duration"] is not None and found["duration"] / 1e6 < video_seconds - MISSING_SECONDS:
        return f"its {found['duration'] / 1e6:.2f} s are shorter than its {video_seconds:.2f} s of frames"
    for kind in ("audio", "subtitle"):
        count = sum(s["kind"] == kind for s in found["streams"])
        if count != job.plan.count(kind):
            return f"{count} of {job.plan.count(kind)} {kind} streams are there"
    return None
