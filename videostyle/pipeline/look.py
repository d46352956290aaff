"""A look on one clip: its pictures and masks read, its numbers at every frame's time."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from videostyle.errors import UsageError
from videostyle.frames import Frame, VideoInfo
from videostyle.media.decode import Decoder
from videostyle.media.loudness import read_sound
from videostyle.media.still import read_picture
from videostyle.pipeline.region_masks import OnProgress, RegionMask, open_mask
from videostyle.settings import MediaSettings, Settings
from videostyle.settings.curves import (
    Curve,
    Timeline,
    is_constant,
    limits,
    needs_cuts,
    needs_duration,
    needs_sound,
    resolved,
)
from videostyle.settings.look import SOURCE_COLOURS, ColourLook, Look, StylePicture
from videostyle.stylise.direction import Area, Colours, Moment, layered
from videostyle.stylise.palette import Moments
from videostyle.stylise.style_images import Style, StyleImage, as_style
from videostyle.temporal.cuts import in_shots

Number = Callable[[float], float]  # of seconds from the clip's beginning
# Steps of a scale that changes, per octave: statistics are measured anew at each.
SCALE_STEPS = 16
# A picture is the first frame of a clip without end.
ENDLESS_SECONDS, ENDLESS_CUTS = 1e9, tuple(1e8 + 1e5 * i for i in range(100))
TIMES_CHECKED = 1000  # of the clip, at which a blend must have some weight


@dataclass(frozen=True)
class TimedStyle:
    """A style's pictures, (1, 3, H, W) float32 RGB in [0, 1] each, with their weight and scale at every time."""

    parts: tuple[tuple[torch.Tensor, Number, Number], ...]

    def at(self, seconds: float) -> Style:
        return as_style([StyleImage(p, weight(seconds), scale(seconds)) for p, weight, scale in self.parts])


class LookDirection:
    """What a look wants of every frame of one clip (`stylise.direction.Direction`).

    ``info``: the clip; None: a picture, whose time is 0. ``size``: (width, height) of the frames. ``on_mask(done,
    total)``: frames through which a mask was carried. ``read``, ``open_region``: `read_picture` and `open_mask`, or
    what remembers their answers. Reads everything that the look names, and refuses what does not fit the clip. Raises
    UsageError or MediaError.
    """

    def __init__(
        self,
        look: Look,
        settings: Settings,
        info: VideoInfo | None,
        media: MediaSettings,
        size: tuple[int, int],
        on_mask: OnProgress | None = None,
        read: Callable[[str], torch.Tensor] = read_picture,
        open_region: Callable[..., RegionMask] = open_mask,
    ) -> None:
        self.settings, self._read = settings, read
        self._timeline = timeline_of(look, info, media, size)
        self.styles = [self._style(look.styles), *(self._style(r.styles) for r in look.regions if r.styles)]
        self._regions = look.regions
        self._weights = [self._number(r.weight, f"weight of region {r.mask}") for r in look.regions]
        clip: dict[str, Any] = {"info": info, "size": size, "media": media, "on_progress": on_mask}
        self._masks = [open_region(r.mask, r.at_seconds, feather=look.feather, **clip) for r in look.regions]
        self._changing = {name: self._setting(curve, name) for name, curve in look.changing}
        self._share = self._number(look.colours.share, f"share of colours {look.colours.of}")
        self._colours, self._palette = look.colours, _palette(look.colours, read)
        self._check_weights(look)

    def _number(self, curve: Curve, name: str) -> Number:
        return resolved(curve, self._timeline, name)

    def _setting(self, curve: Curve, name: str) -> Number:
        for value in limits(curve):
            self.settings.replace(**{name: value})  # refuses what does not go with the others
        number = self._number(curve, name)
        return in_steps(number) if name == "style_scale" else number

    def _style(self, pictures: Sequence[StylePicture]) -> TimedStyle:
        parts = []
        for p in pictures:
            scale = self._number(p.scale, f"scale of {p.picture}")
            weight = self._number(p.weight, f"weight of {p.picture}")
            parts.append((self._read(p.picture), weight, scale if is_constant(p.scale) else in_steps(scale)))
        return TimedStyle(tuple(parts))

    def _check_weights(self, look: Look) -> None:
        """Refuse a blend that has no weight at some time."""
        length = self._timeline.duration_seconds or 0.0
        names = [look.styles, *(r.styles for r in look.regions if r.styles)]
        for pictures, style in zip(names, self.styles, strict=True):
            for i in range(TIMES_CHECKED + 1):
                seconds = min(length, 1e6) * i / TIMES_CHECKED
                if sum(weight(seconds) for _, weight, _ in style.parts) <= 0:
                    blend = " and ".join(Path(p.picture).name for p in pictures)
                    raise UsageError(f"{blend} have no weight at {seconds:.2f} s; give one of them some")

    def __call__(self, frame: Frame) -> Moment:
        seconds = float(frame.time_seconds)
        settings = self.settings.replace(**{name: number(seconds) for name, number in self._changing.items()})
        styles = [style.at(seconds) for style in self.styles]
        areas, kept = self._areas(frame, styles)
        share = self._share(seconds)
        colours = Colours(share, self._palette, self._colours.of == SOURCE_COLOURS)
        alike = settings.replace(coherence=0.0, temporal_weight=None)
        blends = [[(image.weight, image.scale) for image in style] for style in styles]
        told = repr((alike, blends, [area.weight for area in areas], share))
        return Moment(settings, areas, kept, colours, hashlib.sha256(told.encode()).hexdigest()[:16])

    def _areas(self, frame: Frame, styles: Sequence[Style]) -> tuple[tuple[Area, ...], torch.Tensor | None]:
        """(the areas with their masks, where the source stays) at a frame's time."""
        if not self._masks:
            return (Area(styles[0]),), None
        weights = [weight(float(frame.time_seconds)) for weight in self._weights]
        masks = [mask.at(frame.time_seconds) for mask in self._masks]
        shown = [m if r.styles else m * min(w, 1.0) for r, m, w in zip(self._regions, masks, weights, strict=True)]
        ground, *masks = layered(shown)
        areas, kept, left = [Area(styles[0], ground)], None, iter(styles[1:])
        for region, mask, weight in zip(self._regions, masks, weights, strict=True):
            if region.styles:
                areas.append(Area(next(left), mask, weight))
            else:
                kept = mask if kept is None else kept + mask
        return tuple(areas), kept


def in_steps(scale: Number) -> Number:
    """A scale that changes in steps of 1 / SCALE_STEPS octave."""
    return lambda seconds: 2 ** (round(SCALE_STEPS * math.log2(scale(seconds))) / SCALE_STEPS)


def timeline_of(look: Look, info: VideoInfo | None, media: MediaSettings, size: tuple[int, int]) -> Timeline:
    """What the look's numbers need to know of a clip; its frames are decoded where that takes them."""
    curves = [curve for _, curve in look.curves()]
    drives = {drive for curve in curves for drive in needs_sound(curve)}
    if info is None:
        return Timeline(ENDLESS_SECONDS, ENDLESS_CUTS, {drive: lambda _: 0.0 for drive in drives})
    length = None if info.duration_seconds is None else float(info.duration_seconds)
    cuts: tuple[float, ...] = ()
    if any(map(needs_cuts, curves)) or (length is None and any(map(needs_duration, curves))):
        length, cuts = survey(info, media, size)
    sound = read_sound(info.path, info.start_seconds) if drives else None
    heard: dict[tuple[str, float], Number] = {d: sound.loudness(d.source, d.smooth_seconds) for d in drives if sound}
    return Timeline(length, cuts, heard)


def survey(info: VideoInfo, media: MediaSettings, size: tuple[int, int]) -> tuple[float, tuple[float, ...]]:
    """(length, times of cuts), both in seconds, of the whole clip, from one decode."""
    cuts, last, step = list[float](), 0.0, 0.0
    with Decoder(info, size=size) as decoder:
        for frame in in_shots(iter(decoder), media):
            seconds = float(frame.time_seconds)
            step, last = seconds - last, seconds
            if frame.cut:
                cuts.append(seconds)
    return last + step, tuple(cuts)


def _palette(colours: ColourLook, read: Callable[[str], torch.Tensor]) -> Moments | None:
    return None if colours.picture is None else Moments.of([read(colours.picture)], [1.0])
