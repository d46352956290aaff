"""What is wanted of a frame, made into targets for the optimiser: styles by area, colours, parts that stay."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from videostyle.losses.style import StyleArea, StyleTarget
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.stylise.direction import Area, Moment, mask_at
from videostyle.stylise.palette import Moments, colour_map
from videostyle.stylise.recolour import with_colours_of
from videostyle.stylise.style_targets import StyleTargets


class Wanted:
    """A moment's areas, their styles in the colours that are wanted. ``targets``: shared by all moments of a clip."""

    def __init__(self, moment: Moment, targets: StyleTargets) -> None:
        self.moment, self._targets = moment, targets
        self.areas: Sequence[Area] = [self._recoloured(area) for area in moment.areas]

    def _recoloured(self, area: Area) -> Area:
        wanted = self.moment.colours
        if wanted.palette is None or wanted.share == 0:
            return area
        colours = colour_map(self.colours_of(area), wanted.palette)
        pictures = (self._targets.recoloured(image.picture, colours, wanted.share) for image in area.style)
        style = tuple(replace(image, picture=p) for image, p in zip(area.style, pictures, strict=True))
        return replace(area, style=style)

    def colours_of(self, area: Area) -> Moments:
        """The colours of an area's style."""
        weights = tuple(image.weight for image in area.style)
        return self._targets.colours([image.picture for image in area.style], weights)

    def style_areas(
        self, extractor: FeatureExtractor, layers: tuple[str, ...], height: int, width: int, *, enlarge: bool = True
    ) -> list[StyleArea]:
        """The areas of a picture of this size; ``enlarge``: style pictures also beyond their own size."""
        made = []
        for area in self.areas:
            target = self.target(area, extractor, layers, max(height, width), enlarge)
            mask = area.mask_at(height, width)
            made.append(StyleArea(target, None if mask is None else mask.to(extractor.device), area.weight))
        return made

    def target(
        self, area: Area, extractor: FeatureExtractor, layers: tuple[str, ...], longest: float, enlarge: bool = True
    ) -> StyleTarget:
        """An area's style in pictures whose longer side has ``longest`` pixels."""
        pictures = self._pictures(area, longest, extractor.smallest_side, enlarge)
        return self._targets.of(extractor, layers, area.style, pictures)

    def smallest_side(self, longest: float, smallest: int) -> int:
        """That of all style pictures, in pixels, for pictures whose longer side has ``longest``."""
        return min(min(p.shape[2:]) for area in self.areas for p in self._pictures(area, longest, smallest))

    def _pictures(self, area: Area, longest: float, smallest: int, enlarge: bool = True) -> list[torch.Tensor]:
        return self._targets.pictures(area.style, longest * self.moment.settings.style_scale, smallest, enlarge)

    def in_palette(self, content: torch.Tensor) -> torch.Tensor:
        """``content`` (1, 3, H, W) in the colours of its areas' styles; what is in none keeps its own."""
        own = Moments.of([content], [1.0])
        made, left = torch.zeros_like(content), torch.ones_like(content[:, :1])
        for area in self.areas:
            moved, mask = colour_map(own, self.colours_of(area))(content), area.mask_at(*content.shape[2:])
            if mask is None:
                return moved
            made, left = made + mask.to(content) * moved, left - mask.to(content)
        return (made + left.clamp_min(0) * content).clamp(0, 1)

    def finished(self, pixels: torch.Tensor, content: torch.Tensor) -> torch.Tensor:
        """``pixels`` as they come out: with the source's colours and its parts, as far as they are kept.

        ``content``: the source. Both (1, 3, H, W) in [0, 1].
        """
        colours, kept = self.moment.colours, self.moment.kept
        if colours.of_source and colours.share > 0:
            pixels = with_colours_of(pixels, content, colours.share)
        if kept is not None:
            pixels = torch.lerp(pixels, content, mask_at(kept, *pixels.shape[2:]).to(pixels))
        return pixels
