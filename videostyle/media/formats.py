"""What each output format is made of: container by the output's name, codec, and what it takes from the source."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from videostyle.errors import UsageError
from videostyle.settings import MediaSettings

TEXT_SUBTITLES = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"})
BITMAP_SUBTITLES = frozenset({"dvd_subtitle", "dvdsub", "dvb_subtitle", "dvbsub", "hdmv_pgs_subtitle", "pgssub"})


@dataclass(frozen=True)
class Codec:
    """A video encoder. ``even``: both sides must be even. ``crf`` None: it has no such scale. ``alpha_format``: what
    holds transparency, None: nothing does. ``bytes_per_pixel``: what a painted frame takes, to estimate disk space."""

    name: str
    encoder: str
    pixel_format: str
    crf: int | None = None
    even: bool = True
    options: dict[str, str] = field(default_factory=dict)
    bytes_per_pixel: float = 0.15
    alpha_format: str | None = None
    alpha_options: dict[str, str] = field(default_factory=dict)

    @property
    def deep(self) -> bool:
        """Whether it is given 16 bits per channel instead of 8."""
        return "10" in self.pixel_format

    @property
    def transparent(self) -> bool:
        return self.pixel_format == self.alpha_format

    @property
    def raw_format(self) -> str:
        """What it is given."""
        return ("rgba64le" if self.deep else "rgba") if self.transparent else ("rgb48le" if self.deep else "rgb24")

    def with_alpha(self) -> "Codec":
        """The same for transparent frames."""
        assert self.alpha_format is not None
        return replace(self, pixel_format=self.alpha_format, options=self.options | self.alpha_options)


CODECS = {
    codec.name: codec
    for codec in (
        Codec("h264", "libx264", "yuv420p", crf=18),
        Codec("hevc", "libx265", "yuv420p10le", crf=20, options={"x265-params": "log-level=error"}),
        Codec("prores", "prores_ks", "yuv422p10le", options={"profile:v": "3", "vendor": "apl0"}, bytes_per_pixel=0.5,
              alpha_format="yuva444p10le", alpha_options={"profile:v": "4", "alpha_bits": "16"}),
        # b:v 0 makes crf the only measure; cpu-used 4 is 5 times faster than the default at nearly the same size
        Codec("vp9", "libvpx-vp9", "yuv420p", crf=24, even=False,
              options={"b:v": "0", "row-mt": "1", "deadline": "good", "cpu-used": "4"},
              alpha_format="yuva420p", alpha_options={"auto-alt-ref": "0"}),
        Codec("av1", "libsvtav1", "yuv420p10le", crf=26, options={"preset": "7"}),
        Codec("gif", "gif", "pal8", even=False, bytes_per_pixel=0.7),
        Codec("png", "png", "rgb24", even=False, bytes_per_pixel=2.2, alpha_format="rgba"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Container:
    """A kind of output. ``copies``: audio codecs that it takes as they are; None: every one; ``audio``: the encoder
    for the others, None: no sound at all. ``subtitles``: the codec that text subtitles become, None: it takes none."""

    name: str
    muxer: str
    codecs: tuple[str, ...]  # the first is the default
    copies: frozenset[str] | None = frozenset()
    audio: str | None = None
    subtitles: str | None = None
    chapters: bool = True
    alpha: bool = False  # whether it holds transparency where the codec does
    attachments: bool = False
    options: dict[str, str] = field(default_factory=dict)


# Without use_metadata_tags a mov drops every key it does not know, with it the cover art; FFmpeg's mkv makes a second
# video of cover art. So tags are kept, cover art is left out and named. faststart lets a browser begin before the end.
MOV_OPTIONS = {"movflags": "+use_metadata_tags+faststart"}
MP4_AUDIO = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus"})
MOV_AUDIO = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le"})
CONTAINERS = {
    ".mp4": Container("mp4", "mp4", ("h264", "hevc", "av1", "vp9"), MP4_AUDIO, "aac", "mov_text", options=MOV_OPTIONS),
    ".mov": Container(
        "mov", "mov", ("h264", "hevc", "prores"), MOV_AUDIO, "aac", "mov_text", alpha=True, options=MOV_OPTIONS
    ),
    ".mkv": Container(
        "mkv", "matroska", ("h264", "hevc", "av1", "vp9", "prores"), None, "aac", "srt", alpha=True, attachments=True
    ),
    ".webm": Container("webm", "webm", ("vp9", "av1"), frozenset({"opus", "vorbis"}), "libopus", "webvtt", alpha=True),
    ".gif": Container("gif", "gif", ("gif",), chapters=False, options={"loop": "0"}),
}
FOLDER = Container("folder of PNGs", "png", ("png",), chapters=False, alpha=True)


def is_folder(output: str | Path) -> bool:
    """A name that ends in a slash means a folder of PNGs; so does a folder that is there (a Path loses the slash)."""
    name = os.fspath(output)
    return name.endswith(("/", os.sep)) or Path(name).is_dir()


def container_of(output: str | Path) -> Container:
    """The container that the output's name asks for. Raises UsageError for an unknown one."""
    if is_folder(output):
        return FOLDER
    suffix = Path(output).suffix.lower()
    if suffix not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise UsageError(f"{output} has no ending that says what to write; use {known}, or / for a folder of PNGs")
    return CONTAINERS[suffix]


def codec_of(container: Container, settings: MediaSettings) -> Codec:
    """The video codec: the one that was asked for if the container takes it, else the container's first."""
    name = settings.codec or container.codecs[0]
    if name not in container.codecs:
        raise UsageError(f"codec {name!r} does not go into {container.name}; it takes {', '.join(container.codecs)}")
    codec = CODECS[name]
    if settings.crf is not None and codec.crf is None:
        raise UsageError(f"crf is {settings.crf}, and {codec.name} has no such scale; leave it out")
    if settings.crf is not None and settings.crf > 51 and codec.name in ("h264", "hevc"):
        raise UsageError(f"crf is {settings.crf}; for {codec.name} it must be at most 51")
    return codec


@dataclass(frozen=True)
class OutputFormat:
    """What an output is, resolved once: ``path``, its container and codec, and the settings that they come from."""

    path: Path
    container: Container
    codec: Codec
    settings: MediaSettings

    @classmethod
    def of(cls, output: str | Path, settings: MediaSettings | None = None) -> "OutputFormat":
        """Raises UsageError for a name or a codec that cannot be."""
        settings = settings or MediaSettings()
        container = container_of(output)
        return cls(Path(output), container, codec_of(container, settings), settings)

    @property
    def is_folder(self) -> bool:
        return self.container is FOLDER

    @property
    def holds_alpha(self) -> bool:
        """Whether transparency can be kept."""
        return self.container.alpha and self.codec.alpha_format is not None

    def depth(self, *, transparent: bool) -> int:
        """Bits per channel, 8 or 16, that frames need; transparent ones are divided by their opacity."""
        return 16 if self.codec.deep or (transparent and self.holds_alpha) else 8
