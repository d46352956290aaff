"""Painting ComfyUI's tensors with videostyle: no word of ComfyUI itself.

IMAGE is float (B, H, W, 3) RGB in [0, 1], MASK float (B, H, W) or (H, W) in [0, 1].
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from videostyle import (
    Frame,
    Look,
    MediaSettings,
    RegionLook,
    RunSettings,
    Settings,
    StylePicture,
    VideoStyleError,
    stylise_video,
)
from videostyle.errors import StoppedError
from videostyle.pipeline.job import open_stylizer
from videostyle.pipeline.mask_edges import feathered, resized
from videostyle.pipeline.paint_frames import painted_frames
from videostyle.pipeline.progress import Reporter
from videostyle.pipeline.request import Callbacks
from videostyle.version import __version__

RATE = Fraction(25)  # of frames that come without times; cuts that are nearer than 0.3 s are one


@dataclass(frozen=True)
class Wanted:
    """A style, and a part in another one, or as the source where ``mask_style`` is None."""

    style: torch.Tensor
    mask: torch.Tensor | None = None
    mask_style: torch.Tensor | None = None

    def look(self, style: list[str], mask: str | None, mask_style: list[str]) -> Look:
        """By these names. Several pictures of a style are blended."""
        regions = () if mask is None else (RegionLook(mask, styles=tuple(map(StylePicture, mask_style))),)
        return Look(tuple(map(StylePicture, style)), regions=regions)


def paint_video(
    clip: Path, wanted: Wanted, settings: Settings, media: MediaSettings, folder: Path, callbacks: Callbacks
) -> Path:
    """The painted clip, in ``folder`` by a name that follows from all that is asked: the same again is there already,
    or goes on where it was stopped."""
    files = folder / "pictures"
    files.mkdir(parents=True, exist_ok=True)
    mask = None if wanted.mask is None else str(_mask_files(_masks(wanted.mask), files))
    other = [] if wanted.mask_style is None else _picture_files(wanted.mask_style, files)
    look = wanted.look(_picture_files(wanted.style, files), mask, other)
    asked = repr((__version__, _checksum(clip), [Path(name).name for name in look.paths], settings, media))
    output = folder / f"{clip.stem}-{hashlib.sha256(asked.encode()).hexdigest()[:12]}.mp4"
    if not output.exists():
        told = {"on_progress": callbacks.on_progress, "should_stop": callbacks.should_stop}
        stylise_video(clip, look, output, settings, media, RunSettings(resume_anyway=True), **told)
    return output


def paint_frames(images: torch.Tensor, wanted: Wanted, settings: Settings, callbacks: Callbacks) -> torch.Tensor:
    """The frames of one clip, in their order, as large and as many."""
    count, height, width = images.shape[:3]
    size, settings = (width, height), settings.with_quality()
    styles = {f"style {n}": _pixels(p) for n, p in enumerate(wanted.style)}
    more = () if wanted.mask_style is None else wanted.mask_style
    others = {f"mask style {n}": _pixels(p) for n, p in enumerate(more)}
    look = wanted.look([*styles], None if wanted.mask is None else "mask", [*others])
    named = styles | others
    stylizer = open_stylizer(
        look,
        settings,
        size,
        callbacks,
        frames=count,
        read=named.__getitem__,
        open_region=lambda *_, feather, **__: MaskOfFrames(_masks(wanted.mask), count, size, feather),
    )
    frames = (Frame(_pixels(image), n, 1 / RATE) for n, image in enumerate(images))
    report = Reporter("stylise", count, callbacks.on_progress, keep_all=False)
    painted = torch.empty(count, height, width, 3)

    def on_evaluation(index: int, evaluation: int, loss: float) -> None:
        report.evaluation(index, evaluation, loss)
        if callbacks.should_stop is not None and callbacks.should_stop():
            raise StoppedError(f"stopped; {report.count} of {count} frames were painted")

    with painted_frames(frames, stylizer, size, None, on_evaluation) as made:
        for frame in made:
            painted[frame.index] = frame.pixels[0].permute(1, 2, 0).cpu()
            report.frame(frame)
    return painted


class MaskOfFrames:
    """One mask for all frames, or one for each, as `RegionMask` wants it. Raises VideoStyleError for another number."""

    def __init__(self, masks: torch.Tensor, count: int, size: tuple[int, int], feather: float) -> None:
        if len(masks) not in (1, count):
            raise VideoStyleError(f"{len(masks)} masks came for {count} frames; give one, or one for each")
        self._masks, self._size, self._feather = masks, size, feather

    def at(self, time_seconds: Fraction) -> torch.Tensor:
        index = round(time_seconds * RATE) if len(self._masks) > 1 else 0
        return feathered(resized(self._masks[index][None, None], self._size), self._feather)


@contextmanager
def ordinary_tensors() -> Iterator[None]:
    """ComfyUI runs nodes in inference mode, in which no network can be trained."""
    with torch.inference_mode(False):
        yield


def _pixels(image: torch.Tensor) -> torch.Tensor:
    """(H, W, C) -> (1, 3, H, W) float32, a tensor of its own."""
    return image[..., :3].permute(2, 0, 1)[None].float().cpu().clamp(0, 1).contiguous().clone()


def _masks(mask: torch.Tensor) -> torch.Tensor:
    return mask.reshape(-1, *mask.shape[-2:]).float().cpu().clamp(0, 1).clone()


def _picture_files(images: torch.Tensor, folder: Path) -> list[str]:
    return [str(_file(_levels(image[..., :3]), folder)) for image in images]


def _mask_files(masks: torch.Tensor, folder: Path) -> Path:
    """One picture, or a folder with one for every frame."""
    levels = [_levels(mask) for mask in masks]
    if len(levels) == 1:
        return _file(levels[0], folder)
    place = folder / hashlib.sha256(b"".join(map(bytes, levels))).hexdigest()[:16]
    place.mkdir(exist_ok=True)
    for number, one in enumerate(levels):
        Image.fromarray(one).save(place / f"{number}.png", compress_level=1)
    return place


def _levels(image: torch.Tensor) -> np.ndarray:
    return (image.float().cpu().clamp(0, 1) * 255).round().byte().numpy()


def _file(levels: np.ndarray, folder: Path) -> Path:
    """A PNG by the checksum of its pixels."""
    about = f"{levels.shape}".encode()
    path = folder / f"{hashlib.sha256(about + levels.tobytes()).hexdigest()[:16]}.png"
    if not path.exists():
        Image.fromarray(levels).save(path)
    return path


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
