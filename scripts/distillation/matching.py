"""What the small network is asked for: VGG-19's features, Gram matrices and input gradients on the same pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from distillation.student import Student, cross, objective_taps, second_order
from distillation.walkers import Batch, per_picture
from videostyle.losses.content import ContentTarget
from videostyle.losses.formulas import grain
from videostyle.losses.gram import SecondOrder
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.style import StyleTarget
from videostyle.networks.backbone import Backbone
from videostyle.networks.compact import LAYERS
from videostyle.networks.feature_extractor import Activations, FeatureExtractor

# Weights of each layer's features, Gram matrices and means. Every layer has the same share in the style's loss.
FEATURES = {
    "conv1_1": 0.1,
    "conv2_1": 0.3,
    "conv2_2": 0.2,
    "conv3_1": 0.5,
    "conv4_1": 0.8,
    "conv4_2": 1.0,
    "conv5_1": 0.8,
}
STYLES = {"conv1_1": 0.2, "conv2_1": 0.5, "conv3_1": 0.7, "conv4_1": 1.0, "conv5_1": 1.0}
# Directions in which VGG-19's statistics are compared: the eigenvectors of 512 take as long as VGG-19 itself.
MOST_DIRECTIONS = {"conv3_1": 128, "conv4_1": 192, "conv5_1": 128}
# A relative error's denominator is never below this share of the whole: late pictures are close to their targets.
FLOOR = 0.03
GRADIENT_SCALES = (1, 2, 4)  # gradients are compared as they are and averaged over cells of 2 and 4 pixels


Log = dict[str, torch.Tensor]  # scalars, read by the host only when a line is written


class KeepingExtractor(FeatureExtractor):
    """A FeatureExtractor that keeps the activations of its last forward pass."""

    last: Activations

    @torch.no_grad()
    def forward(self, x: torch.Tensor, layers=None) -> Activations:
        self.last = super().forward(x, layers)
        return self.last

    def reference(self, name: str, features: torch.Tensor) -> torch.Tensor:
        """Features in the units of the losses."""
        return features * self.backbone.references[name].scale


def with_directions(teacher: Backbone, pictures: torch.Tensor) -> Backbone:
    """``teacher`` with its statistics in the `MOST_DIRECTIONS` in which ``pictures`` (N, 3, H, W) differ most."""
    found = FeatureExtractor(teacher, MOST_DIRECTIONS, pooling="max").forward(pictures)
    references = dict(teacher.references)
    for name, count in MOST_DIRECTIONS.items():
        moments = SecondOrder.of(found[name]).gram.mean(0).double()
        adapter = torch.linalg.eigh(moments)[1][:, -count:].T.float().contiguous()
        references[name] = replace(references[name], adapter=adapter)
    return replace(teacher, references=references)


@dataclass
class Teaching:
    """VGG-19's view of a batch, in the units of the losses: features by layer, statistics of picture and style, and the
    objective's gradient."""

    features: dict[str, torch.Tensor]
    statistics: dict[str, SecondOrder]
    content: dict[str, torch.Tensor]
    style: dict[str, SecondOrder]
    gradient: torch.Tensor
    loss: torch.Tensor  # (N,), VGG-19's total


@torch.no_grad()
def teach(teacher: KeepingExtractor, batch: Batch, weights: LossWeights, parts: torch.Tensor) -> Teaching:
    """One forward and one backward pass of VGG-19 for all walkers, each with its own targets.

    ``parts`` (N, 2): factors of alpha and beta for each walker.
    """
    objective = Objective(
        teacher,
        ContentTarget.of(batch.teacher_content),
        StyleTarget.of(batch.teacher_style, grain(batch.style)),
        per_picture(weights, parts),
    )
    losses, gradient = objective.value_and_gradient(batch.x)
    features = {n: teacher.reference(n, teacher.last[n]) for n in LAYERS}
    content = {n: teacher.reference(n, f) for n, f in batch.teacher_content.items()}
    scales = {n: teacher.backbone.references[n].scale for n in STYLES}
    style = {
        n: SecondOrder(s * batch.teacher_style[n].mean, s**2 * batch.teacher_style[n].gram) for n, s in scales.items()
    }
    return Teaching(features, {n: SecondOrder.of(features[n]) for n in STYLES}, content, style, gradient, losses.total)


@dataclass
class Match:
    """The terms of the training loss, and what is worth a line in the log."""

    features: torch.Tensor
    grams: torch.Tensor
    content: torch.Tensor
    gradient: torch.Tensor
    log: Log
    input_gradient: torch.Tensor  # the small network's, detached


def match(student: Student, batch: Batch, teaching: Teaching, weights: LossWeights, parts: torch.Tensor) -> Match:
    """The small network on the same batch, its reference features compared with VGG-19's."""
    outputs, maxima = student(batch.x), student.maxima
    of_x = student.layers(outputs, LAYERS)
    with torch.no_grad():  # it learns enough about contents from what becomes of them
        of_content = student.layers(student(batch.content, weights.content_layers[-1]), weights.content_layers)
    of_style = student.layers(student(batch.style), LAYERS)
    statistics, of_styles = ({n: second_order(of[n]) for n in STYLES} for of in (of_x, of_style))

    log: Log = {}
    feature_loss = _feature_loss(student, of_x, teaching.features, log)
    gram_loss = _gram_loss(student, statistics, of_styles, teaching, log)
    content_loss = _content_loss(student, of_x, of_content, teaching, weights, log)
    constants = {n: SecondOrder(of.mean.detach(), of.gram.detach()) for n, of in of_styles.items()}
    taps = objective_taps(student, of_x, of_content, constants, weights, parts)
    g = student.input_gradient(outputs, maxima, taps)
    gradient_loss = _gradient_loss(g, teaching.gradient, log)
    return Match(feature_loss, gram_loss, content_loss, gradient_loss, log, g.detach())


def _feature_loss(
    student: Student, own: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor], log: Log
) -> torch.Tensor:
    """sum_l w_l |A F - F_t|^2 / |F_t|^2, from second moments: A F itself is never formed."""
    total = torch.zeros((), device=student.centre.device)
    for name in theirs:
        share = FEATURES[name]
        a = student.adapters[name]
        power = _power(theirs[name])
        own_moments, moments = cross(own[name], own[name]), cross(own[name], theirs[name])
        error = (((a.T @ a) * own_moments).sum() - 2 * (a.T * moments).sum()) / power + 1
        log["f" + name[4:]] = error.detach()
        total = total + share * error
    return total


def _power(features: torch.Tensor) -> torch.Tensor:
    """Mean over positions of |F|^2."""
    norm = torch.linalg.vector_norm(features, dtype=torch.float32)
    return norm.square() / (features.shape[0] * features.shape[2] * features.shape[3])


def _gram_loss(
    student: Student,
    statistics: Mapping[str, SecondOrder],
    styles: Mapping[str, SecondOrder],
    teaching: Teaching,
    log: Log,
) -> torch.Tensor:
    """Gram matrices, means, and above all their differences from the style's, which the style's gradient is made of."""
    total = torch.zeros((), device=student.centre.device)
    for name, share in STYLES.items():
        a = student.adapters[name]
        theirs, wanted = teaching.statistics[name], teaching.style[name]
        grams = _relative(a @ statistics[name].gram @ a.T, theirs.gram, a @ styles[name].gram @ a.T, wanted.gram)
        means = _relative(statistics[name].mean @ a.T, theirs.mean, styles[name].mean @ a.T, wanted.mean)
        log["d" + name[4:]], log["m" + name[4:]] = grams[1].detach(), means[1].detach()
        total = total + share * (0.5 * grams[0] + grams[1] + 0.5 * means[1])
    return total


def _relative(
    own: torch.Tensor, theirs: torch.Tensor, own_style: torch.Tensor, wanted: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """|own - theirs|^2 relative, and that of the differences from the style's."""

    def square(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).square().sum(1)

    power = square(theirs)
    difference = theirs - wanted
    apart = square(own - own_style - difference) / (square(difference) + FLOOR * power)
    return (square(own - theirs) / power).mean(), apart.clamp_max(4).mean()


def _content_loss(
    student: Student,
    own: Mapping[str, torch.Tensor],
    own_content: Mapping[str, torch.Tensor],
    teaching: Teaching,
    weights: LossWeights,
    log: Log,
) -> torch.Tensor:
    """|A (F - P) - (F_t - P_t)|^2 relative: the content's gradient is made of these differences."""
    total = torch.zeros((), device=student.centre.device)
    for name in weights.content_layers:
        a = student.adapters[name]
        theirs = teaching.features[name] - teaching.content[name]
        difference = own[name] - own_content[name]
        constant = _power(theirs)
        power = constant + FLOOR * _power(teaching.features[name])
        own_moments, moments = cross(difference, difference), cross(difference, theirs)
        error = (((a.T @ a) * own_moments).sum() - 2 * (a.T * moments).sum() + constant) / power
        log["c" + name[4:]] = error.detach()
        total = total + error
    return total


def _gradient_loss(own: torch.Tensor, theirs: torch.Tensor, log: Log) -> torch.Tensor:
    """|g - g_t|^2 / (|g|^2 + |g_t|^2) at several scales, between 0 and 2; the cosines go into the log.

    A cosine's own gradient is 1 / |g|: it would listen above all to pictures where the small network sees nothing left
    to do, and there to noise. This ratio asks for the same direction and length, and is tame where g vanishes.
    """
    total = torch.zeros((), device=own.device)
    for scale in GRADIENT_SCALES:
        a = F.avg_pool2d(own, scale).flatten(1) if scale > 1 else own.flatten(1)
        b = F.avg_pool2d(theirs, scale).flatten(1) if scale > 1 else theirs.flatten(1)
        unit = b.norm(dim=1, keepdim=True).clamp_min(1e-20)
        a, b = a / unit, b / unit
        relative = (a - b).square().sum(1) / (a.square().sum(1) + b.square().sum(1))
        log[f"cos/{scale}"] = F.cosine_similarity(a.detach(), b, dim=1, eps=1e-20).mean()
        log[f"g/{scale}"] = relative.detach().mean()
        total = total + relative.mean() / len(GRADIENT_SCALES)
    norms = own.detach().flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1).clamp_min(1e-20)
    log["ratio"] = norms.clamp_min(1e-6).log().mean().exp()
    return total
