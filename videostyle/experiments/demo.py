"""The demo video that ends the talk: what goes in, what comes out, several styles, before and after."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from videostyle.errors import UsageError
from videostyle.experiments import lettering
from videostyle.experiments.montage import Canvas, Part, Scene, animate, compose
from videostyle.experiments.questions import power
from videostyle.frame import VideoInfo
from videostyle.machine import choose_machine
from videostyle.media.decode import Decoder
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.painter import choose_backbone
from videostyle.pipeline import OnProgress, Progress, copy_video, stylise_video, write_json
from videostyle.samples import sample
from videostyle.settings import MediaSettings, Settings

STYLES = ("brush", "stained_glass", "pointillism", "woodcut", "watercolour")  # of the samples, the main one first
SIZE, QUICK_SIZE, QUICK_ITERATIONS = 400, 256, 30
SIZE_ACCELERATED = 960
SECONDS = 4.0  # of the clip
TITLE_SECONDS, END_SECONDS = 2.5, 2.0
CANVAS = (1280, 720)
MOST_RATE = 30
MOST_BYTES = 8_000_000  # of the animation for a README
STYLE_PIXELS = 640


@dataclass(frozen=True)
class Style:
    """A picture whose style is taken, with its name in words."""

    path: Path
    pixels: torch.Tensor

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
    _check(folder)
    source = Path(clip) if clip else sample("clip.mp4")
    paths = [Path(s) for s in styles] or [sample(f"styles/{name}.jpg") for name in STYLES]
    chosen = [Style(path, read_picture(path, longest=STYLE_PIXELS)) for path in paths]
    studio = _Studio(folder / "clips", source, settings or Settings(), size, quick, on_progress, on_download)
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    scenes, canvas = _scenes(studio, chosen)
    compose(scenes, canvas, folder / "demo.mp4")
    animation = animate(folder / "demo.mp4", folder, MOST_BYTES)
    return [folder / "demo.mp4", animation]


class _Studio:
    """Paints the parts of the clip that scenes ask for; what was painted before with the same request stays."""

    def __init__(
        self,
        folder: Path,
        clip: Path,
        settings: Settings,
        size: int | None,
        quick: bool,
        on_progress: OnProgress | None,
        on_download: Callable | None,
    ) -> None:
        self.folder, self.clip, self.info = folder, clip, probe(clip)
        accelerated = choose_machine(settings).accelerated
        self.size = size or (QUICK_SIZE if quick else SIZE_ACCELERATED if accelerated else SIZE)
        self.settings = settings.but(iterations=QUICK_ITERATIONS) if quick else settings
        self.on_progress, self.on_download = on_progress, on_download
        self.rate = min(Fraction(MOST_RATE), self.info.average_rate or Fraction(25))
        whole = min(SECONDS, float(self.info.duration_seconds or SECONDS))
        self.frames = max(2, round(whole * self.rate))
        self.done, self.total = 0, self.frames

    def source(self) -> Path:
        """The clip upright, with square pixels, no larger than the canvas."""
        media = MediaSettings(size=max(CANVAS), duration_seconds=self._seconds(self.frames), crf=14, overwrite=True)
        return self._once("source.mp4", media, lambda out: copy_video(self.clip, out, self.settings, media))

    def painted(self, style: Style, first: int, frames: int) -> Path:
        """The clip in a style, ``frames`` frames from the ``first`` one on."""
        media = MediaSettings(
            size=self.size,
            start_seconds=self._seconds(first),
            duration_seconds=self._seconds(frames),
            crf=14,
            audio="none",
            overwrite=True,
        )
        name = f"{style.path.stem}-{first}.mp4"

        def paint(out: Path) -> None:
            stylise_video(
                self.clip,
                style.path,
                out,
                self.settings,
                media,
                on_progress=self._report,
                on_download=self.on_download,
            )

        made = self._once(name, media, paint)
        self.done += frames
        return made

    def _once(self, name: str, media: MediaSettings, make: Callable[[Path], Any]) -> Path:
        output, note = self.folder / name, self.folder / f"{name}.json"
        stamp = [str(self.clip.absolute()), self.clip.stat().st_mtime_ns]
        request = json.loads(json.dumps([stamp, asdict(media), asdict(self.settings)]))
        if not (output.is_file() and note.is_file() and json.loads(note.read_text(encoding="utf-8")) == request):
            make(output)
            write_json(note, request)
        return output

    def _seconds(self, frames: int) -> float:
        return float(frames / self.rate)

    def _report(self, progress: Progress) -> None:
        if self.on_progress:
            frame = min(self.total, self.done + progress.frame)
            self.on_progress(Progress("demo", frame, self.total, progress.evaluation, progress.loss))


def _scenes(studio: _Studio, styles: Sequence[Style]) -> tuple[list[Scene], Canvas]:
    """Title, source, source beside stylised, styles in turn, a wipe, how it was made."""
    main, others, whole = styles[0], styles[1:], studio.frames
    studio.total = whole + (whole if others else 0)
    source, painted = studio.source(), studio.painted(main, 0, whole)
    info = probe(source)
    sound = source if any(s.kind == "audio" for s in info.streams) else None
    canvas = Canvas(CANVAS, studio.rate, sound, _fit(info, CANVAS))
    letters = _Letters(studio, info, source, styles)
    scenes = [
        Scene(round(TITLE_SECONDS * studio.rate), under=letters.title(), sound=False),
        Scene(whole, (Part(source, whole),), over=letters.caption("source", "Source")),
        Scene(whole, letters.boxed(source, painted, whole), under=letters.beside()),
        *_others(studio, others, letters),
        Scene(
            whole, (Part(source, whole), Part(painted, whole)), over=letters.caption("wipe", *letters.both), wipe=True
        ),
        Scene(round(END_SECONDS * studio.rate), under=letters.end(), sound=False),
    ]
    return scenes, canvas


def _others(studio: _Studio, styles: Sequence[Style], letters: "_Letters") -> list[Scene]:
    """The other styles in turn while the clip goes on; each paints only its own frames."""
    if not styles:
        return []
    edges = [round(i * studio.frames / len(styles)) for i in range(len(styles) + 1)]
    spans = [(style, a, b - a) for style, a, b in zip(styles, edges, edges[1:], strict=False) if b > a]
    parts = tuple(Part(studio.painted(style, first, count), count) for style, first, count in spans)
    overs = tuple(letters.caption(style.path.stem, style.name.capitalize(), style=style) for style, _, _ in spans)
    return [Scene(studio.frames, parts, overs=overs)]


class _Letters:
    """The stills of a demo, written as PNGs beside its clips."""

    def __init__(self, studio: _Studio, info: VideoInfo, source: Path, styles: Sequence[Style]) -> None:
        self.studio, self.info, self.source, self.styles = studio, info, source, styles
        self.folder = studio.folder

    @property
    def settings(self) -> list[str]:
        """What was done, in three lines."""
        s = self.studio.settings
        network, _ = choose_backbone(s, choose_machine(s))
        network = Path(s.weights or "").stem if network == "auto" else network
        return [
            f"content at {_span(s.content_layers)}, style at {_span(s.style_layers)}",
            f"α/β {power(s.content_weight / s.style_weight)}, {s.pooling} pooling",
            f"network {network}, {self.studio.size} pixels",
        ]

    @property
    def both(self) -> tuple[str, str]:
        return "Source and stylised", f"in the style of {self.styles[0].name}"

    def title(self) -> Path:
        with Decoder(self.info, threads=1) as decoder:
            still = next(iter(decoder)).pixels
        return lettering.title_card(CANVAS, still, [s.pixels for s in self.styles]).save(self.folder / "title.png")

    def caption(self, name: str, words: str, small: str = "", style: Style | None = None) -> Path:
        pixels = None if style is None else style.pixels
        return lettering.caption(CANVAS, words, small, pixels).save(self.folder / f"caption-{name}.png")

    def boxed(self, source: Path, painted: Path, frames: int) -> tuple[Part, Part]:
        left, right = self._boxes()
        return Part(source, frames, left), Part(painted, frames, right)

    def beside(self) -> Path:
        main = self.styles[0]
        page = lettering.beside(CANVAS, self._boxes(), main.pixels, main.name, self.studio.clip.name, self.settings)
        return page.save(self.folder / "beside.png")

    def end(self) -> Path:
        names = ", ".join(style.name for style in self.styles)
        lines = ["videostyle demo", *self.settings, f"{self.studio.clip.name} in {names}"]
        return lettering.end_card(CANVAS, lines).save(self.folder / "end.png")

    def _boxes(self) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """Two boxes of the clip's shape, side by side, even numbers of pixels."""
        w, h = _fit(self.info, (604, 400))
        y = 80 + (400 - h) // 2 // 2 * 2
        return (28, y, w, h), (CANVAS[0] // 2 + 8, y, w, h)


def _fit(info: VideoInfo, box: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of a clip as large as a box takes it, even numbers of pixels."""
    scale = min(box[0] / info.width, box[1] / info.height)
    return int(info.width * scale + 0.01) // 2 * 2, int(info.height * scale + 0.01) // 2 * 2


def _span(layers: Sequence[str]) -> str:
    return ", ".join(layers) if len(layers) < 3 else f"{layers[0]}–{layers[-1]}"


def _check(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; expected a folder for the demo")
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"{folder} cannot be made: the folder above it does not exist; create it first")
