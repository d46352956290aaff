"""What becomes of the source's other streams: copied, transcoded, or left out and named."""

from collections.abc import Iterable
from dataclasses import dataclass

from videostyle.errors import UsageError
from videostyle.frames import StreamInfo, VideoInfo
from videostyle.media.formats import BITMAP_SUBTITLES, TEXT_SUBTITLES, Container
from videostyle.settings import MediaSettings

BITRATES = {"aac": "192k", "libopus": "160k"}  # per stereo stream; transparent for most listeners
ORDER = {"audio": 0, "subtitle": 1}
SPOKEN = {"libopus": "Opus", "aac": "AAC"}


@dataclass(frozen=True)
class Carried:
    """One stream of the source in the output; ``codec`` is "copy" or an encoder's name."""

    index: int
    kind: str
    codec: str


@dataclass(frozen=True)
class StreamPlan:
    """The carried streams in the output's order, and what a user wants to know about the others."""

    carried: tuple[Carried, ...] = ()
    notices: tuple[str, ...] = ()

    def count(self, kind: str) -> int:
        return sum(stream.kind == kind for stream in self.carried)


def plan_streams(info: VideoInfo, container: Container, settings: MediaSettings, *, safe: bool = False) -> StreamPlan:
    """Decide for every stream of the source. ``safe``: copy no sound that could be transcoded, for a second attempt.

    Raises UsageError when ``settings.audio`` is "copy" and the container does not take the sound as it is.
    """
    carried: list[Carried] = []
    notices: list[str] = []
    for stream in sorted(info.streams, key=lambda s: ORDER.get(s.kind, len(ORDER))):
        codec, notice = _decide(stream, container, settings, safe)
        if codec is not None:
            carried.append(Carried(stream.index, stream.kind, codec))
        if notice is not None:
            notices.append(notice)
    if info.chapters and not container.chapters:
        notices.append(f"{info.chapters} chapters are left out: {container.name} takes none")
    return StreamPlan(tuple(carried), tuple(notices))


def _decide(
    stream: StreamInfo, container: Container, settings: MediaSettings, safe: bool
) -> tuple[str | None, str | None]:
    """(codec or None to leave the stream out, notice or None)."""
    if stream.kind == "audio":
        return _decide_audio(stream, container, settings, safe)
    if stream.kind == "subtitle":
        return _decide_subtitle(stream, container)
    if stream.kind == "attachment" and container.attachments:
        return "copy", None
    return None, f"{describe(stream)} is left out"


def _decide_audio(
    stream: StreamInfo, container: Container, settings: MediaSettings, safe: bool
) -> tuple[str | None, str | None]:
    if settings.audio == "none":
        return None, None  # as asked for
    if container.audio is None:
        return None, f"{describe(stream)} is left out: {container.name} has no sound"
    fits = container.copies is None or stream.codec in container.copies
    if settings.audio == "copy" and not fits:
        raise UsageError(
            f"audio is to be copied, and {container.name} does not take {stream.codec}; use --audio auto or .mkv"
        )
    if settings.audio == "copy" or (fits and settings.audio == "auto" and not safe):
        return "copy", None
    if stream.codec in ("none", "unknown"):
        return None, f"{describe(stream)} is left out: nothing decodes it"
    reason = "as asked for" if settings.audio == "transcode" else f"{container.name} does not take it as it is"
    return container.audio, f"{describe(stream)} is transcoded to {SPOKEN[container.audio]}: {reason}"


def _decide_subtitle(stream: StreamInfo, container: Container) -> tuple[str | None, str | None]:
    refused = f"{describe(stream)} is left out: {container.name} does not take it"
    if container.subtitles is None:
        return None, refused
    if container.muxer == "matroska" and stream.codec != "mov_text":
        return ("copy", None) if stream.codec in TEXT_SUBTITLES | BITMAP_SUBTITLES else (None, refused)
    return (container.subtitles, None) if stream.codec in TEXT_SUBTITLES else (None, refused)


def describe(stream: StreamInfo) -> str:
    """How a notice names a stream: "subtitle stream 2 (mov_text, eng)"."""
    language = f", {stream.language}" if stream.language and stream.language != "und" else ""
    return f"{stream.kind} stream {stream.index} ({stream.codec}{language})"


def mapping(plan: StreamPlan, source: int) -> Iterable[str]:
    """FFmpeg's options that map and code the carried streams of input number ``source``."""
    for number, stream in enumerate(plan.carried, start=1):
        yield from ("-map", f"{source}:{stream.index}", f"-c:{number}", stream.codec)
        if stream.codec in BITRATES:
            yield from (f"-b:{number}", BITRATES[stream.codec])
        if stream.codec == "libopus":  # it refuses layouts such as 5.1(side)
            yield from (f"-filter:{number}", "aformat=channel_layouts=mono|stereo|5.1|7.1")
