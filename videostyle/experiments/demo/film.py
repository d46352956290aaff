"""The demo video that ends the talk: what goes in, what comes out, several styles, before and after."""

import functools
import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from videostyle.device import choose_machine
from videostyle.experiments.demo import lettering
from videostyle.experiments.demo.montage import Canvas, Part, Scene, animate, compose
from videostyle.experiments.inputs import check_folder, clip_frame
from videostyle.experiments.questions import power
from videostyle.files import fingerprint, write_json
from videostyle.frames import VideoInfo
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.pipeline.job import default_size
from videostyle.pipeline.progress import OnProgress, Progress
from videostyle.pipeline.video import copy_video, stylise_video
from videostyle.samples import sample
from videostyle.settings import MediaSettings, Settings
from videostyle.stylise.choose_network import choose_backbone
from videostyle.stylise.style_images import as_style
from videostyle.stylise.style_networks import NetworkKey, find_network
from videostyle.stylise.stylizer import Stylizer

STYLES = ("brush", "stained_glass", "pointillism", "woodcut", "watercolour")  # of the samples, the main one first
QUICK_SIZE, STYLE_PIXELS = 256, 640  # pixels, the longer side
CANVAS, MOST_RATE = (1280, 720), 30  # pixels, frames per second
SECONDS, TITLE_SECONDS, END_SECONDS = 4.0, 3.0, 3.0  # of the clip, the first and the last scene
QUICK_ITERATIONS = 30
MOST_BYTES = 3_000_000  # of the animation for a README


@dataclass(frozen=True)
class Style:
    """A picture whose style is taken, with its name in words."""

    path: Path
    pixels: torch.Tensor
    number: int  # from 0, in the order given: two files may have one name

    @property
    def name(self) -> str:
        return self.path.stem.replace("_", " ").replace("-", " ")


def make_demo(
    folder: Path,
    clip: str | Path | None = None,
    styles: Sequence[str | Path] = (),
    settings: Settings | None = None,
    *,
    size: int | None = None,
    quick: bool = False,
    on_progress: OnProgress | None = None,
    on_download: Callable | None = None,
) -> list[Path]:
    """Write ``demo.mp4`` and ``demo.webp`` (or .gif) to ``folder``; the files written.

    ``clip`` and ``styles``: the samples by default; the first style is the main one. ``size``: the longer side of what
    is painted, in pixels; the canvas is always 1280 x 720. The clips that were painted stay in ``folder/clips``.
    """
    check_folder(folder, "the demo")
    source = Path(clip) if clip else sample("clip.mp4")
    paths = [Path(s) for s in styles] or [sample(f"styles/{name}.jpg") for name in STYLES]
    chosen = [Style(path, read_picture(path, longest=STYLE_PIXELS), i) for i, path in enumerate(paths)]
    callbacks = {"on_progress": on_progress, "on_download": on_download}
    studio = _Studio(folder / "clips", source, settings or Settings(), size, quick, callbacks)
    studio.folder.mkdir(parents=True, exist_ok=True)
    compose(*_scenes(studio, chosen, _command(clip, styles, size, quick)), folder / "demo.mp4")
    return [folder / "demo.mp4", animate(folder / "demo.mp4", folder, MOST_BYTES)]


class _Studio:
    """Paints the parts of the clip that scenes ask for. A clip is kept for as long as its request is the same."""

    def __init__(
        self, folder: Path, clip: Path, settings: Settings, size: int | None, quick: bool, callbacks: dict[str, Any]
    ) -> None:
        self.folder, self.clip, self.info = folder, clip, probe(clip)
        self.size = size or (QUICK_SIZE if quick else default_size(settings))
        self.settings = settings.replace(iterations=QUICK_ITERATIONS) if quick else settings
        self.on_progress, self.on_download = callbacks["on_progress"], callbacks["on_download"]
        self.rate = min(Fraction(MOST_RATE), self.info.average_rate or Fraction(25))
        self.frames = max(2, round(min(SECONDS, float(self.info.duration_seconds or SECONDS)) * self.rate))
        self.done, self.total = 0, self.frames

    def source(self) -> Path:
        """The clip upright, with square pixels, no larger than the canvas."""
        media = MediaSettings(size=max(CANVAS), duration_seconds=self._seconds(self.frames), crf=14, overwrite=True)
        make = functools.partial(copy_video, self.clip, settings=self.settings, media=media)
        return self._once("source.mp4", self._request(media), make)

    def painted(self, style: Style, first: int, frames: int) -> Path:
        """The clip in a style, ``frames`` frames from the ``first`` one on."""
        start, duration = self._seconds(first), self._seconds(frames)
        media = MediaSettings(
            size=self.size, start_seconds=start, duration_seconds=duration, crf=14, audio="none", overwrite=True
        )
        callbacks: dict[str, Any] = {"on_progress": self._report, "on_download": self.on_download}
        make = functools.partial(stylise_video, self.clip, style.path, settings=self.settings, media=media, **callbacks)
        starts = [Path(name) for name in sorted(self.settings.start_pictures)]
        pictures = [fingerprint(path) for path in (style.path, *starts) if path.is_file()]
        request = self._request(media, pictures, self.networks, self._style_network(style))
        made = self._once(f"{style.number}-{style.path.stem}.mp4", request, make)
        self.done += frames
        return made

    @functools.cached_property
    def networks(self) -> list[str]:
        """sha256 of every network that has a say in the frames."""
        stylizer = Stylizer(torch.zeros(1, 3, 32, 32), self.settings, on_download=self.on_download)  # any style will do
        return [network.sha256 for network in stylizer.networks]

    def _style_network(self, style: Style) -> list[str]:
        """sha256 of the style's own network, where there is one."""
        found = find_network(NetworkKey.of(as_style(read_picture(style.path)), self.settings, self.size))
        return [] if found is None else [found.sha256]

    def _request(self, media: MediaSettings, *more: list[str]) -> Any:
        """Everything that a clip depends on, as JSON reads it again: lists, not tuples."""
        return json.loads(json.dumps([fingerprint(self.clip), asdict(media), asdict(self.settings), *more]))

    def _once(self, name: str, request: Any, make: Callable[[Path], Any]) -> Path:
        output, note = self.folder / name, self.folder / f"{name}.json"
        if not (output.is_file() and note.is_file() and json.loads(note.read_text(encoding="utf-8")) == request):
            make(output)
            write_json(note, request)
        return output

    def _seconds(self, frames: int) -> float:
        return float(frames / self.rate)

    def _report(self, progress: Progress) -> None:
        frame = min(self.total, self.done + progress.frame)
        if self.on_progress:
            self.on_progress(Progress("demo", frame, self.total, progress.evaluation, progress.loss))


def _scenes(studio: _Studio, styles: Sequence[Style], command: str) -> tuple[list[Scene], Canvas]:
    """Title, source, source beside stylised, styles in turn, a wipe, all of them side by side."""
    whole = studio.frames
    studio.total = whole * min(2, len(styles))
    source, painted = Part(studio.source(), whole), Part(studio.painted(styles[0], 0, whole), whole)
    others, info = _in_turn(studio, styles[1:]), probe(source.clip)
    sound = source.clip if any(s.kind == "audio" for s in info.streams) else None
    canvas = Canvas(CANVAS, studio.rate, sound, _fit(info, CANVAS))
    letters = _Letters(studio, info, styles, command)
    named = tuple(
        letters.caption(f"{style.number}-{style.path.stem}", style.name.capitalize(), style) for style in styles[1:]
    )
    wipe = f"Source and stylised, in the style of {styles[0].name}"
    stills = [("Source", source), *zip((s.name.capitalize() for s in styles), (painted, *others), strict=False)]
    scenes = [
        Scene(round(TITLE_SECONDS * studio.rate), (painted,), over=letters.title(), sound=False),
        Scene(whole, (source,), over=letters.caption("source", "Source")),
        Scene(whole, letters.boxed(source, painted), under=letters.beside()),
        *([Scene(whole, others, overs=named)] if others else []),
        Scene(whole, (source, painted), over=letters.caption("wipe", wipe), wipe=True),
        Scene(round(END_SECONDS * studio.rate), under=letters.end(stills), sound=False),
    ]
    return scenes, canvas


def _in_turn(studio: _Studio, styles: Sequence[Style]) -> tuple[Part, ...]:
    """The clip going on from style to style; each paints only its own frames."""
    edges = [round(i * studio.frames / max(1, len(styles))) for i in range(len(styles) + 1)]
    spans = [(style, a, b - a) for style, a, b in zip(styles, edges, edges[1:], strict=False) if b > a]
    return tuple(Part(studio.painted(style, first, count), count) for style, first, count in spans)


class _Letters:
    """The stills of a demo, written as PNGs beside its clips."""

    def __init__(self, studio: _Studio, info: VideoInfo, styles: Sequence[Style], command: str) -> None:
        self.folder, self.studio, self.info, self.styles, self.command = studio.folder, studio, info, styles, command
        s = studio.settings
        network, _ = choose_backbone(s, choose_machine(s))
        network = Path(s.weights or "").stem if network == "auto" else network
        self.settings = [
            f"content at {_span(s.content_layers)}, style at {_span(s.style_layers)}",
            f"α/β {power(s.content_weight / s.style_weight)}, {s.pooling} pooling",
            f"network {network}, {studio.size} pixels",
        ]

    def title(self) -> Path:
        return lettering.title_card(CANVAS, [s.pixels for s in self.styles]).save(self.folder / "title.png")

    def caption(self, name: str, words: str, style: Style | None = None) -> Path:
        pixels = None if style is None else style.pixels
        return lettering.caption(CANVAS, words, pixels).save(self.folder / f"caption-{name}.png")

    def boxed(self, *parts: Part) -> tuple[Part, ...]:
        return tuple(replace(part, box=box) for part, box in zip(parts, self._boxes(), strict=True))

    def beside(self) -> Path:
        main = self.styles[0]
        page = lettering.beside(CANVAS, self._boxes(), main.pixels, main.name, self.studio.clip.name, self.settings)
        return page.save(self.folder / "beside.png")

    def end(self, parts: Sequence[tuple[str, Part]]) -> Path:
        times = [0.4 * float(probe(part.clip).duration_seconds or 0) for _, part in parts]
        stills = [
            (name, clip_frame(part.clip, STYLE_PIXELS, time)) for (name, part), time in zip(parts, times, strict=True)
        ]
        return lettering.end_card(CANVAS, stills, self.command, self.settings).save(self.folder / "end.png")

    def _boxes(self) -> tuple[lettering.Box, lettering.Box]:
        """Two boxes of the clip's shape, side by side, even numbers of pixels."""
        w, h = _fit(self.info, (604, 400))
        y = 80 + (400 - h) // 2 // 2 * 2
        return (28, y, w, h), (CANVAS[0] // 2 + 8, y, w, h)


def _fit(info: VideoInfo, box: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of a clip as large as a box takes it, even numbers of pixels."""
    scale = min(box[0] / info.width, box[1] / info.height)
    return int(info.width * scale + 0.01) // 2 * 2, int(info.height * scale + 0.01) // 2 * 2


def _command(clip: str | Path | None, styles: Sequence[str | Path], size: int | None, quick: bool) -> str:
    """What makes the video again, with the names of its files."""
    words = ["--clip", Path(clip).name] if clip else []
    words += ["--style", *(Path(s).name for s in styles)] if styles else []
    words += ["--size", str(size)] if size else []
    return shlex.join(["videostyle", "demo", *words, *(["--quick"] if quick else [])])


def _span(layers: Sequence[str]) -> str:
    return ", ".join(layers) if len(layers) < 3 else f"{layers[0]}–{layers[-1]}"
