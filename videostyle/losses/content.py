"""The content's features."""

import torch

from videostyle.networks.feature_extractor import FeatureExtractor


class ContentTarget:
    """Features of a content picture, by layer: computed once per frame."""

    def __init__(self, extractor: FeatureExtractor, picture: torch.Tensor, layers: tuple[str, ...]) -> None:
        activations = extractor.forward(picture, layers)
        self.features = {name: activations[name] for name in layers}

    @classmethod
    def of(cls, features: dict[str, torch.Tensor]) -> "ContentTarget":
        """A content that is known by its features (N, C, H, W) alone."""
        target = cls.__new__(cls)
        target.features = features
        return target
