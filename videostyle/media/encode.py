"""Frames into a file, with everything else that the source carries; whole, checked, or not there at all.

    with Encoder(OutputFormat.of("out.mp4"), info, size=(640, 360), time_base=decoder.time_base) as encoder:
        for frame in frames:
            encoder.write(frame)

Frames go through a pipe as NUT to one FFmpeg that encodes them and takes sound, subtitles, chapters and metadata from
the source in the same pass. `rehearse` does it with two grey frames first, so what cannot work fails before any work.
"""

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import torch

from videostyle.errors import MediaError, UsageError
from videostyle.frames import Frame, VideoInfo
from videostyle.media import colour, publish
from videostyle.media.decode import as_spoken
from videostyle.media.folder import FolderSink
from videostyle.media.formats import Codec, Container, OutputFormat
from videostyle.media.mux import FfmpegSink, Job
from videostyle.media.streams import StreamPlan, plan_streams
from videostyle.settings import MediaSettings

GIF_TIME_BASE = Fraction(1, 100)
GIF_SHORTEST = 2  # in hundredths: browsers show anything faster at a tenth of the speed


class Sink(Protocol):
    """Where an encoder's frames go: `FfmpegSink` or `FolderSink`."""

    def write(self, pixels: torch.Tensor, pts: int) -> None: ...

    def finish(self) -> None: ...

    def verify(self, timestamps: list[int]) -> None: ...

    def close(self) -> None: ...


def check_output(output: OutputFormat, source: Path | None = None, *, overwrite: bool = False) -> None:
    """Refuse a place that could not be written, before any work. Raises UsageError; changes nothing on the disk."""
    publish.check_place(output.path, overwrite=overwrite or output.settings.overwrite, source=source)


def check_space(
    output: OutputFormat, info: VideoInfo, *, size: tuple[int, int], frames: int, beside_bytes: int = 0
) -> None:
    """Refuse an output of so many frames that the disk has no room for, by estimate. Raises MediaError.

    ``beside_bytes``: what else will be written beside it.
    """
    others = info.path.stat().st_size if info.streams else 0  # at most: sound that is carried
    needed = round(frames * size[0] * size[1] * output.codec.bytes_per_pixel) + others + beside_bytes
    publish.check_space(output.path, needed)


def rehearse(output: OutputFormat, info: VideoInfo, *, size: tuple[int, int], time_base: Fraction) -> StreamPlan:
    """Write two frames with the real streams and options to a scratch file; the plan that worked.

    What a table cannot know is found here: sound that the container refuses after all is transcoded instead; subtitles
    that it refuses are left out and named. Raises UsageError for a request that cannot be met, MediaError with
    FFmpeg's words.
    """
    plan = plan_streams(info, output.container, output.settings)
    if output.is_folder:
        return plan
    failure: MediaError | None = None
    for attempt in _attempts(plan, info, output.container, output.settings):
        try:
            _try(output, info, size, time_base, attempt)
            return attempt
        except MediaError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _attempts(plan: StreamPlan, info: VideoInfo, container: Container, settings: MediaSettings) -> Iterator[StreamPlan]:
    """The plan, the plan with every sound transcoded, and the picture alone with its sound."""
    yield plan
    if not plan.carried or settings.audio == "copy":
        return
    safe = plan_streams(info, container, settings, safe=True)
    if safe != plan:
        yield safe
    sound = tuple(stream for stream in safe.carried if stream.kind == "audio")
    if sound != safe.carried:
        yield StreamPlan(sound, (*safe.notices, f"subtitles are left out: {container.name} could not take them"))


def _try(output: OutputFormat, info: VideoInfo, size: tuple[int, int], time_base: Fraction, plan: StreamPlan) -> None:
    grey = torch.full((1, 3, size[1], size[0]), 0.5)
    tick = max(1, round(Fraction(1, 25) / time_base))
    begin = math.ceil(as_spoken(output.settings.start_seconds) / time_base)
    with tempfile.TemporaryDirectory(prefix="videostyle-") as folder:
        # A part of its own, so that nothing that the user asked for about the place is in the way
        scratch = replace(output, path=Path(folder) / f"rehearsal{output.path.suffix}")
        with Encoder(scratch, info, size=size, time_base=time_base, plan=plan, source_seconds=1.0) as encoder:
            for number in range(2):
                encoder.write(Frame(grey, begin + number * tick, time_base))


class Encoder:
    """A context manager that writes frames and publishes the output when its body ends without an exception.

    ``size``: (width, height) of every frame. ``time_base``: of the output's timestamps (a container may be coarser).
    ``output.settings``' start and duration must be those of the decoder: the source's other streams are cut
    to them. ``comment`` goes into the container's comment tag. ``threads`` limits the video encoder. ``plan`` is what
    `rehearse` returned. ``source_seconds`` limits what is taken from the source's other streams. ``on_stage`` is told
    what the encoder is about to do after the last frame: "encode" what it still holds, "verify" and "publish" ``part``.

    ``notices`` names every stream that is transcoded or left out. On an exception, and when the check of the finished
    file fails, nothing stays behind and an existing output is as it was. Raises UsageError, MediaError.
    """

    def __init__(
        self,
        output: OutputFormat,
        info: VideoInfo,
        *,
        size: tuple[int, int],
        time_base: Fraction,
        comment: str | None = None,
        threads: int | None = None,
        plan: StreamPlan | None = None,
        source_seconds: float | None = None,
        on_stage: Callable[[str], None] | None = None,
    ) -> None:
        check_output(output, info.path)
        container, codec, settings = output.container, output.codec, output.settings
        if codec.even and (size[0] % 2 or size[1] % 2):
            raise UsageError(f"size is {size[0]}x{size[1]}; {codec.name} takes even sides only")
        plan = plan if plan is not None else plan_streams(info, container, settings)
        self.output = output.path
        self.size = size
        self._alpha = colour.has_alpha(info) and output.holds_alpha
        codec = codec.with_alpha() if self._alpha else codec
        self.notices = [*plan.notices, *alpha_notices(info, container, codec)]
        self.frames = 0
        self._settings = settings
        self._time_base = GIF_TIME_BASE if container.name == "gif" else time_base
        self._shortest = GIF_SHORTEST if container.name == "gif" else 1
        self._begin = as_spoken(settings.start_seconds)
        self._timestamps: list[int] = []
        self._dropped = 0
        self._on_stage = on_stage or (lambda stage: None)
        publish.remove_stale(self.output)
        self.part = publish.part_name(self.output)
        self._sink = self._open_sink(info, container, codec, plan, comment, threads, source_seconds)

    def _open_sink(
        self,
        info: VideoInfo,
        container: Container,
        codec: Codec,
        plan: StreamPlan,
        comment: str | None,
        threads: int | None,
        source_seconds: float | None,
    ) -> Sink:
        if container.muxer == "png":
            return FolderSink(self.part, self._time_base, comment)
        return FfmpegSink(
            Job(
                part=self.part,
                info=info,
                container=container,
                codec=codec,
                size=self.size,
                time_base=self._time_base,
                plan=plan,
                settings=self._settings,
                comment=comment,
                threads=threads,
                source_seconds=source_seconds,
            )
        )

    def write(self, frame: Frame, alpha: torch.Tensor | None = None) -> None:
        """Append a frame. Its time counts from the source's beginning, as the decoder gives it.

        ``alpha``: its opacity, float32 (1, 1, H, W), where the clip is transparent; the output may drop it.
        """
        if frame.size != self.size:
            raise MediaError(f"a frame of {frame.size[0]}x{frame.size[1]} came; {self.size[0]}x{self.size[1]} expected")
        pts = round((frame.time_seconds - self._begin) / self._time_base)
        if self._timestamps and pts < self._timestamps[-1] + self._shortest:
            if self._shortest > 1:
                self._dropped += 1
                return
            pts = self._timestamps[-1] + 1
        self._sink.write(off_white(frame.pixels, alpha) if self._alpha else frame.pixels, pts)
        self._timestamps.append(pts)
        self.frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._complete()
        finally:
            self._sink.close()
            publish.remove(self.part)

    def _complete(self) -> None:
        if not self._timestamps:
            raise MediaError(f"{self.output}: there is no frame to write")
        self._on_stage("encode")
        self._sink.finish()
        self._on_stage("verify")
        self._sink.verify(self._timestamps)
        self._on_stage("publish")
        publish.publish(self.part, self.output, overwrite=self._settings.overwrite)
        if self._dropped:
            self.notices.append(f"{self._dropped} frames are left out: a GIF shows at most 50 a second")

    def abort(self) -> None:
        """Stop and leave nothing behind, for an owner that does not use ``with``."""
        self._sink.close()
        publish.remove(self.part)


def off_white(pixels: torch.Tensor, alpha: torch.Tensor | None) -> torch.Tensor:
    """The four channels (1, 4, H, W) that, laid on white, are ``pixels`` again; where nothing is seen, white."""
    if alpha is None:
        alpha = torch.ones_like(pixels[:, :1])
    colours = (pixels - (1 - alpha)) / alpha.clamp_min(1 / 65535)
    return torch.cat([torch.where(alpha > 0, colours, 1.0).clamp(0, 1), alpha], dim=1)


def alpha_notices(info: VideoInfo, container: Container, codec: Codec) -> list[str]:
    """What becomes of the source's transparency."""
    if not colour.has_alpha(info):
        return []
    if codec.transparent:
        return ["the clip's transparency is kept"]
    others = ".webm, .mov with --codec prores, and a folder of PNGs do"
    return [
        f"the clip can be transparent; it is laid on white, as {container.name} with {codec.name} keeps none ({others})"
    ]
