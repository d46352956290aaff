"""Statistics of style pictures, made once for each picture, size and network."""

from collections.abc import Hashable, Sequence
from typing import Any

import torch

from videostyle.losses.style import StyleTarget
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.stylise.palette import ColourMap, Moments
from videostyle.stylise.start_images import fit_style
from videostyle.stylise.style_images import Style

# Statistics and pictures that are kept: those of a few styles at a clip's octaves.
KEPT = 64


class StyleTargets:
    """Makes and keeps them; ``extractor`` and pictures are told apart by identity."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}

    def of(
        self, extractor: FeatureExtractor, layers: tuple[str, ...], style: Style, pictures: Sequence[torch.Tensor]
    ) -> StyleTarget:
        """The blend of a style whose pictures are ``pictures``, at their size, (1, 3, H, W) each."""
        weighed = [(p, image.weight) for p, image in zip(pictures, style, strict=True) if image.weight > 0]
        keys = tuple((id(extractor), layers, id(picture)) for picture, _ in weighed)
        weights = [weight for _, weight in weighed]

        def made() -> StyleTarget:
            targets = [
                self._once(key, picture, lambda p=picture: StyleTarget(extractor, p, layers))
                for key, (picture, _) in zip(keys, weighed, strict=True)
            ]
            return StyleTarget.blend(targets, weights)

        return self._once((keys, tuple(weights)), weighed, made)

    def pictures(self, style: Style, longest: float, smallest: int, enlarge: bool = True) -> list[torch.Tensor]:
        """A style's pictures at the size that strokes have in pictures whose longer side has ``longest`` pixels.

        ``smallest``: of a side. ``enlarge``: also beyond their own size.
        """
        found = []
        for image in style:
            wanted = longest * image.scale
            size = wanted if enlarge else min(wanted, max(image.picture.shape[2:]))
            key = (id(image.picture), size, smallest)
            found.append(self._once(key, image.picture, lambda i=image, s=size: fit_style(i.picture, s, smallest)))
        return found

    def colours(self, pictures: Sequence[torch.Tensor], weights: tuple[float, ...]) -> Moments:
        """The colours of pictures, each by its weight."""
        key = "colours", *map(id, pictures), weights
        return self._once(key, tuple(pictures), lambda: Moments.of(pictures, weights))

    def recoloured(self, picture: torch.Tensor, colours: ColourMap, share: float) -> torch.Tensor:
        """A picture moved by ``share`` towards what the map makes of its colours."""
        key = (id(picture), colours.key, share)
        return self._once(key, picture, lambda: torch.lerp(picture, colours(picture), share))

    def _once(self, key: Hashable, alive: Any, make: Any) -> Any:
        """What ``make`` gives, kept; ``alive``: what the key names by identity, kept with it."""
        if key not in self._kept:
            self._kept[key] = alive, make()
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        else:
            self._kept[key] = self._kept.pop(key)  # the newest last
        return self._kept[key][1]
