"""The objective of Gatys et al. as a number and its gradient: what optimisers minimise and benchmarks time."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from videostyle.kernels.loader import working
from videostyle.losses.content import ContentTarget
from videostyle.losses.definitions import divergence, reference_positions, total_variation, total_variation_gradient
from videostyle.losses.gram import _dot, _sliced_product, _square, mean_gram, positions_by_channels
from videostyle.losses.pixel import Prior
from videostyle.losses.style import LEAST_VARIATION, StyleTarget, _Part
from videostyle.networks.backbone import layer_stride
from videostyle.networks.feature_extractor import Activations, Trunk


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

    ``part``: what of the total is the style of a part by itself.

    ``own``: the total without the priors, what the picture would cost if there were none before it: comparable from
    frame to frame.
    """

    total: torch.Tensor
    content: torch.Tensor
    style: torch.Tensor
    own: torch.Tensor
    part: torch.Tensor


class Objective:
    """alpha L_content + beta L_style + tv L_tv + priors, with its gradient with respect to the picture.

    tv is the weights' own and what the network wants beside its style layers (``Nominal.smoothness``); it may also want
    the picture's total variation near the style's (``Nominal.variation``).

    ``trunk``: the network. ``content``: the content's features, ``style``: the style's Gram matrices, ``weights``:
    alpha, beta, layers. ``priors``: what is wanted of the pixels. ``part``: (1, 1, H, W) in [0, 1], pixels that are to
    have the style by themselves (see ``_Part``; one picture, no batch). Shapes are fixed by the content.
    """

    def __init__(
        self,
        trunk: Trunk,
        content: ContentTarget,
        style: StyleTarget,
        weights: LossWeights,
        priors: tuple[Prior, ...] = (),
        part: torch.Tensor | None = None,
    ) -> None:
        self.trunk, self.content, self.style, self.weights, self.priors = trunk, content, style, weights, priors
        self._part = None if part is None else _Part(part, weights.style_layers, dense=part.device.type != "cpu")
        self._metrics = self._device_metrics()
        wanted = [trunk.backbone.nominal[name] for name in weights.style_layers]
        share = 1 / max(1, len(wanted))  # w_l
        self._smoothness = share * sum(nominal.smoothness for nominal in wanted)
        self._variation = share * sum(nominal.variation for nominal in wanted)

    def _device_metrics(self) -> Mapping[str, torch.Tensor | None]:
        nominal = self.trunk.backbone.nominal
        found = {name: nominal[name].metric() for name in self.weights.layers}
        device, wide = self.trunk.device, torch.promote_types(self.trunk.dtype, torch.float32)
        return {name: None if q is None else q.to(device, wide) for name, q in found.items()}

    @torch.no_grad()
    def value(self, x: torch.Tensor, activations: Activations | None = None) -> Losses:
        """The losses of ``x`` (N, 3, H, W), float32 RGB in [0, 1]; ``activations``: of it, where they are known."""
        losses, _ = self._losses(x, activations or self.trunk.forward(x))
        return losses

    @torch.no_grad()
    def value_and_gradient(self, x: torch.Tensor) -> tuple[Losses, torch.Tensor]:
        """The losses of ``x`` and the gradient of their total, (N, 3, H, W) float32.

        Nothing is read back to the host, except in the first call for a shape, which tries kernels out.
        """
        activations = self.trunk.forward(x)
        losses, gradients = self._losses(x, activations)
        g = activations.backward(gradients, gradients.fused)
        return losses, self._add_pixel_gradients(x, g, gradients.variation)

    def tensors(self) -> list[torch.Tensor]:
        """Everything that it was given and that may change from frame to frame, in a fixed order."""
        targets = [*self.content.features.values(), *self.style.grams.values(), *self.style.pull.values()]
        targets += [self.style.variation, self.style.variation_pull]
        part = [] if self._part is None else self._part.tensors()
        return [*targets, *(t for prior in self.priors for t in prior.tensors()), *part]

    def owning(self) -> "Objective":
        """The same on copies of its tensors, which may be written over."""
        content, style = copy.copy(self.content), copy.copy(self.style)
        content.features = {name: f.clone() for name, f in self.content.features.items()}
        style.grams = {name: g.clone() for name, g in self.style.grams.items()}
        style.pull = {name: g.clone() for name, g in self.style.pull.items()}
        style.variation, style.variation_pull = self.style.variation.clone(), self.style.variation_pull.clone()
        priors = tuple(prior.owning() for prior in self.priors)
        made = Objective(self.trunk, content, style, self.weights, priors)
        made._part = None if self._part is None else self._part.owning()
        return made

    def _losses(self, x: torch.Tensor, activations: Activations) -> tuple[Losses, "_TapGradients"]:
        zero = torch.zeros(x.shape[0], device=self.trunk.device)
        taps = _TapGradients()
        content, style = zero, zero
        for name in self.weights.content_layers:
            content = content + self._content(name, activations[name], taps)
        held, part = zero, zero
        if self._may_fuse(x):
            style, held, part = self._fused_style(activations, taps)
        else:
            for name in self.weights.style_layers:
                distance, minimised = self._style(name, activations[name], taps)
                style, held = style + distance, held + minimised
                if self._part is not None:
                    part = part + self._style_of_part(self._part, name, activations[name], taps)
        rest, variation, held_variation = self.weights.content * content, zero, zero
        if self._smooths:
            variation, held_variation, taps.variation = self._variation_losses(total_variation(x))
        own = rest + self.weights.style * style + variation
        total = rest + self.weights.style * held + held_variation
        for prior in self.priors:
            total = total + prior.weight * prior.value(x)
        part = self.weights.style * part
        return Losses(total + part, content, style, own, part), taps

    def _may_fuse(self, x: torch.Tensor) -> bool:
        """Whether the GPU's own kernels do the style: for one picture in bf16, of a network without adapters."""
        plain = (
            len(x) == 1 and self.trunk.dtype == torch.bfloat16 and not any(map(torch.is_tensor, self._metrics.values()))
        )
        return plain and self.trunk.device.type == "cuda" and bool(self.weights.style_layers) and _kernels() is not None

    def _fused_style(
        self, activations: Activations, taps: "_TapGradients"
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What ``_style`` and ``_style_of_part`` say, for all layers: (style, what is minimised of it, part)."""
        kernels, k, part, sums = _kernels(), self.style.stiffness, self._part, list[torch.Tensor]()
        assert kernels is not None
        for name in self.weights.style_layers:
            nominal, flat = self.trunk.backbone.nominal[name], positions_by_channels(activations[name])[0]
            factor = nominal.scale**4 / (nominal.channels**2 * len(self.weights.style_layers))
            scales = self.weights.style * k * factor / len(flat), k * factor / 4, factor / 4
            weights = None if part is None else part.weights[name]
            own = part and (weights, part.share, self.weights.style * factor, factor / 4)
            targets = self.style.pull[name][0], self.style.grams[name][0]
            slopes, losses = kernels.slope_and_loss(flat, *targets, scales, own)
            taps.fused[name] = partial(kernels.add_style_through_relu, flat=flat, slopes=slopes, weights=weights)
            sums.append(losses)
        held, style, of_part = torch.cat(sums).sum(0).split(1)
        return style, held, of_part

    def _content(self, name: str, features: torch.Tensor, taps: "_TapGradients") -> torch.Tensor:
        """1/2 sum (F - P)^2 at the reference size; its gradient is (F - P), masked by the ReLU on the way down."""
        nominal, q = self.trunk.backbone.nominal[name], self._metrics[name]
        positions = features.shape[2] * features.shape[3]
        factor = nominal.scale**2 * reference_positions(layer_stride(name)) / positions
        difference = features - self.content.features[name]
        flat = positions_by_channels(difference)
        pulled = flat if q is None else flat @ q.to(flat.dtype)
        taps.content[name] = pulled, self.weights.content * factor
        return 0.5 * factor * (_square(flat) if q is None else _dot(flat, pulled))

    def _style(self, name: str, features: torch.Tensor, taps: "_TapGradients") -> tuple[torch.Tensor, torch.Tensor]:
        """(w_l E_l, what is minimised of it: the same, unless the style is anchored).

        The gradient w_l / (N^2 M) (G/M_x - A/M_a) F is one product with F.
        """
        nominal, q = self.trunk.backbone.nominal[name], self._metrics[name]
        factor = nominal.scale**4 / (nominal.channels**2 * len(self.weights.style_layers))
        positions = features.shape[2] * features.shape[3]
        gram, k = mean_gram(features), self.style.stiffness
        difference = gram - self.style.pull[name]
        pulled = difference if q is None else q @ difference @ q
        taps.style[name] = pulled * (self.weights.style * k * factor / positions)
        minimised = distance = k * factor / 4 * (difference * pulled).sum((1, 2))
        if k != 1:
            difference = gram - self.style.grams[name]
            pulled = difference if q is None else q @ difference @ q
            distance = factor / 4 * (difference * pulled).sum((1, 2))
        return distance, minimised

    def _style_of_part(self, part: "_Part", name: str, features: torch.Tensor, taps: "_TapGradients") -> torch.Tensor:
        """w_l E_l of the part's own Gram matrix: as ``_style`` without an anchor, its weights in the place of 1 / M."""
        nominal, index, weights = self.trunk.backbone.nominal[name], part.index[name], part.weights[name]
        factor = nominal.scale**4 / (nominal.channels**2 * len(self.weights.style_layers))
        flat, q = positions_by_channels(features)[0], self._metrics[name]
        if index is not None:
            flat = flat[index].to(weights.dtype)
        weighted = flat * weights[:, None].to(flat.dtype)
        gram = weighted.T @ flat if index is not None else _sliced_product(weighted[None], flat[None])[0]
        difference = gram - self.style.grams[name][0]
        pulled = difference if q is None else q @ difference @ q
        slope = pulled * (self.weights.style * factor * part.share)
        taps.part[name] = index, weighted @ slope.to(weighted.dtype)
        return factor / 4 * part.share * (difference * pulled).sum()

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
            rough, style, k = v.clamp_min(LEAST_VARIATION), self.style, self.style.stiffness
            loss = loss + weight * divergence(rough, style.variation)
            minimised = minimised + k * weight * divergence(rough, style.variation_pull)
            slope = slope + k * weight * (rough / style.variation_pull).log()
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
        self.part: dict[str, tuple[torch.Tensor | None, torch.Tensor]] = {}
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
        if name in self.part:
            index, gradient = self.part[name]
            if index is None:
                out.add_(gradient)
            else:
                out[0].index_add_(0, index, gradient.to(out.dtype))
        n, c, h, w = features.shape
        return out.view(n, h, w, c).permute(0, 3, 1, 2)


# Our own kernels for the style on a GPU.
_kernels = partial(working, "videostyle.kernels.gram")
