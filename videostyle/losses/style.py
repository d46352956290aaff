"""The style's statistics, anchored where a shot has reached, and those of a part of the picture."""

import copy

import torch
import torch.nn.functional as F

from videostyle.losses.definitions import total_variation
from videostyle.losses.gram import mean_gram
from videostyle.networks.backbone import layer_stride
from videostyle.networks.feature_extractor import FeatureExtractor

# A picture with less total variation counts as this: neighbours differ by less than a tenth of a level in 255.
LEAST_VARIATION = 0.1


class StyleTarget:
    """A style picture's mean Gram matrices, by layer, and total variation: computed once per picture and size."""

    def __init__(self, extractor: FeatureExtractor, picture: torch.Tensor, layers: tuple[str, ...]) -> None:
        activations = extractor.forward(picture, layers)
        self._aim({name: mean_gram(activations[name]) for name in layers}, total_variation(picture))

    @classmethod
    def of(cls, grams: dict[str, torch.Tensor], variation: torch.Tensor) -> "StyleTarget":
        """A style that is known by its mean Gram matrices (N, C, C) and total variation (N,) alone."""
        target = cls.__new__(cls)
        target._aim(grams, variation)
        return target

    def _aim(self, grams: dict[str, torch.Tensor], variation: torch.Tensor) -> None:
        self.grams, self.minimised_grams, self.anchor_gain = grams, grams, 1.0
        self.variation = self.minimised_variation = variation.clamp_min(LEAST_VARIATION)

    def anchored_at(self, extractor: FeatureExtractor, picture: torch.Tensor, anchor_gain: float) -> "StyleTarget":
        """The same style, held at what ``picture`` has reached of it: for the frames after a converged one.

        With G0 the picture's Gram and k the stiffness, what is minimised becomes k |G - (G0 + (A - G0) / k)|^2. At G0
        its gradient is that of |G - A|^2, so a converged picture stays converged; away from it, towards the style or
        back, it resists k times as firmly. So it does with the logarithm of the total variation. Reported losses still
        compare with A.
        """
        reached = StyleTarget(extractor, picture, tuple(self.grams))
        reached.minimised_grams = {
            name: torch.lerp(g, self.grams[name], 1 / anchor_gain) for name, g in reached.grams.items()
        }
        way = torch.lerp(reached.variation.log(), self.variation.log(), 1 / anchor_gain)
        reached.minimised_variation, reached.variation = way.exp(), self.variation
        reached.grams, reached.anchor_gain = self.grams, anchor_gain
        return reached


# A part is small and scattered, and its Gram matrix noisy: drawn to the style at 1 it comes to 0.3 of the distance that
# the same pixels have in a picture painted afresh, at the price of the rest (loss +8 %, warp error times four).
# At 0.1 it comes to 0.6, at 0.03 to 0.8, and without to 1.0; at 0.1 the rest does not notice.
REGION_WEIGHT = 0.1


class StyleRegion:
    """A soft mask (1, 1, H, W) of pixels whose own mean Gram matrix is drawn to the style, beside the whole picture's.

    The whole picture's statistics can be right while a part of it is bare. The part's distance is weighted by its
    share of the picture and by ``REGION_WEIGHT``: at 1, every pixel of it would be drawn as if the whole picture were
    like the part.
    """

    def __init__(self, mask: torch.Tensor, layers: tuple[str, ...], dense: bool) -> None:
        self.share = REGION_WEIGHT * mask.mean()
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

    def clone(self) -> "StyleRegion":
        made = copy.copy(self)
        made.share = self.share.clone()
        made.index = {name: None if index is None else index.clone() for name, index in self.index.items()}
        made.weights = {name: weights.clone() for name, weights in self.weights.items()}
        return made
