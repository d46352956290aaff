"""Where training starts: not from noise, but from VGG-19's own channels, layer by layer, by least squares.

Each convolution of the small network is fitted, on the small network's own features so far, to those channels of the
corresponding VGG-19 layer from which the layer's other channels can best be told. Errors of one layer are thereby
known to the next, and a few seconds of linear algebra replace the first thousands of steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from distillation.student import Plan, Student
from videostyle.networks.backbone import Backbone, Conv
from videostyle.networks.compact import LAYERS
from videostyle.networks.feature_extractor import Activations, FeatureExtractor

RIDGE = 1e-4


def from_teacher(
    teacher: Backbone,
    plan: Sequence[Plan],
    pictures: torch.Tensor,
    dtype: torch.dtype,
    begun: Mapping[str, Conv] | None = None,
) -> Student:
    """A network of the given plan that imitates ``teacher`` on ``pictures`` (N, 3, H, W) as far as linear fits go.

    ``begun``: convolutions that are taken as they are, by name.
    """
    names = [conv.name for conv in teacher.convs]
    extractor = FeatureExtractor(teacher, ("conv5_1",), pooling="max", dtype=torch.float32)
    activations = extractor.forward(pictures)
    convs: list[Conv] = []
    adapters: dict[str, torch.Tensor] = {}
    h = pictures - extractor.centre.float()
    for i, item in enumerate(plan):
        pool = i > 0 and item.name[4] != plan[i - 1].name[4]
        radius = item.kernel // 2
        h = F.pad(h, (radius,) * 4, mode="replicate") if i == 0 else F.max_pool2d(h, 2) if pool else h
        kept = (begun or {}).get(item.name)
        if kept is not None:
            weight, bias = kept.weight, kept.bias
        elif i == 0:
            weight, bias = _first(teacher.convs[0], activations[item.name], item)
        else:
            weight, bias = _fit(h, _before_relu(teacher, activations, _target(item, plan, i, names), item), item.kernel)
        h = F.relu(F.conv2d(h, weight, bias, padding=radius if i else 0))
        if kept is None:  # unit size for every layer's features: then one learning rate fits all
            size = h.square().mean((0, 2, 3)).sqrt().clamp_min(1e-3 * float(h.square().mean().sqrt()))
            h, weight, bias = h / size.view(1, -1, 1, 1), weight / size.view(-1, 1, 1, 1), bias / size
        convs.append(Conv(item.name, weight, bias, pool))
        if item.name in LAYERS:
            scale = extractor.backbone.references[item.name].scale
            adapters[item.name] = _adapter(h, scale * activations[item.name])
    return Student(Backbone("compact", tuple(convs), {}), adapters, dtype)


def narrowed(backbone: Backbone, plan: Sequence[Plan], pictures: torch.Tensor) -> Backbone:
    """The same with fewer channels in the layers of ``plan``: those from which the others can best be told.

    The next convolution takes what it had from the others, as far as that is linear in the channels that stay, from
    those. Layers with an adapter keep their channels.
    """
    for item in plan:
        names = [conv.name for conv in backbone.convs]
        if item.name not in names[:-1] or item.name in backbone.references:
            raise SystemExit(f"{item.name} cannot be narrowed; those that can: {', '.join(_inner(backbone))}")
        i = names.index(item.name)
        conv, after = backbone.convs[i : i + 2]
        with torch.no_grad():
            features = Student(backbone, {}, torch.float32)(pictures, upto=item.name)[-1]
        features = F.max_pool2d(features, 2) if after.pool else features
        weighed = features * after.weight.square().sum((0, 2, 3)).sqrt().view(1, -1, 1, 1)
        kept = _choose(weighed, item.channels).sort().values
        told, offset = _told(_samples(features).double(), kept)
        weight = torch.einsum("kc,ocyx->okyx", told, after.weight)
        bias = after.bias + torch.einsum("c,ocyx->o", offset, after.weight)
        convs = list(backbone.convs)
        convs[i] = replace(conv, weight=conv.weight[kept], bias=conv.bias[kept])
        convs[i + 1] = replace(after, weight=weight, bias=bias)
        backbone = replace(backbone, convs=tuple(convs))
    return backbone


def _inner(backbone: Backbone) -> list[str]:
    return [conv.name for conv in backbone.convs[:-1] if conv.name not in backbone.references]


def _told(samples: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(positions, c) -> T (kept, c) and t (c,): all channels from some by least squares, those by themselves."""
    known = torch.cat((samples[:, kept], samples.new_ones(len(samples), 1)), 1)
    moments = known.T @ known
    ridge = 1e-6 * moments.diagonal().mean() * torch.eye(len(moments), dtype=moments.dtype)
    told = torch.linalg.solve(moments + ridge, known.T @ samples)
    told[:, kept] = torch.eye(len(told), len(kept), dtype=told.dtype)
    return told[:-1].float(), told[-1].float()


def _target(item: Plan, plan: Sequence[Plan], i: int, names: list[str]) -> str:
    """The VGG-19 layer that a convolution imitates: its namesake, or the block's last where the block ends with it.

    A convolution called 0 comes between two blocks: it imitates the last layer of the block before, pooled.
    """
    if item.name.endswith("_0"):
        return [name for name in names if int(name[4]) == int(item.name[4]) - 1][-1]
    last = i + 1 < len(plan) and plan[i + 1].name[4] != item.name[4]
    block = [name for name in names if name[4] == item.name[4]]
    return block[-1] if last and item.name not in LAYERS else item.name


def _before_relu(teacher: Backbone, activations: Activations, target: str, item: Plan) -> torch.Tensor:
    """The channels of a layer of ``teacher`` that explain the others best, as its ReLU gets them: (N, c, h, w)."""
    i = [conv.name for conv in teacher.convs].index(target)
    conv, before = teacher.convs[i], activations.outputs[i - 1]
    chosen = _choose(activations[target], item.channels)
    before = F.max_pool2d(before, 2) if conv.pool else before
    found = F.conv2d(before, conv.weight[chosen], conv.bias[chosen], padding=1)
    return F.max_pool2d(found, 2) if item.name.endswith("_0") else found


def _samples(features: torch.Tensor, most: int = 40000) -> torch.Tensor:
    """(N, C, h, w) -> (at most ``most`` positions, C)."""
    flat = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    picked = torch.randperm(flat.shape[0], generator=torch.Generator().manual_seed(0))[:most]
    return flat[picked]


def _choose(features: torch.Tensor, count: int) -> torch.Tensor:
    """Channels that explain the others best: greedy, by pivoted Cholesky of their second moments."""
    flat = _samples(features).double()
    moments = flat.T @ flat / flat.shape[0]
    residual = moments.clone()
    chosen: list[int] = []
    for _ in range(min(count, moments.shape[0])):
        power = residual.diagonal().clamp_min(1e-12)
        gain = residual.square().sum(0) / power
        gain[residual.diagonal() < 1e-6 * moments.diagonal().mean()] = 0
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        residual = residual - torch.outer(residual[:, best], residual[best]) / power[best]
    return torch.tensor(chosen)


def _first(conv: Conv, wanted: torch.Tensor, item: Plan) -> tuple[torch.Tensor, torch.Tensor]:
    """VGG-19's own filters, the most telling ones."""
    chosen = _choose(wanted, item.channels)
    return conv.weight[chosen], conv.bias[chosen]


def _fit(h: torch.Tensor, ahead: torch.Tensor, kernel: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Least squares for a convolution of ``h`` that gives ``ahead``; what lies far below zero counts little."""
    n, c, height, width = h.shape
    moments = torch.zeros(c * kernel**2 + 1, c * kernel**2 + 1, dtype=torch.float64)
    cross = torch.zeros(c * kernel**2 + 1, ahead.shape[1], dtype=torch.float64)
    keep = max(1, round(n * height * width / 30000))
    for k in range(n):
        patches = F.unfold(h[k : k + 1], kernel, padding=kernel // 2)[0].T[k % keep :: keep]
        patches = torch.cat((patches, torch.ones(patches.shape[0], 1)), 1)
        values = ahead[k].flatten(1).T[k % keep :: keep].clamp_min(-float(ahead.std()))
        moments += (patches.T @ patches).double()
        cross += (patches.T @ values).double()
    ridge = RIDGE * moments.diagonal().mean()
    solved = torch.linalg.solve(moments + ridge * torch.eye(moments.shape[0], dtype=torch.float64), cross).float()
    return solved[:-1].T.reshape(-1, c, kernel, kernel).contiguous(), solved[-1].contiguous()


def _adapter(h: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """A (C, c) with A h as near to ``wanted`` as can be."""
    own, theirs = _samples(h).double(), _samples(wanted).double()
    moments = own.T @ own
    ridge = RIDGE * moments.diagonal().mean() * torch.eye(moments.shape[0], dtype=torch.float64)
    return torch.linalg.solve(moments + ridge, own.T @ theirs).T.float().contiguous()
