"""The style loss: statistics of the style picture, and the Gram loss of a layer."""

from functools import partial

import torch

from videostyle.losses.formulas import grain, total_variation
from videostyle.losses.gram import mean_gram
from videostyle.losses.layer_loss import Layer, LayerLoss, LayerValue, Weight, per_sample
from videostyle.losses.octaves import halved
from videostyle.networks.feature_extractor import FeatureExtractor

# Least total variation (`formulas.total_variation`) that counts: neighbours differ by a tenth of a level in 255.
LEAST_VARIATION = 0.1
# The same of the grain of one colour (`formulas.grain`).
LEAST_GRAIN = 1e-7


class StyleTarget:
    """A style's mean Gram matrices and total variation: computed once per picture and size.

    ``grams``, ``variation``: the style's own, (N, C, C) by layer and (N,), for the reported losses.
    ``minimised_grams``, ``minimised_variation``, ``anchor_gain``: for the minimised loss; see `anchored_at`.
    ``grain``: (N, 3), `formulas.grain`. ``coarser``: the same of the picture's next octave; None for the last one.
    """

    def __init__(
        self, extractor: FeatureExtractor, picture: torch.Tensor, layers: tuple[str, ...], octaves: int = 1
    ) -> None:
        activations = extractor.forward(picture, layers)
        coarser = None if octaves == 1 else StyleTarget(extractor, halved(picture), layers, octaves - 1)
        grams = {name: mean_gram(activations[name]) for name in layers}
        self._set(grams, total_variation(picture), grain(picture).to(extractor.device), coarser)

    @classmethod
    def of(
        cls,
        grams: dict[str, torch.Tensor],
        variation: torch.Tensor,
        grain: torch.Tensor,
        coarser: "StyleTarget | None" = None,
    ) -> "StyleTarget":
        """From the statistics themselves."""
        target = cls.__new__(cls)
        target._set(grams, variation, grain, coarser)
        return target

    @property
    def octaves(self) -> int:
        """Of the picture, at which it holds the statistics."""
        return 1 if self.coarser is None else 1 + self.coarser.octaves

    @classmethod
    def blend(cls, targets: "list[StyleTarget]", weights: list[float]) -> "StyleTarget":
        """The weighted mean of several styles' Gram matrices and of the logarithms of their variation and grain.

        ``weights`` sum to 1.
        """
        if len(targets) == 1:
            return targets[0]
        grams = {
            name: sum((w * t.grams[name] for t, w in zip(targets, weights, strict=True)), torch.zeros(()))
            for name in targets[0].grams
        }
        shares = torch.tensor(weights, device=targets[0].variation.device)
        variation, grain = (
            torch.einsum("k,k...->...", shares, torch.stack([getattr(t, name) for t in targets]).log()).exp()
            for name in ("variation", "grain")
        )
        coarser = [t.coarser for t in targets if t.coarser is not None]
        return cls.of(grams, variation, grain, cls.blend(coarser, weights) if coarser else None)

    def _set(
        self,
        grams: dict[str, torch.Tensor],
        variation: torch.Tensor,
        grain: torch.Tensor,
        coarser: "StyleTarget | None",
    ) -> None:
        self.grams, self.minimised_grams, self.anchor_gain, self.coarser = grams, grams, 1.0, coarser
        self.variation = self.minimised_variation = variation.clamp_min(LEAST_VARIATION)
        self.grain = grain.clamp_min(LEAST_GRAIN)

    def anchored_at(self, extractor: FeatureExtractor, picture: torch.Tensor, anchor_gain: float) -> "StyleTarget":
        """The same style, anchored at ``picture``: for the frames after it, once it has converged.

        With G0 the picture's Gram matrix and k = ``anchor_gain``, k |G - (G0 + (A - G0) / k)|^2 is minimised. At G0 its
        gradient is that of |G - A|^2, so that a converged picture stays converged; its curvature is k times as high.
        The logarithm of the total variation is anchored in the same way. Of our own making, not from a paper.
        """
        reached, gain = StyleTarget(extractor, picture, tuple(self.grams)), 1 / anchor_gain
        reached.minimised_grams = {name: torch.lerp(g, self.grams[name], gain) for name, g in reached.grams.items()}
        way = torch.lerp(reached.variation.log(), self.variation.log(), gain)
        reached.minimised_variation, reached.variation = way.exp(), self.variation
        reached.grams, reached.grain, reached.anchor_gain = self.grams, self.grain, anchor_gain
        if self.coarser is not None:
            reached.coarser = self.coarser.anchored_at(extractor, halved(picture), anchor_gain)
        return reached


def style_factor(layer: Layer, layers: int) -> float:
    """w_l s^4 / N_l^2, so that w_l E_l is a quarter of it times |G / M_x - A / M_a|^2; w_l = 1 / ``layers``."""
    return layer.reference.scale**4 / (layer.reference.channels**2 * layers)


class GramLoss(LayerLoss):
    """w_l E_l (``formulas.style_loss``) of the whole picture, anchored if ``style`` is.

    ``layers``: number of style layers. The gradient is w_l / (N^2 M) (G / M_x - A / M_a) F.
    """

    term = "style"

    def __init__(self, layer: Layer, style: StyleTarget, weight: Weight, layers: int) -> None:
        self.layer, self.weight, self._layer = layer.name, weight, layer
        self.target, self.minimised_target = style.grams[layer.name], style.minimised_grams[layer.name]
        self.anchor_gain, self.factor = style.anchor_gain, style_factor(layer, layers)

    def evaluate(self, features: torch.Tensor) -> LayerValue:
        gram, k, factor = mean_gram(features), self.anchor_gain, self.factor
        positions = features.shape[2] * features.shape[3]
        difference = gram - self.minimised_target
        toward = self._layer.distance_gradient(difference)
        slope = toward * per_sample(self.weight * k * factor / positions)
        loss = minimised = k * factor / 4 * (difference * toward).sum((1, 2))
        if k != 1:
            difference = gram - self.target
            loss = factor / 4 * (difference * self._layer.distance_gradient(difference)).sum((1, 2))
        return LayerValue(loss, minimised, partial(_add_product, slope))

    @property
    def plain(self) -> bool:
        """Whether it has one weight and the network no adapter, as the kernels need it."""
        return self._layer.metric is None and not isinstance(self.weight, torch.Tensor)

    def tensors(self) -> list[torch.Tensor]:
        return [self.target, self.minimised_target]


def _add_product(slope: torch.Tensor, flat: torch.Tensor, g: torch.Tensor | None) -> torch.Tensor:
    """F times ``slope`` (N, C, C)."""
    slope = slope.to(flat.dtype)
    return torch.bmm(flat, slope) if g is None else g.baddbmm_(flat, slope)
