"""A look: which styles are painted where, in whose colours, and what of it changes over time. Plain values.

Everything else about how a picture is painted is in `Settings`. A look names pictures and masks by their paths.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from videostyle.errors import UsageError
from videostyle.settings import Settings
from videostyle.settings.curves import Curve, is_constant, limits

# Settings that may change over time: numbers that every frame is told anew.
CHANGING = (
    *("strength", "style_weight", "content_weight", "style_scale"),
    *("grain_weight", "tv_weight", "coherence"),
)
STYLE_COLOURS, SOURCE_COLOURS = "style", "source"
MOST_SCALE = 8.0  # of a style picture, as for Settings.style_scale
FEATHER = 8.0  # pixels of the output


@dataclass(frozen=True)
class StylePicture:
    """One picture of a style: its share of the blend, and how broad its strokes are."""

    picture: str
    weight: Curve = 1.0
    scale: Curve = 1.0

    def __post_init__(self) -> None:
        check_limits(self.weight, f"weight of {self.picture}", 0.0, math.inf)
        check_limits(self.scale, f"scale of {self.picture}", 0.0, MOST_SCALE, above=True)


@dataclass(frozen=True)
class RegionLook:
    """A part of the picture. ``mask``: a picture, a video or a folder of masks. ``at_seconds``: the mask was painted on
    the frame at that time, and is carried from there; None: it holds as it is. ``styles``: none: the source stays.
    ``weight``: of the style against the content; of a source that stays, how much of it does, 1 or more being all."""

    mask: str
    at_seconds: float | None = None
    styles: tuple[StylePicture, ...] = ()
    weight: Curve = 1.0

    def __post_init__(self) -> None:
        check_limits(self.weight, f"weight of region {self.mask}", 0.0, math.inf)


@dataclass(frozen=True)
class PaintedFrame:
    """A frame that an artist has painted: ``picture`` is the first frame at or after ``at_seconds`` of the clip."""

    picture: str
    at_seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.at_seconds < math.inf:
            raise UsageError(f"{self.picture} is for {self.at_seconds:g} s; expected a time of at least 0")


@dataclass(frozen=True)
class ColourLook:
    """Whose colours: "style", "source" or the path of a picture, by so much ``share`` in [0, 1]."""

    of: str = STYLE_COLOURS
    share: Curve = 1.0

    def __post_init__(self) -> None:
        check_limits(self.share, f"share of colours {self.of}", 0.0, 1.0)

    @property
    def picture(self) -> str | None:
        """The path of the picture whose colours are wanted."""
        return None if self.of in (STYLE_COLOURS, SOURCE_COLOURS) else self.of


@dataclass(frozen=True)
class Look:
    """What is painted where. ``styles``: the clip's own, blended. ``regions``: later ones lie above. ``feather``: width
    of a region's soft edge, in pixels of the output. ``changing``: settings of CHANGING that change over time.
    ``frames``: of the clip, painted by an artist, whose paint the others take; without other styles they are the style.
    """

    styles: tuple[StylePicture, ...] = ()
    regions: tuple[RegionLook, ...] = ()
    colours: ColourLook = field(default_factory=ColourLook)
    feather: float = FEATHER
    changing: tuple[tuple[str, Curve], ...] = ()
    name: str = ""  # for the output's name
    frames: tuple[PaintedFrame, ...] = ()

    def __post_init__(self) -> None:
        if not self.styles and self.frames:
            pictures = dict.fromkeys(frame.picture for frame in self.frames)
            object.__setattr__(self, "styles", tuple(map(StylePicture, pictures)))
        if not self.styles:
            raise UsageError("the look has no style; name a picture")
        for blend in (self.styles, *(region.styles for region in self.regions if region.styles)):
            if not any(limits(style.weight)[1] > 0 for style in blend):
                named = " and ".join(Path(style.picture).name for style in blend)
                raise UsageError(f"{named}: no weight above 0; give one of them some")
        if not 0 <= self.feather <= 1000:
            raise UsageError(f"feather is {self.feather:g}; expected 0 to 1000 pixels")
        for name, curve in self.changing:
            for value in limits(curve):
                Settings.from_mapping({name: value})  # refuses what is out of range

    @property
    def is_plain(self) -> bool:
        """Whether it is one picture everywhere from the first to the last frame, in its own colours."""
        return self.has_network and not self.frames and self.styles == (StylePicture(self.styles[0].picture),)

    @property
    def has_network(self) -> bool:
        """Whether a network can learn it: one style, everywhere, always, in its own colours."""
        constant = not self.changing and all(is_constant(curve) for _, curve in self.curves())
        return constant and not self.regions and self.colours.of == STYLE_COLOURS

    @property
    def pictures(self) -> tuple[StylePicture, ...]:
        """The styles of the clip and of all regions."""
        return (*self.styles, *(style for region in self.regions for style in region.styles))

    def curves(self) -> Iterator[tuple[str, Curve]]:
        """Every number that may change, with its name for an error."""
        for style in self.pictures:
            yield f"weight of {style.picture}", style.weight
            yield f"scale of {style.picture}", style.scale
        for region in self.regions:
            yield f"weight of region {region.mask}", region.weight
        yield f"share of colours {self.colours.of}", self.colours.share
        yield from self.changing

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file or folder that it names, once."""
        palette = [self.colours.picture] if self.colours.picture else []
        painted = [frame.picture for frame in self.frames]
        named = (*(p.picture for p in self.pictures), *(region.mask for region in self.regions), *palette, *painted)
        return tuple(dict.fromkeys(named))

    def with_paths(self, path: Callable[[str], str]) -> "Look":
        """The look with ``path`` of every path in its place."""

        def styles(pictures: tuple[StylePicture, ...]) -> tuple[StylePicture, ...]:
            return tuple(replace(p, picture=path(p.picture)) for p in pictures)

        regions = tuple(replace(r, mask=path(r.mask), styles=styles(r.styles)) for r in self.regions)
        colours = self.colours if self.colours.picture is None else replace(self.colours, of=path(self.colours.of))
        frames = tuple(replace(f, picture=path(f.picture)) for f in self.frames)
        return self.replace(styles=styles(self.styles), regions=regions, colours=colours, frames=frames)

    def replace(self, **changes: Any) -> "Look":
        """The same look with some of it changed."""
        return replace(self, **changes)

    @property
    def label(self) -> str:
        """For the name of an output."""
        return self.name or "+".join(Path(style.picture).stem for style in self.styles)


def as_look(style: str | Path | Look) -> Look:
    """A picture as a look of its own."""
    return style if isinstance(style, Look) else Look((StylePicture(str(style)),))


def check_limits(curve: Curve, name: str, least: float, most: float, *, above: bool = False) -> None:
    """Refuse values outside [``least``, ``most``], or at ``least`` too where they must be ``above`` it."""
    low, high = limits(curve)
    if low < least or high > most or (above and low <= least):
        words = f"above {least:g}" if above else f"at least {least:g}"
        words += "" if most == math.inf else f" and at most {most:g}"
        raise UsageError(f"{name} is {low if low < least or above else high:g}; it must be {words}")
