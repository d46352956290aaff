"""The style loss: statistics of the style picture, and the Gram loss of a layer."""

from functools import partial

import torch

from videostyle.losses.formulas import total_variation
from videostyle.losses.gram import mean_gram
from videostyle.losses.layer_loss import Layer, LayerLoss, LayerValue, Weight, per_sample
from videostyle.networks.feature_extractor import FeatureExtractor

# Least total variation (`formulas.total_variation`) that counts: neighbours differ by a tenth of a level in 255.
LEAST_VARIATION = 0.1


class StyleTarget:
    """A style's mean Gram matrices and total variation: computed once per picture and size.

    ``grams``, ``variation``: the style's own, (N, C, C) by layer and (N,), for the reported losses.
    ``minimised_grams``, ``minimised_variation``, ``anchor_gain``: for the minimised loss; see `anchored_at`.
    """

    def __init__(self, extractor: FeatureExtractor, picture: torch.Tensor, layers: tuple[str, ...]) -> None:
        activations = extractor.forward(picture, layers)
        self._set({name: mean_gram(activations[name]) for name in layers}, total_variation(picture))

    @classmethod
    def of(cls, grams: dict[str, torch.Tensor], variation: torch.Tensor) -> "StyleTarget":
        """From the statistics themselves."""
        target = cls.__new__(cls)
        target._set(grams, variation)
        return target

    @classmethod
    def blend(cls, targets: "list[StyleTarget]", weights: list[float]) -> "StyleTarget":
        """The weighted mean of several styles' Gram matrices and log total variations. ``weights`` sum to 1."""
        if len(targets) == 1:
            return targets[0]
        grams = {
            name: sum((w * t.grams[name] for t, w in zip(targets, weights, strict=True)), torch.zeros(()))
            for name in targets[0].grams
        }
        variations = torch.stack([t.variation for t in targets])
        shares = torch.tensor(weights, device=variations.device)[:, None]
        return cls.of(grams, (shares * variations.log()).sum(0).exp())

    def _set(self, grams: dict[str, torch.Tensor], variation: torch.Tensor) -> None:
        self.grams, self.minimised_grams, self.anchor_gain = grams, grams, 1.0
        self.variation = self.minimised_variation = variation.clamp_min(LEAST_VARIATION)

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
        reached.grams, reached.anchor_gain = self.grams, anchor_gain
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
