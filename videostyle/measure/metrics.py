"""How far a stylised clip is from its content, from its style, and from holding still where the world does.

Pure functions on float frames, (1, 3, H, W) float32 RGB in [0, 1]; no 8-bit value and no encoded video is measured.
Style and content distance are the product's own losses without their weights. A small warp error alone proves little (a
blurred or unstylised clip has the smallest): read it beside the style distance, and above the source's own.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from videostyle.frames import Frame, luma
from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import Losses, LossWeights, Objective
from videostyle.losses.style import StyleTarget
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.temporal.warp import Warp

CB, CR = 1.8556, 1.5748  # the scale of BT.709's Cb and Cr
LONG_TERM_FRAMES = 10  # how far back the long-term warp error looks
STILL = 3 / 255  # a pixel of the source stands still if its luma's standard deviation over the shot (of 1) is below


def style_distance(extractor: FeatureExtractor, picture: torch.Tensor, style: StyleTarget) -> float:
    """The style loss of ``picture``: mean of Gatys's E_l over the layers of ``style``, unweighted."""
    return _losses(extractor, picture, picture, style, ()).style.item()


@torch.no_grad()
def masked_style_distance(
    extractor: FeatureExtractor, picture: torch.Tensor, style: StyleTarget, mask: torch.Tensor
) -> float:
    """The style distance of the part of ``picture`` that ``mask`` (1, 1, H, W) shows, its Grams over that part alone.

    The mask is averaged down to every layer's size and weighs the positions; a Gram is divided by the sum of its
    weights (its own M). NaN where the mask shows nothing.
    """
    activations, found = extractor.forward(picture, tuple(style.statistics)), 0.0
    for name, wanted in style.statistics.items():
        features, references = activations[name].float(), extractor.backbone.references[name]
        weights = F.interpolate(mask.to(features), tuple(features.shape[2:]), mode="area").flatten(2)
        flat = features.flatten(2)
        difference = (flat * weights) @ flat.transpose(1, 2) / weights.sum() - wanted.gram
        metric = references.metric()
        pulled = difference if metric is None else metric.to(difference) @ difference @ metric.to(difference)
        found += references.scale**4 / (4 * references.channels**2) * (difference * pulled).sum().item()
    return found / len(style.statistics)


def content_distance(
    extractor: FeatureExtractor, picture: torch.Tensor, content: torch.Tensor, layers: tuple[str, ...]
) -> float:
    """The content loss of ``picture`` against ``content`` (same size) at ``layers``, unweighted."""
    return _losses(extractor, picture, content, StyleTarget(extractor, content, ()), layers).content.item()


def _losses(
    extractor: FeatureExtractor,
    picture: torch.Tensor,
    content: torch.Tensor,
    style: StyleTarget,
    layers: tuple[str, ...],
) -> Losses:
    weights = LossWeights(1.0, 1.0, 0.0, layers, tuple(style.statistics))
    return Objective(extractor, ContentTarget(extractor, content, layers), style, weights).value(picture)


def warp_error(current: torch.Tensor, previous: torch.Tensor, warp: Warp) -> float:
    """Masked squared warp error: mean over trusted pixels of |x_t - warp(x_t-1)|^2, averaged over the channels.

    As in Lai et al. 2018, section 4.2: squared, no root, pixels in [0, 1], normalised by the sum of the mask.
    Departures: the mean runs over the channels too, and the warp is the product's own (bicubic, still pixels copied).
    ``warp`` leads from ``current`` to ``previous``. NaN where no pixel is trusted: there is nothing to say.
    """
    squared = (current - warp(previous)).square().mean(1, keepdim=True)
    return ((warp.comparable * squared).sum() / warp.comparable.sum()).item()


@dataclass(frozen=True)
class WarpError:
    """Warp error of a stylised frame and, as the floor, the source's own with the same flow and mask."""

    stylised: float
    source: float

    @property
    def excess(self) -> float:
        """What the stylisation added; the floor holds noise, changing light and errors of the flow."""
        return self.stylised - self.source


def mean_colour(picture: torch.Tensor) -> tuple[float, float, float]:
    """Means of luma in [0, 1] and of Cb and Cr in [-0.5, 0.5] (BT.709)."""
    y = luma(picture)
    blue, red = (picture[:, 2:3] - y) / CB, (picture[:, 0:1] - y) / CR
    return y.mean().item(), blue.mean().item(), red.mean().item()


def slope(values: list[float]) -> float:
    """Least-squares slope of equally spaced values times their span: how far the line runs from first to last."""
    if len(values) < 2:
        return 0.0
    y = torch.tensor(values, dtype=torch.float64)
    t = torch.linspace(-0.5, 0.5, len(values), dtype=torch.float64)
    return ((t * (y - y.mean())).sum() / t.square().sum()).item()


class Variation:
    """Mean and standard deviation over time of every pixel, frame by frame (Welford 1962)."""

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, value: torch.Tensor) -> None:
        self.count += 1
        step = value - self.mean
        self.mean = self.mean + step / self.count
        self._squares = self._squares + step * (value - self.mean)

    @property
    def deviation(self) -> torch.Tensor:
        return (self._squares / max(1, self.count - 1)).clamp_min(0).sqrt()


@dataclass(frozen=True)
class FrameMeasures:
    """One frame: its distances, its warp errors (None where there is nothing to compare with), its mean colour."""

    index: int
    shot: int
    seconds: float
    style: float
    content: float
    short: WarpError | None
    long: WarpError | None
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class ShotMeasures:
    """One shot: flicker where the source stands still, and drift, each with the source's own beside it."""

    shot: int
    frames: int
    still: float  # share of still pixels
    flicker: float  # median over still pixels of the standard deviation of luma over time, NaN without still pixels
    source_flicker: float
    drift: tuple[float, float, float]  # how far the fitted line of mean luma, Cb and Cr runs over the shot
    source_drift: tuple[float, float, float]


@dataclass
class _Shot:
    """What is kept of a shot while it is measured: LONG_TERM_FRAMES frames and six planes."""

    pairs: deque[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=lambda: deque(maxlen=LONG_TERM_FRAMES))
    stylised: Variation = field(default_factory=Variation)
    source: Variation = field(default_factory=Variation)
    colours: list[tuple[float, float, float]] = field(default_factory=list)
    source_colours: list[tuple[float, float, float]] = field(default_factory=list)

    def add(self, stylised: torch.Tensor, source: torch.Tensor) -> None:
        self.pairs.append((stylised, source))
        self.stylised.add(luma(stylised))
        self.source.add(luma(source))
        self.colours.append(mean_colour(stylised))
        self.source_colours.append(mean_colour(source))

    def measures(self, shot: int) -> ShotMeasures:
        still = self.source.deviation < STILL
        flicker, floor = (_median(clip.deviation[still]) for clip in (self.stylised, self.source))
        drifts = _drift(self.colours), _drift(self.source_colours)
        return ShotMeasures(shot, len(self.colours), still.float().mean().item(), flicker, floor, *drifts)


def _median(values: torch.Tensor) -> float:
    return values.median().item() if values.numel() else float("nan")


def _drift(colours: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    y, blue, red = (slope(list(channel)) for channel in zip(*colours, strict=True))
    return y, blue, red


class ClipMeasures:
    """Everything that is measured of a clip, frame by frame; of a frame a few numbers stay in memory.

    ``extractor``, ``style``, ``content_layers``: the judging network and what it compares. ``flow(current, previous,
    index)``: the warp from source frame ``index`` to the one before it; None: between frames that are no neighbours.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        style: StyleTarget,
        content_layers: tuple[str, ...],
        flow: Callable[[torch.Tensor, torch.Tensor, int | None], Warp],
    ) -> None:
        self.extractor, self.style, self.content_layers, self.flow = extractor, style, content_layers, flow
        self.frames: list[FrameMeasures] = []
        self.shots: list[ShotMeasures] = []
        self._shot = _Shot()

    def add(self, stylised: torch.Tensor, source: Frame) -> FrameMeasures:
        """The next frame of both clips; a cut is one of the source's."""
        if source.cut and self._shot.colours:
            self.finish()
        pairs, index = self._shot.pairs, len(self.frames)
        found = FrameMeasures(
            index,
            len(self.shots),
            float(source.time_seconds),
            style_distance(self.extractor, stylised, self.style),
            content_distance(self.extractor, stylised, source.pixels, self.content_layers),
            self._against(stylised, source.pixels, pairs[-1], index) if pairs else None,
            self._against(stylised, source.pixels, pairs[0], None) if len(pairs) == LONG_TERM_FRAMES else None,
            mean_colour(stylised),
        )
        self._shot.add(stylised, source.pixels)
        self.frames.append(found)
        return found

    def finish(self) -> None:
        """End the shot."""
        if self._shot.colours:
            self.shots.append(self._shot.measures(len(self.shots)))
        self._shot = _Shot()

    def _against(
        self, stylised: torch.Tensor, source: torch.Tensor, before: tuple[torch.Tensor, torch.Tensor], index: int | None
    ) -> WarpError:
        warp = self.flow(source, before[1], index)
        return WarpError(warp_error(stylised, before[0], warp), warp_error(source, before[1], warp))
