"""The objective of Gatys et al. as a number and its gradient: what optimisers minimise and benchmarks time."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from videostyle.kernels.loader import load_tested
from videostyle.losses.content import ContentTarget
from videostyle.losses.definitions import divergence, reference_positions, total_variation, total_variation_gradient
from videostyle.losses.gram import _dot, _sliced_product, _square, mean_gram, positions_by_channels
from videostyle.losses.pixel import Prior
from videostyle.losses.style import LEAST_VARIATION, StyleRegion, StyleTarget
from videostyle.networks.backbone import layer_stride
from videostyle.networks.feature_extractor import Activations, FeatureExtractor


@dataclass(frozen=True)
class LossWeights:
    """alpha, beta and the layers they act on. Each style layer has w_l = 1 / number of style layers."""

    content: float
    style: float
    tv: float
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.content_layers, *self.style_layers)))


@dataclass(frozen=True)
class Losses:
    """Losses of a batch, each (N,) float32. ``content`` and ``style`` carry no weight; ``total`` is minimised.

    ``region``: what of the total is the style of a part by itself.

    ``without_priors``: the total without the priors, what the picture would cost if there were none before it:
    comparable from frame to frame.
    """

    total: torch.Tensor
    content: torch.Tensor
    style: torch.Tensor
    without_priors: torch.Tensor
    region: torch.Tensor


class Objective:
    """alpha L_content + beta L_style + tv L_tv + priors, with its gradient with respect to the picture.

    tv is the weights' own and what the network wants beside its style layers (``LayerReference.smoothness``); it may
    also want the picture's total variation near the style's (``LayerReference.variation``).

    ``extractor``: the network. ``content``: the content's features, ``style``: the style's Gram matrices, ``weights``:
    alpha, beta, layers. ``priors``: what is wanted of the pixels. ``region``: (1, 1, H, W) in [0, 1], pixels that are
    to have the style by themselves (see ``StyleRegion``; one picture, no batch). Shapes are fixed by the content.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        content: ContentTarget,
        style: StyleTarget,
        weights: LossWeights,
        priors: tuple[Prior, ...] = (),
        region: torch.Tensor | None = None,
    ) -> None:
        self.extractor, self.content, self.style, self.weights, self.priors = extractor, content, style, weights, priors
        self._region = (
            None if region is None else StyleRegion(region, weights.style_layers, dense=region.device.type != "cpu")
        )
        self._metrics = self._device_metrics()
        wanted = [extractor.backbone.references[name] for name in weights.style_layers]
        share = 1 / max(1, len(wanted))  # w_l
        self._smoothness = share * sum(references.smoothness for references in wanted)
        self._variation = share * sum(references.variation for references in wanted)

    def _device_metrics(self) -> Mapping[str, torch.Tensor | None]:
        references = self.extractor.backbone.references
        found = {name: references[name].metric() for name in self.weights.layers}
        device, wide = self.extractor.device, torch.promote_types(self.extractor.dtype, torch.float32)
        return {name: None if q is None else q.to(device, wide) for name, q in found.items()}

    @torch.no_grad()
    def value(self, x: torch.Tensor, activations: Activations | None = None) -> Losses:
        """The losses of ``x`` (N, 3, H, W), float32 RGB in [0, 1]; ``activations``: of it, where they are known."""
        losses, _ = self._losses(x, activations or self.extractor.forward(x))
        return losses

    @torch.no_grad()
    def value_and_gradient(self, x: torch.Tensor) -> tuple[Losses, torch.Tensor]:
        """The losses of ``x`` and the gradient of their total, (N, 3, H, W) float32.

        Nothing is read back to the host, except in the first call for a shape, which tries kernels out.
        """
        activations = self.extractor.forward(x)
        losses, gradients = self._losses(x, activations)
        g = activations.backward(gradients, gradients.fused)
        return losses, self._add_pixel_gradients(x, g, gradients.variation)

    def tensors(self) -> list[torch.Tensor]:
        """Everything that it was given and that may change from frame to frame, in a fixed order."""
        targets = [*self.content.features.values(), *self.style.grams.values(), *self.style.minimised_grams.values()]
        targets += [self.style.variation, self.style.minimised_variation]
        region = [] if self._region is None else self._region.tensors()
        return [*targets, *(t for prior in self.priors for t in prior.tensors()), *region]

    def clone(self) -> "Objective":
        """The same on copies of its tensors, which may be written over."""
        content, style = copy.copy(self.content), copy.copy(self.style)
        content.features = {name: f.clone() for name, f in self.content.features.items()}
        style.grams = {name: g.clone() for name, g in self.style.grams.items()}
        style.minimised_grams = {name: g.clone() for name, g in self.style.minimised_grams.items()}
        style.variation, style.minimised_variation = (
            self.style.variation.clone(),
            self.style.minimised_variation.clone(),
        )
        priors = tuple(prior.clone() for prior in self.priors)
        made = Objective(self.extractor, content, style, self.weights, priors)
        made._region = None if self._region is None else self._region.clone()
        return made

    def _losses(self, x: torch.Tensor, activations: Activations) -> tuple[Losses, "_TapGradients"]:
        zero = torch.zeros(x.shape[0], device=self.extractor.device)
        taps = _TapGradients()
        content, style = zero, zero
        for name in self.weights.content_layers:
            content = content + self._content(name, activations[name], taps)
        minimised, region = zero, zero
        if self._may_fuse(x):
            style, minimised, region = self._fused_style(activations, taps)
        else:
            for name in self.weights.style_layers:
                distance, sought = self._style(name, activations[name], taps)
                style, minimised = style + distance, minimised + sought
                if self._region is not None:
                    region = region + self._region_style(self._region, name, activations[name], taps)
        rest, variation, minimised_variation = self.weights.content * content, zero, zero
        if self._smooths:
            variation, minimised_variation, taps.variation = self._variation_losses(total_variation(x))
        without_priors = rest + self.weights.style * style + variation
        total = rest + self.weights.style * minimised + minimised_variation
        for prior in self.priors:
            total = total + prior.weight * prior.value(x)
        region = self.weights.style * region
        return Losses(total + region, content, style, without_priors, region), taps

    def _may_fuse(self, x: torch.Tensor) -> bool:
        """Whether the GPU's own kernels do the style: for one picture in bf16, of a network without adapters."""
        plain = (
            len(x) == 1
            and self.extractor.dtype == torch.bfloat16
            and not any(map(torch.is_tensor, self._metrics.values()))
        )
        return (
            plain
            and self.extractor.device.type == "cuda"
            and bool(self.weights.style_layers)
            and _kernels() is not None
        )

    def _fused_style(
        self, activations: Activations, taps: "_TapGradients"
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What ``_style`` and ``_region_style`` say, for all layers: (style, what is minimised of it, part)."""
        kernels, k, region, sums = _kernels(), self.style.anchor_gain, self._region, list[torch.Tensor]()
        assert kernels is not None
        for name in self.weights.style_layers:
            references, flat = self.extractor.backbone.references[name], positions_by_channels(activations[name])[0]
            factor = references.scale**4 / (references.channels**2 * len(self.weights.style_layers))
            scales = self.weights.style * k * factor / len(flat), k * factor / 4, factor / 4
            weights = None if region is None else region.weights[name]
            without_priors = region and (weights, region.share, self.weights.style * factor, factor / 4)
            targets = self.style.minimised_grams[name][0], self.style.grams[name][0]
            slopes, losses = kernels.slope_and_loss(flat, *targets, scales, without_priors)
            taps.fused[name] = partial(kernels.add_style_through_relu, flat=flat, slopes=slopes, weights=weights)
            sums.append(losses)
        minimised, style, of_part = torch.cat(sums).sum(0).split(1)
        return style, minimised, of_part

    def _content(self, name: str, features: torch.Tensor, taps: "_TapGradients") -> torch.Tensor:
        """1/2 sum (F - P)^2 at the reference size; its gradient is (F - P), masked by the ReLU on the way down."""
        references, q = self.extractor.backbone.references[name], self._metrics[name]
        positions = features.shape[2] * features.shape[3]
        factor = references.scale**2 * reference_positions(layer_stride(name)) / positions
        difference = features - self.content.features[name]
        flat = positions_by_channels(difference)
        pulled = flat if q is None else flat @ q.to(flat.dtype)
        taps.content[name] = pulled, self.weights.content * factor
        return 0.5 * factor * (_square(flat) if q is None else _dot(flat, pulled))

    def _style(self, name: str, features: torch.Tensor, taps: "_TapGradients") -> tuple[torch.Tensor, torch.Tensor]:
        """(w_l E_l, what is minimised of it: the same, unless the style is anchored).

        The gradient w_l / (N^2 M) (G/M_x - A/M_a) F is one product with F.
        """
        references, q = self.extractor.backbone.references[name], self._metrics[name]
        factor = references.scale**4 / (references.channels**2 * len(self.weights.style_layers))
        positions = features.shape[2] * features.shape[3]
        gram, k = mean_gram(features), self.style.anchor_gain
        difference = gram - self.style.minimised_grams[name]
        pulled = difference if q is None else q @ difference @ q
        taps.style[name] = pulled * (self.weights.style * k * factor / positions)
        minimised = distance = k * factor / 4 * (difference * pulled).sum((1, 2))
        if k != 1:
            difference = gram - self.style.grams[name]
            pulled = difference if q is None else q @ difference @ q
            distance = factor / 4 * (difference * pulled).sum((1, 2))
        return distance, minimised

    def _region_style(
        self, region: "StyleRegion", name: str, features: torch.Tensor, taps: "_TapGradients"
    ) -> torch.Tensor:
        """w_l E_l of the part's own Gram matrix: as ``_style`` without an anchor, its weights in the place of 1 / M."""
        references, index, weights = self.extractor.backbone.references[name], region.index[name], region.weights[name]
        factor = references.scale**4 / (references.channels**2 * len(self.weights.style_layers))
        flat, q = positions_by_channels(features)[0], self._metrics[name]
        if index is not None:
            flat = flat[index].to(weights.dtype)
        weighted = flat * weights[:, None].to(flat.dtype)
        gram = weighted.T @ flat if index is not None else _sliced_product(weighted[None], flat[None])[0]
        difference = gram - self.style.grams[name][0]
        pulled = difference if q is None else q @ difference @ q
        slope = pulled * (self.weights.style * factor * region.share)
        taps.region[name] = index, weighted @ slope.to(weighted.dtype)
        return factor / 4 * region.share * (difference * pulled).sum()

    @property
    def _smooths(self) -> bool:
        return bool(self.weights.tv or self._smoothness or self._variation)

    @property
    def _beta(self) -> float | torch.Tensor:
        """The style's weight, or (N,) weights."""
        return self.weights.style

    def _variation_losses(self, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(loss, what is minimised of it, the latter's slope) of total variations ``v``, all (N,).

        w V, w the settings' own weight and the smoothness that the network wants; and beta w_v times the ``divergence``
        of V from the style's, or where the style is anchored, k times that from the k-th part of the way to it.
        """
        smoothing, weight = self.weights.tv + self._beta * self._smoothness, self._beta * self._variation
        loss = minimised = smoothing * v
        slope = torch.ones_like(v) * smoothing
        if self._variation:
            rough, style, k = v.clamp_min(LEAST_VARIATION), self.style, self.style.anchor_gain
            loss = loss + weight * divergence(rough, style.variation)
            minimised = minimised + k * weight * divergence(rough, style.minimised_variation)
            slope = slope + k * weight * (rough / style.minimised_variation).log()
        return loss, minimised, slope

    def _add_pixel_gradients(self, x: torch.Tensor, g: torch.Tensor, variation: torch.Tensor | None) -> torch.Tensor:
        """``variation``: (N,) slope of the loss in the total variation."""
        if variation is not None:
            g.add_(total_variation_gradient(x) * variation.view(-1, 1, 1, 1))
        for prior in self.priors:
            prior.add_gradient(x, g)
        return g


class _TapGradients:
    """The losses' gradients at the layers, applied on the way down.

    (N, C, C) for style; for content (N, M, C) with its factor; for a part's style, positions (n,) or None for all, and
    (n, C). Beside them ``variation``, the slope in the picture's total variation, (N,).
    """

    def __init__(self) -> None:
        self.content: dict[str, tuple[torch.Tensor, float]] = {}
        self.style: dict[str, torch.Tensor] = {}
        self.region: dict[str, tuple[torch.Tensor | None, torch.Tensor]] = {}
        self.variation: torch.Tensor | None = None
        # What a GPU's own kernel adds for the style, part and all, on the way through the layer's ReLU.
        self.fused: dict[str, Callable[[torch.Tensor | None], torch.Tensor]] = {}

    def __call__(self, name: str, features: torch.Tensor, g: torch.Tensor | None) -> torch.Tensor | None:
        content, style = self.content.get(name), self.style.get(name)
        if content is None and style is None and name not in self.fused:
            return g
        flat = positions_by_channels(features)
        out = None if g is None else positions_by_channels(g)
        if style is not None:
            style = style.to(flat.dtype)
            out = torch.bmm(flat, style) if out is None else out.baddbmm_(flat, style)
        if content is not None:
            pulled, factor = content
            out = pulled * factor if out is None else out.add_(pulled, alpha=factor)
        if name in self.fused:
            out = self.fused[name](None if out is None else out[0])[None]
        assert out is not None
        if name in self.region:
            index, gradient = self.region[name]
            if index is None:
                out.add_(gradient)
            else:
                out[0].index_add_(0, index, gradient.to(out.dtype))
        n, c, h, w = features.shape
        return out.view(n, h, w, c).permute(0, 3, 1, 2)


# Our own kernels for the style on a GPU.
_kernels = partial(load_tested, "videostyle.kernels.gram")
