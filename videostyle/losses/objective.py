"""The objective of Gatys et al. (`formulas`) and its gradient: a sum of losses on features and on pixels.

Another statistic is another `Distance` in `statistics`.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import torch

from videostyle.losses import fused_style
from videostyle.losses.content import ContentLoss, ContentTarget
from videostyle.losses.gram import positions_by_channels
from videostyle.losses.guidance import at_positions, normalised, position_weights
from videostyle.losses.layer_loss import AddGradient, Collected, Layer, LayerLoss, Weight
from videostyle.losses.pixel_losses import Prior, VariationPrior
from videostyle.losses.style import StyleArea, StyleLoss, Styles, areas_of
from videostyle.losses.style_region import REGION_WEIGHT, RegionStyleLoss
from videostyle.networks.backbone import layer_stride
from videostyle.networks.feature_extractor import Activations, FeatureExtractor
from videostyle.networks.tiles import Tile


@dataclass(frozen=True)
class LossWeights:
    """alpha (``content``), beta (``style``) and the layers they act on; w_l = 1 / number of style layers.

    ``statistic``: the style's, a name from ``STATISTICS``.
    """

    content: Weight
    style: Weight
    tv: float
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    statistic: str = "gram"

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.content_layers, *self.style_layers)))


@dataclass(frozen=True)
class Losses:
    """Losses of a batch, each (N,), float32 or better; ``content`` and ``style`` without weight, ``total`` minimised.

    ``region``: beta times the region's style loss. ``without_priors``: the total without priors, anchors and region,
    which is comparable from frame to frame.
    """

    total: torch.Tensor
    content: torch.Tensor
    style: torch.Tensor
    without_priors: torch.Tensor
    region: torch.Tensor


class Objective:
    """alpha L_content + beta L_style + tv L_tv + priors, with its gradient with respect to the picture.

    ``style``: one everywhere, or one for each of several areas. ``priors``: losses on the pixels.
    ``region``: (1, 1, H, W) in [0, 1], with a style loss of their own (`RegionStyleLoss`; one picture, no batch);
    ``dense`` is by default whether the device is not a CPU or there are several tiles. Shapes are fixed by the content.

    A picture that is more than the extractor takes at once goes through it in tiles, twice for a gradient: statistics
    are added up over the tiles, then each tile is given the gradient of their sum.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        content: ContentTarget,
        style: Styles,
        weights: LossWeights,
        priors: tuple[Prior, ...] = (),
        region: torch.Tensor | None = None,
        dense: bool | None = None,
    ) -> None:
        self.extractor, self.areas, self.weights = extractor, areas_of(style), weights
        self.priors = (*priors, VariationPrior(weights.tv)) if weights.tv else priors
        backbone, device, dtype = extractor.backbone, extractor.device, extractor.dtype
        layers = {name: Layer.of(backbone, name, device, dtype) for name in weights.layers}
        # In the order in which their gradients are added.
        self.layer_losses: list[LayerLoss] = [
            *(loss for a in self.areas for loss in style_losses(layers, a, weights, self._dense(a.mask, dense))),
            *(ContentLoss(layers[name], content.features[name], weights.content) for name in weights.content_layers),
        ]
        if region is not None:
            for area in self.areas:
                self.layer_losses += region_losses(layers, area, weights, region, self._dense(region, dense))

    @torch.no_grad()
    def value(self, x: torch.Tensor, activations: Activations | None = None) -> Losses:
        """The losses of ``x`` (N, 3, H, W), float32 RGB in [0, 1]; ``activations``: those of ``x``, if known."""
        return self._losses(x, activations or self.extractor.forward_whole(x))[0]

    @torch.no_grad()
    def value_and_gradient(self, x: torch.Tensor) -> tuple[Losses, torch.Tensor]:
        """The losses of ``x`` and the gradient of their total, (N, 3, H, W), float32 or better.

        Only the first call for a shape, which chooses kernels, makes the host wait for the device.
        """
        activations = self.extractor.forward_whole(x)
        losses, taps = self._losses(x, activations)
        g = self._backward(x, activations, taps)
        for prior in self.priors:
            prior.add_gradient(x, g)
        return losses, g

    def _dense(self, mask: torch.Tensor | None, asked: bool | None) -> bool:
        if asked is not None or mask is None:
            return bool(asked)
        return mask.device.type != "cpu" or len(self.extractor.tiles(mask.shape[2:])) > 1

    def tensors(self) -> list[torch.Tensor]:
        """Its tensors that change from frame to frame, in a fixed order."""
        of_layers = [t for loss in self.layer_losses for t in loss.tensors()]
        return [*of_layers, *(t for prior in self.priors for t in prior.tensors())]

    def clone(self) -> "Objective":
        """A copy with tensors of its own."""
        made = copy.copy(self)
        made.layer_losses = [loss.clone() for loss in self.layer_losses]
        made.priors = tuple(prior.clone() for prior in self.priors)
        return made

    def _losses(self, x: torch.Tensor, activations: Activations | None) -> tuple[Losses, "_Taps"]:
        """The losses, and what adds the gradients of those on features.

        ``activations``: None where ``x`` goes through the network in tiles.
        """
        zero = torch.zeros(x.shape[0], device=self.extractor.device)
        taps = _Taps()
        loss = dict.fromkeys(("content", "style", "region"), zero)
        minimised = dict(loss)
        by_kernel = activations is not None and self.fuses(x)
        layer_losses = [item for item in self.layer_losses if item.term == "content" or not by_kernel]
        for layer_loss, collected in zip(layer_losses, self._collected(x, activations, layer_losses), strict=True):
            term, value = layer_loss.term, layer_loss.evaluate(collected)
            loss[term], minimised[term] = loss[term] + value.loss, minimised[term] + value.minimised
            taps.add(layer_loss.layer, value.add_gradient)
        if activations is not None and by_kernel:
            minimised["style"], loss["style"], loss["region"], taps.through_relu = fused_style.style_and_region(
                self.layer_losses, activations
            )
        alpha, beta = self.weights.content, self.weights.style
        without_priors = alpha * loss["content"] + beta * loss["style"]
        total = alpha * loss["content"] + beta * minimised["style"]
        for prior in self.priors:
            total = total + prior.weight * prior.value(x)
        region = self.weights.style * loss["region"]
        return Losses(total + region, loss["content"], loss["style"], without_priors, region), taps

    def _collected(
        self, x: torch.Tensor, activations: Activations | None, losses: Sequence[LayerLoss]
    ) -> Iterable[Collected]:
        """What the losses need of the features, each summed over the tiles."""
        tiles = self.extractor.tiles(x.shape[2:])
        if activations is not None:
            return (loss.collect(activations[loss.layer], tiles[0]) for loss in losses)
        parts = (self._collected_of_tile(x, tile, losses) for tile in tiles)
        return reduce(lambda sums, part: [a.plus(b) for a, b in zip(sums, part, strict=True)], parts)

    def _collected_of_tile(self, x: torch.Tensor, tile: Tile, losses: Sequence[LayerLoss]) -> list[Collected]:
        seen = self.extractor.forward(tile.seen(x))
        features = (tile.core_features(seen[loss.layer], layer_stride(loss.layer)) for loss in losses)
        return [loss.collect(core, tile) for loss, core in zip(losses, features, strict=True)]

    def _backward(self, x: torch.Tensor, activations: Activations | None, taps: "_Taps") -> torch.Tensor:
        """The gradient of the losses on features, added up over the tiles, each computed again."""
        tiles = self.extractor.tiles(x.shape[2:])
        if activations is not None:
            return activations.backward(partial(taps.add_to, tiles[0]), taps.through_relu)
        g = torch.zeros_like(x, dtype=torch.promote_types(self.extractor.dtype, torch.float32))
        for tile in tiles:
            tile.seen(g).add_(self.extractor.forward(tile.seen(x)).backward(partial(taps.add_to, tile)))
        return g

    def fuses(self, x: torch.Tensor) -> bool:
        """Whether Triton kernels do the style of ``x``."""
        return fused_style.can_fuse(self.layer_losses, x, self.extractor.device, self.extractor.dtype)


def style_losses(layers: dict[str, Layer], area: StyleArea, weights: LossWeights, dense: bool) -> list[LayerLoss]:
    """The style's loss on each of its layers, of the area's pixels alone where it has a mask."""
    count, statistic = len(weights.style_layers), weights.statistic
    of_style = [layers[name] for name in weights.style_layers]
    if area.mask is None:
        return [StyleLoss(layer, area.target, weights.style, count, statistic) for layer in of_style]
    assert isinstance(weights.style, float), "areas are of one picture"
    whole = weights.style, count, statistic
    share = area.weight * area.mask.mean()
    seen = [position_weights(area.mask, layer.stride).flatten() for layer in of_style]
    return [
        RegionStyleLoss(layer, area.target, *whole, at, dense, term="style", share=share)
        for layer, at in zip(of_style, seen, strict=True)
    ]


def region_losses(
    layers: dict[str, Layer], area: StyleArea, weights: LossWeights, region: torch.Tensor, dense: bool
) -> list[LayerLoss]:
    """The style's loss on the pixels of ``region`` alone, those of the area, on each of its layers."""
    assert isinstance(weights.style, float), "a region is of one picture"
    mask = region if area.mask is None else region * area.mask
    whole = weights.style, len(weights.style_layers), weights.statistic
    share = REGION_WEIGHT * area.weight * mask.mean()
    of_style = [layers[name] for name in weights.style_layers]
    seen = [normalised(at_positions(mask, layer.stride)).flatten() for layer in of_style]
    return [
        RegionStyleLoss(layer, area.target, *whole, at, dense, share=share)
        for layer, at in zip(of_style, seen, strict=True)
    ]


class _Taps:
    """Adds the losses' gradients, layer by layer: `add_to` a tile is the ``tap`` of ``Activations.backward``."""

    def __init__(self) -> None:
        self._added: dict[str, list[AddGradient]] = {}
        self.through_relu: dict[str, AddGradient] = {}  # the kernels', which go through the layer's ReLU themselves

    def add(self, layer: str, add_gradient: AddGradient) -> None:
        self._added.setdefault(layer, []).append(add_gradient)

    def add_to(self, tile: Tile, name: str, features: torch.Tensor, g: torch.Tensor | None) -> torch.Tensor | None:
        added = [*self._added.get(name, ()), *([self.through_relu[name]] if name in self.through_relu else ())]
        if not added:
            return g
        core = tile.core_features(features, layer_stride(name))
        whole = core.shape == features.shape
        flat = positions_by_channels(core)
        out = positions_by_channels(g) if g is not None and whole else None
        for add_gradient in added:
            out = add_gradient(flat, out, tile)
        assert out is not None
        n, c, h, w = core.shape
        of_core = out.view(n, h, w, c).permute(0, 3, 1, 2)
        if whole:
            return of_core
        g = torch.zeros_like(features) if g is None else g
        tile.core(g, layer_stride(name)).add_(of_core)
        return g
