"""The demo video that ends the talk: what goes in, what comes out, several styles, before and after."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from videostyle.device import choose_machine
from videostyle.errors import UsageError
from videostyle.experiments.demo import lettering
from videostyle.experiments.demo.montage import Canvas, Part, Scene, animate, compose
from videostyle.experiments.inputs import clip_frame
from videostyle.experiments.questions import power
from videostyle.files import write_json
from videostyle.frames import VideoInfo
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.pipeline.progress import OnProgress, Progress
from videostyle.pipeline.video import copy_video, stylise_video
from videostyle.samples import sample
from videostyle.settings import MediaSettings, Settings
from videostyle.stylise.choose_network import choose_backbone

STYLES = ("brush", "stained_glass", "pointillism", "woodcut", "watercolour")  # of the samples, the main one first
SIZE, QUICK_SIZE, QUICK_ITERATIONS = 400, 256, 30
SIZE_ACCELERATED = 960
SECONDS = 4.0  # of the clip
TITLE_SECONDS, END_SECONDS = 3.0, 3.0
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
    scenes, canvas = _scenes(studio, chosen, _command(clip, styles, size, quick))
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
        self.settings = settings.replace(iterations=QUICK_ITERATIONS) if quick else settings
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


def _scenes(studio: _Studio, styles: Sequence[Style], command: str) -> tuple[list[Scene], Canvas]:
    """Title, source, source beside stylised, styles in turn, a wipe, all of them side by side."""
    whole = studio.frames
    studio.total = whole + (whole if len(styles) > 1 else 0)
    source, painted = Part(studio.source(), whole), Part(studio.painted(styles[0], 0, whole), whole)
    others = _in_turn(studio, styles[1:])
    info = probe(source.clip)
    sound = source.clip if any(s.kind == "audio" for s in info.streams) else None
    canvas = Canvas(CANVAS, studio.rate, sound, _fit(info, CANVAS))
    letters = _Letters(studio, info, styles, command)
    wipe = f"Source and stylised, in the style of {styles[0].name}"
    stills = {"Source": source, **dict(zip((s.name.capitalize() for s in styles), (painted, *others), strict=False))}
    scenes = [
        Scene(round(TITLE_SECONDS * studio.rate), (painted,), over=letters.title(), sound=False),
        Scene(whole, (source,), over=letters.caption("source", "Source")),
        Scene(whole, letters.boxed(source, painted), under=letters.beside()),
        *([Scene(whole, others, overs=letters.named(styles[1:]))] if others else []),
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
        self.studio, self.info, self.styles, self.command = studio, info, styles, command
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

    def title(self) -> Path:
        return lettering.title_card(CANVAS, [s.pixels for s in self.styles]).save(self.folder / "title.png")

    def caption(self, name: str, words: str, style: Style | None = None) -> Path:
        pixels = None if style is None else style.pixels
        return lettering.caption(CANVAS, words, pixels).save(self.folder / f"caption-{name}.png")

    def named(self, styles: Sequence[Style]) -> tuple[Path, ...]:
        return tuple(self.caption(style.path.stem, style.name.capitalize(), style) for style in styles)

    def boxed(self, *parts: Part) -> tuple[Part, ...]:
        return tuple(replace(part, box=box) for part, box in zip(parts, self._boxes(), strict=True))

    def beside(self) -> Path:
        main = self.styles[0]
        page = lettering.beside(CANVAS, self._boxes(), main.pixels, main.name, self.studio.clip.name, self.settings)
        return page.save(self.folder / "beside.png")

    def end(self, parts: Mapping[str, Part]) -> Path:
        stills = [(name, _still(part.clip)) for name, part in parts.items()]
        return lettering.end_card(CANVAS, stills, self.command, self.settings).save(self.folder / "end.png")

    def _boxes(self) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """Two boxes of the clip's shape, side by side, even numbers of pixels."""
        w, h = _fit(self.info, (604, 400))
        y = 80 + (400 - h) // 2 // 2 * 2
        return (28, y, w, h), (CANVAS[0] // 2 + 8, y, w, h)


def _still(clip: Path) -> torch.Tensor:
    """The frame in the middle of a clip, (1, 3, H, W)."""
    return clip_frame(clip, STYLE_PIXELS, at_seconds=0.4 * float(probe(clip).duration_seconds or 0))


def _fit(info: VideoInfo, box: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of a clip as large as a box takes it, even numbers of pixels."""
    scale = min(box[0] / info.width, box[1] / info.height)
    return int(info.width * scale + 0.01) // 2 * 2, int(info.height * scale + 0.01) // 2 * 2


def _command(clip: str | Path | None, styles: Sequence[str | Path], size: int | None, quick: bool) -> str:
    """What makes the video again, with the names of its files."""
    parts = [
        ["--clip", Path(clip).name] if clip else [],
        ["--style", *(Path(s).name for s in styles)] if styles else [],
    ]
    parts += [["--size", str(size)] if size else [], ["--quick"] if quick else []]
    return shlex.join(["videostyle", "demo", *(word for part in parts for word in part)])


def _span(layers: Sequence[str]) -> str:
    return ", ".join(layers) if len(layers) < 3 else f"{layers[0]}–{layers[-1]}"


def _check(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; expected a folder for the demo")
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"{folder} cannot be made: the folder above it does not exist; create it first")
