"""The style loss: statistics of the style picture, and the loss of a layer."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce

import torch

from videostyle.losses.formulas import grain
from videostyle.losses.gram import SecondOrder, add_to_positions
from videostyle.losses.guidance import position_weights
from videostyle.losses.layer_loss import Collected, Layer, LayerLoss, LayerValue, Weight, per_sample
from videostyle.losses.statistics import STATISTICS, Distance, GramDistance
from videostyle.networks.backbone import layer_stride
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.tiles import Tile

# Least grain of one colour (`formulas.grain`) that counts.
LEAST_GRAIN = 1e-7


class StyleTarget:
    """A style's statistics: computed once per picture and size.

    ``statistics``: by layer, of its features. ``grain``: (N, 3), `formulas.grain`. ``reached``, ``anchor_gain``: see
    `anchored_at`.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        picture: torch.Tensor,
        layers: tuple[str, ...],
        mask: torch.Tensor | None = None,
    ) -> None:
        """``mask``: (1, 1, H, W) in [0, 1], the area of the picture that counts; None: all of it."""
        self._set(statistics_of(extractor, picture, layers, mask), grain(picture).to(extractor.device))

    @classmethod
    def of(cls, statistics: dict[str, SecondOrder], grain: torch.Tensor) -> "StyleTarget":
        """From the statistics themselves."""
        target = cls.__new__(cls)
        target._set(statistics, grain)
        return target

    @classmethod
    def blend(cls, targets: "list[StyleTarget]", weights: list[float]) -> "StyleTarget":
        """The weighted mean of several styles' statistics and of the logarithms of their grain.

        ``weights`` sum to 1.
        """
        if len(targets) == 1:
            return targets[0]
        shares = torch.tensor(weights, device=targets[0].grain.device)

        def mean(parts: list[torch.Tensor]) -> torch.Tensor:
            return torch.einsum("k,k...->...", shares.to(parts[0].dtype), torch.stack(parts))

        found = {name: [t.statistics[name] for t in targets] for name in targets[0].statistics}
        statistics = {
            name: SecondOrder(mean([p.mean for p in parts]), mean([p.gram for p in parts]))
            for name, parts in found.items()
        }
        return cls.of(statistics, mean([t.grain.log() for t in targets]).exp())

    def _set(self, statistics: dict[str, SecondOrder], grain: torch.Tensor) -> None:
        self.statistics, self.grain = statistics, grain.clamp_min(LEAST_GRAIN)
        self.reached: StyleTarget | None = None
        self.anchor_gain = 1.0

    def distance(self, layer: Layer, statistic: str, style: "StyleTarget | None" = None) -> Distance:
        """A distance of ``STATISTICS`` from these statistics of a layer, in units of ``style`` (default: these); made
        once."""
        made = self.__dict__.setdefault("_distances", {})  # anchored copies share it
        if (layer.name, statistic) not in made:
            own = self.statistics[layer.name]
            of_style = own if style is None else style.statistics[layer.name]
            made[layer.name, statistic] = STATISTICS[statistic](layer, own, of_style)
        return made[layer.name, statistic]

    def anchored_at(
        self, extractor: FeatureExtractor, picture: torch.Tensor, anchor_gain: float, mask: torch.Tensor | None = None
    ) -> "StyleTarget":
        """The same style, anchored at ``picture``, or at its area ``mask``: for the frames after it, once it has
        converged.

        With D a distance of statistics, k - 1 times D from those that ``picture`` has reached is minimised beside D
        from the style's, where k = ``anchor_gain``. There its gradient is that of D alone, so that a converged picture
        stays converged; its curvature is about k times as high. Of our own making, not from a paper.
        """
        anchored = copy.copy(self)
        reached = StyleTarget(extractor, picture, tuple(self.statistics), mask)
        anchored.reached, anchored.anchor_gain = reached, anchor_gain
        return anchored


@dataclass(frozen=True)
class StyleArea:
    """A style and where it is wanted.

    ``mask``: (1, 1, H, W) in [0, 1], of one picture, at its size; None: everywhere. ``weight``: multiplies beta.
    """

    target: StyleTarget
    mask: torch.Tensor | None = None
    weight: float = 1.0

    def anchored_at(self, extractor: FeatureExtractor, picture: torch.Tensor, anchor_gain: float) -> StyleTarget:
        """Its style, anchored at what ``picture`` has of it here; as it is where no pixel of the area is in sight."""
        if self.mask is not None and not bool(self.mask.any()):
            return self.target
        return self.target.anchored_at(extractor, picture, anchor_gain, self.mask)


# What a picture is to look like: one style everywhere, or one for each of several areas.
Styles = StyleTarget | Sequence[StyleArea]


def areas_of(style: Styles) -> tuple[StyleArea, ...]:
    """One style as an area of its own."""
    return (StyleArea(style),) if isinstance(style, StyleTarget) else tuple(style)


def grain_of(areas: Sequence[StyleArea]) -> torch.Tensor:
    """(N, 3), the grain of a picture with these areas: the mean of theirs by their size."""
    if len(areas) == 1:
        return areas[0].target.grain
    sizes = [areas[0].target.grain.new_ones(()) if a.mask is None else a.mask.mean() for a in areas]
    shares = torch.stack(sizes).clamp_min(LEAST_GRAIN)
    return torch.einsum("k,k...->...", shares / shares.sum(), torch.stack([a.target.grain for a in areas]))


def statistics_of(
    extractor: FeatureExtractor, picture: torch.Tensor, layers: tuple[str, ...], mask: torch.Tensor | None = None
) -> dict[str, SecondOrder]:
    """Of the features of a picture (N, 3, H, W), or of its area ``mask`` alone, by layer, summed over its tiles."""
    weights = None if mask is None else {name: position_weights(mask, layer_stride(name)) for name in layers}
    tiles = extractor.tiles(picture.shape[2:])
    parts = (_statistics_of_tile(extractor, picture, layers, tile, weights) for tile in tiles)
    return reduce(lambda a, b: {name: a[name].plus(b[name], 1.0) for name in layers}, parts)


def _statistics_of_tile(
    extractor: FeatureExtractor,
    picture: torch.Tensor,
    layers: tuple[str, ...],
    tile: Tile,
    weights: dict[str, torch.Tensor] | None,
) -> dict[str, SecondOrder]:
    activations = extractor.forward(tile.seen(picture), layers)
    found: dict[str, SecondOrder] = {}
    for name in layers:
        stride = layer_stride(name)
        core = tile.core_features(activations[name], stride)
        if weights is None:
            found[name] = SecondOrder.of(core).times(tile.share(stride))
        else:
            found[name] = SecondOrder.weighted(core, tile.owned(weights[name], stride))
    return found


def anchored(
    found: SecondOrder, wanted: Distance, held: Distance | None, anchor_gain: float
) -> tuple[torch.Tensor, torch.Tensor, SecondOrder]:
    """(the distance from what is wanted, what is minimised, its slopes): see `StyleTarget.anchored_at`."""
    loss, slope = wanted(found)
    if held is None:
        return loss, loss, slope
    away, back = held(found)
    return loss, loss + (anchor_gain - 1) * away, slope.plus(back, anchor_gain - 1)


class StyleLoss(LayerLoss):
    """w_l E_l of the whole picture by a distance of ``STATISTICS``, anchored if ``style`` is; w_l = 1 / ``layers``.

    The gradient is (2 F slope of G + slope of m) / M, M the picture's positions.
    """

    term = "style"

    def __init__(self, layer: Layer, style: StyleTarget, weight: Weight, layers: int, statistic: str) -> None:
        self.layer, self.weight, self.share, self.anchor_gain = layer.name, weight, 1 / layers, style.anchor_gain
        self.distance = style.distance(layer, statistic)
        self.held = None if style.reached is None else style.reached.distance(layer, statistic, style)

    def collect(self, features: torch.Tensor, tile: Tile) -> Collected:
        return Collected(tuple(SecondOrder.of(features).times(tile.share(self.distance.layer.stride)).tensors()))

    def evaluate(self, collected: Collected) -> LayerValue:
        found = SecondOrder(*collected.sums)
        loss, minimised, slope = anchored(found, self.distance, self.held, self.anchor_gain)
        return LayerValue(self.share * loss, self.share * minimised, partial(self._add_gradient, slope))

    def _add_gradient(self, slope: SecondOrder, flat: torch.Tensor, g: torch.Tensor | None, tile: Tile) -> torch.Tensor:
        """``g`` plus ``weight`` times ``share`` times (2 F ``slope.gram`` + ``slope.mean``) / M, F = ``flat``."""
        factor = self.share / tile.positions(self.distance.layer.stride)
        of_gram = (slope.gram * per_sample(self.weight) * (2 * factor)).to(flat.dtype)
        g = torch.bmm(flat, of_gram) if g is None else g.baddbmm_(flat, of_gram)
        return add_to_positions(g, slope.mean * per_sample(self.weight, 1) * factor)

    @property
    def fusible(self) -> bool:
        """Whether it is of Gram matrices, with one weight, of a network without adapter, as the kernels need it."""
        of_one = not isinstance(self.weight, torch.Tensor)
        return of_one and isinstance(self.distance, GramDistance) and self.distance.layer.metric is None

    def tensors(self) -> list[torch.Tensor]:
        return [*self.distance.tensors(), *([] if self.held is None else self.held.tensors())]

    def clone(self) -> "StyleLoss":
        made = copy.copy(self)
        made.distance, made.held = self.distance.clone(), None if self.held is None else self.held.clone()
        return made
