"""The plain way to compute the objective: VGG-19 in NCHW float32, frozen weights, autograd. What evaluation.py beats.

The same loss on the same weights as ``videostyle.losses.objective.Objective`` (layers, pooling, sizes, scales),
written as one would write it first, without slowing it down on purpose: no weight gradients, ReLUs in place, no copies.
"""

import torch
import torch.nn.functional as F

from videostyle.losses.formulas import content_loss, gram, style_loss
from videostyle.losses.objective import LossWeights
from videostyle.networks.backbone import Backbone, layer_stride


class PlainObjective:
    """alpha L_content + beta L_style of a picture, by autograd.

    ``content``: (1, 3, H, W), ``style``: (1, 3, h, w), both float32 RGB in [0, 1]. ``backbone``: without adapters.
    """

    def __init__(
        self,
        backbone: Backbone,
        content: torch.Tensor,
        style: torch.Tensor,
        weights: LossWeights,
        pooling: str = "average",
    ) -> None:
        assert all(n.adapter is None for n in backbone.references.values()), "a plain network has no adapters"
        assert not weights.tv, "the plain objective has content and style only"
        self.backbone, self.weights = backbone, weights
        self.pool = F.avg_pool2d if pooling == "average" else F.max_pool2d
        device = content.device
        self.parameters = [(c.weight.contiguous().to(device), c.bias.to(device)) for c in backbone.convs]
        for weight, bias in self.parameters:
            assert not (weight.requires_grad or bias.requires_grad)
        self.centre = torch.tensor(backbone.centre, device=device).view(1, 3, 1, 1)
        with torch.no_grad():
            self.content = {name: f for name, f in self.features(content).items() if name in weights.content_layers}
            self.grams = {name: gram(f) for name, f in self.features(style).items() if name in weights.style_layers}

    def features(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features of the layers that the losses need, up to the deepest of them."""
        wanted, found = set(self.weights.layers), {}
        h = F.pad(x - self.centre, (1, 1, 1, 1), mode="replicate")
        for i, (conv, (weight, bias)) in enumerate(zip(self.backbone.convs, self.parameters, strict=True)):
            if conv.pool:
                h = self.pool(h, 2)
            h = F.conv2d(h, weight, bias, padding=0 if i == 0 else 1).relu_()
            if conv.name in wanted:
                found[conv.name] = h
            if len(found) == len(wanted):
                break
        return found

    def losses(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(total, content, style), each (1,)."""
        f, references = self.features(x), self.backbone.references
        content = style = x.new_zeros(1)
        for name, target in self.content.items():
            content = content + references[name].scale ** 2 * content_loss(f[name], target, layer_stride(name))
        for name, target in self.grams.items():
            loss = style_loss(gram(f[name]), target, references[name].channels)
            style = style + references[name].scale ** 4 * loss / len(self.grams)
        return self.weights.content * content + self.weights.style * style, content, style

    def value_and_gradient(
        self, x: torch.Tensor
    ) -> tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
        """(total, content, style) and the gradient of the total with respect to ``x``."""
        leaf = x.detach().requires_grad_()
        total, content, style = self.losses(leaf)
        (gradient,) = torch.autograd.grad(total.sum(), leaf)
        return (total.detach(), content.detach(), style.detach()), gradient
