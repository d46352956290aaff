"""The objective of Gatys et al. as a number and its gradient: what optimisers minimise and benchmarks time."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from videostyle.perception.backbones import layer_stride
from videostyle.perception.kernel_loader import working
from videostyle.perception.losses import (
    colour_loss,
    divergence,
    outside,
    reference_positions,
    temporal_loss,
    total_variation,
    total_variation_gradient,
)
from videostyle.perception.trunk import Activations, Trunk


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


@dataclass(frozen=True)
class Prior:
    """What is wanted of the pixels themselves, whatever the network sees in them: ``weight`` times ``value``."""

    weight: float

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """Of ``x`` (N, 3, H, W), (N,)."""
        raise NotImplementedError

    def add_gradient(self, x: torch.Tensor, g: torch.Tensor) -> None:
        """Add the gradient of ``weight * value(x)`` to ``g``, shaped like ``x``."""
        raise NotImplementedError

    def tensors(self) -> list[torch.Tensor]:
        """Its own tensors, in a fixed order."""
        return [t for t in vars(self).values() if torch.is_tensor(t)]

    def owning(self) -> "Prior":
        """The same on copies of them."""
        made = copy.copy(self)
        vars(made).update({name: t.clone() for name, t in vars(self).items() if torch.is_tensor(t)})
        return made


@dataclass(frozen=True)
class TemporalPrior(Prior):
    """Where the world held still, so should the picture (see temporal_loss).

    ``target``: (N, 3, H, W) in [0, 1]. ``mask``: (N, 1, H, W) in [0, 1]; a zero mask switches the prior off.
    """

    target: torch.Tensor
    mask: torch.Tensor

    def value(self, x: torch.Tensor) -> torch.Tensor:
        return temporal_loss(x, self.target, self.mask)

    def add_gradient(self, x: torch.Tensor, g: torch.Tensor) -> None:
        g.add_(self.mask * (x - self.target), alpha=2 * self.weight / x[0].numel())


@dataclass(frozen=True)
class ColourPrior(Prior):
    """The mean colour of the picture should lie from ``low`` to ``high``, (N or 1, 3, 1, 1) (see colour_loss)."""

    low: torch.Tensor
    high: torch.Tensor

    def value(self, x: torch.Tensor) -> torch.Tensor:
        return colour_loss(x, self.low, self.high)

    def add_gradient(self, x: torch.Tensor, g: torch.Tensor) -> None:
        g.add_(outside(x.mean((2, 3), keepdim=True), self.low, self.high), alpha=2 * self.weight / x[0].numel())


def positions_by_channels(features: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) channels-last -> (N, M, C), a view."""
    n, c, h, w = features.shape
    return features.permute(0, 2, 3, 1).reshape(n, h * w, c)


def mean_gram(features: torch.Tensor) -> torch.Tensor:
    """G / M (``losses.gram``) of features in any precision, (N, C, H, W) -> (N, C, C), float32 or better."""
    flat = positions_by_channels(features)
    return _sliced_product(flat, flat) / flat.shape[1]


def _sliced_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a'b over the positions, (N, M, C) twice -> (N, C, C), float32 or better.

    A bf16 product rounds its result to 8 bits, too coarse for the difference of two Grams: the positions are cut into
    slices, each accumulated in float32 inside the kernel, and their rounded results are averaged in float32.
    """
    n, m, c = a.shape
    if a.dtype != torch.bfloat16:
        return a.transpose(1, 2) @ b
    slices = max(1, min(GRAM_SLICES, m // c))
    whole = m // slices * slices
    parts, others = (t[:, :whole].reshape(n * slices, whole // slices, c) for t in (a, b))
    total = torch.bmm(parts.transpose(1, 2), others).view(n, slices, c, c).float().sum(1)
    if whole < m:
        total += torch.bmm(a[:, whole:].transpose(1, 2), b[:, whole:])
    return total


# 16 slices bring the rounding of a bf16 Gram from 2^-9 to about 2^-11 and cost nothing that can be measured.
GRAM_SLICES = 16


# A picture with less total variation counts as this: neighbours differ by less than a tenth of a level in 255.
LEAST_VARIATION = 0.1


class StyleTarget:
    """A style picture's mean Gram matrices, by layer, and total variation: computed once per picture and size."""

    def __init__(self, trunk: Trunk, picture: torch.Tensor, layers: tuple[str, ...]) -> None:
        activations = trunk.forward(picture, layers)
        self._aim({name: mean_gram(activations[name]) for name in layers}, total_variation(picture))

    @classmethod
    def of(cls, grams: dict[str, torch.Tensor], variation: torch.Tensor) -> "StyleTarget":
        """A style that is known by its mean Gram matrices (N, C, C) and total variation (N,) alone."""
        target = cls.__new__(cls)
        target._aim(grams, variation)
        return target

    def _aim(self, grams: dict[str, torch.Tensor], variation: torch.Tensor) -> None:
        self.grams, self.pull, self.stiffness = grams, grams, 1.0
        self.variation = self.variation_pull = variation.clamp_min(LEAST_VARIATION)

    def anchored(self, trunk: Trunk, picture: torch.Tensor, stiffness: float) -> "StyleTarget":
        """The same style, held at what ``picture`` has reached of it: for the frames after a converged one.

        With G0 the picture's Gram and k the stiffness, what is minimised becomes k |G - (G0 + (A - G0) / k)|^2. At G0
        its gradient is that of |G - A|^2, so a converged picture stays converged; away from it, towards the style or
        back, it resists k times as firmly. So it does with the logarithm of the total variation. Reported losses still
        compare with A.
        """
        reached = StyleTarget(trunk, picture, tuple(self.grams))
        reached.pull = {name: torch.lerp(g, self.grams[name], 1 / stiffness) for name, g in reached.grams.items()}
        way = torch.lerp(reached.variation.log(), self.variation.log(), 1 / stiffness)
        reached.variation_pull, reached.variation = way.exp(), self.variation
        reached.grams, reached.stiffness = self.grams, stiffness
        return reached


class ContentTarget:
    """Features of a content picture, by layer: computed once per frame."""

    def __init__(self, trunk: Trunk, picture: torch.Tensor, layers: tuple[str, ...]) -> None:
        activations = trunk.forward(picture, layers)
        self.features = {name: activations[name] for name in layers}

    @classmethod
    def of(cls, features: dict[str, torch.Tensor]) -> "ContentTarget":
        """A content that is known by its features (N, C, H, W) alone."""
        target = cls.__new__(cls)
        target.features = features
        return target


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


# A part is small and scattered, and its Gram matrix noisy: drawn to the style at 1 it comes to 0.3 of the distance that
# the same pixels have in a picture painted afresh, at the price of the rest (loss +8 %, warp error times four).
# At 0.1 it comes to 0.6, at 0.03 to 0.8, and without to 1.0; at 0.1 the rest does not notice.
PART_WEIGHT = 0.1


class _Part:
    """A soft mask (1, 1, H, W) of pixels whose own mean Gram matrix is drawn to the style, beside the whole picture's.

    The whole picture's statistics can be right while a part of it is bare. The part's distance is weighted by its
    share of the picture and by ``PART_WEIGHT``: at 1, every pixel of it would be drawn as if the whole picture were
    like the part.
    """

    def __init__(self, mask: torch.Tensor, layers: tuple[str, ...], dense: bool) -> None:
        self.share = PART_WEIGHT * mask.mean()
        # On a CPU only the part's own positions are looked at. A GPU looks at all (dense), which costs it less than
        # picking them, and a recording wants shapes that never change.
        self.index, self.weights = dict[str, torch.Tensor | None](), dict[str, torch.Tensor]()
        for name in layers:
            size = [side // layer_stride(name) for side in mask.shape[2:]]
            weights = F.interpolate(mask, size, mode="area").flatten()
            weights = weights / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
            self.index[name] = index = None if dense else weights.nonzero().flatten()
            self.weights[name] = weights if index is None else weights[index]

    def tensors(self) -> list[torch.Tensor]:
        return [self.share, *(i for i in self.index.values() if i is not None), *self.weights.values()]

    def owning(self) -> "_Part":
        made = copy.copy(self)
        made.share = self.share.clone()
        made.index = {name: None if index is None else index.clone() for name, index in self.index.items()}
        made.weights = {name: weights.clone() for name, weights in self.weights.items()}
        return made


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
_kernels = partial(working, "videostyle.perception.style_kernels")


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Per-sample sum of products, accumulated in float32 or better: (N, M, C) twice -> (N,)."""
    wide = torch.promote_types(a.dtype, torch.float32)
    return (a.to(wide) * b.to(wide)).sum((1, 2))


def _square(a: torch.Tensor) -> torch.Tensor:
    """``_dot(a, a)`` in one pass over memory."""
    wide = torch.promote_types(a.dtype, torch.float32)
    return torch.linalg.vector_norm(a, dim=(1, 2), dtype=wide).square()
