"""What the small network is asked for: VGG-19's features, Gram matrices and input gradients on the same pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from distillation.student import Student, cross, gram, objective_taps
from distillation.walkers import Batch, per_picture
from videostyle.losses.content import ContentTarget
from videostyle.losses.formulas import grain, total_variation, total_variation_gradient
from videostyle.losses.gram import SecondOrder, mean_gram
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.style import LEAST_VARIATION, StyleTarget
from videostyle.networks.compact import LAYERS
from videostyle.networks.feature_extractor import Activations, FeatureExtractor

# Weights of each layer's features and Gram differences. At the Caffe scales conv4_1 makes up over nine tenths of the
# style loss at the content, and conv4_2 most of what is left at the end of a run.
FEATURES = {
    "conv1_1": 0.1,
    "conv2_1": 0.2,
    "conv2_2": 0.2,
    "conv3_1": 0.3,
    "conv4_1": 0.6,
    "conv4_2": 1.0,
    "conv5_1": 0.8,  # times 1 / DEEPEST_EVERY
}
GRAMS = {"conv1_1": 0.1, "conv2_1": 0.4, "conv3_1": 0.5, "conv4_1": 1.0, "conv5_1": 0.8}
# A relative error's denominator is never below this share of the whole: late pictures are close to their targets.
FLOOR = 0.03
GRADIENT_SCALES = (1, 2, 4)  # gradients are compared as they are and averaged over cells of 2 and 4 pixels


# This layer makes up a hundred-thousandth of the loss, but a quarter of VGG-19's work: it is looked at now and then.
DEEPEST, DEEPEST_EVERY = "conv5_1", 8

Log = dict[str, torch.Tensor]  # scalars, read by the host only when a line is written


class KeepingExtractor(FeatureExtractor):
    """A FeatureExtractor that keeps the activations of its last forward pass."""

    last: Activations
    wanted: tuple[str, ...] | None = None

    @torch.no_grad()
    def forward(self, x: torch.Tensor, layers=None) -> Activations:
        self.last = super().forward(x, self.wanted if layers is None else layers)
        return self.last


@dataclass
class Teaching:
    """VGG-19's view of a batch: features by layer, statistics of the targets, and the objective's gradient."""

    features: dict[str, torch.Tensor]
    grams: dict[str, torch.Tensor]
    content: dict[str, torch.Tensor]
    style: dict[str, torch.Tensor]
    gradient: torch.Tensor
    loss: torch.Tensor  # (N,), VGG-19's total


@torch.no_grad()
def teach(teacher: KeepingExtractor, batch: Batch, weights: LossWeights, parts: torch.Tensor) -> Teaching:
    """One forward and one backward pass of VGG-19 for all walkers, each with its own targets.

    ``parts`` (N, 2): factors of alpha and beta for each walker.
    """
    content = {n: batch.teacher_content[n] for n in weights.content_layers}
    style = {n: batch.teacher_style[n] for n in weights.style_layers}
    objective = Objective(
        teacher,
        ContentTarget.of(content),
        StyleTarget.of({n: of_gram(g) for n, g in style.items()}, total_variation(batch.style), grain(batch.style)),
        per_picture(weights, parts),
    )
    teacher.wanted = weights.layers  # no deeper than the losses reach
    losses, gradient = objective.value_and_gradient(batch.x)
    teacher.wanted = None
    features = {n: teacher.last[n] for n in LAYERS if n != DEEPEST or DEEPEST in weights.layers}
    grams = {n: mean_gram(features[n]) for n in GRAMS if n in features}
    return Teaching(features, grams, content, style, gradient, losses.total)


def of_gram(gram: torch.Tensor) -> SecondOrder:
    """Statistics for Gatys's loss, which has no use for the mean."""
    return SecondOrder(gram.new_zeros(gram.shape[:2]), gram)


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
    deepest = max(teaching.features)
    outputs = student(batch.x, deepest)
    of_x = student.layers(outputs, LAYERS)
    with torch.no_grad():  # it learns enough about contents from what becomes of them
        of_content = student.layers(student(batch.content, weights.content_layers[-1]), weights.content_layers)
    of_style = student.layers(student(batch.style, deepest), LAYERS)
    grams = {name: gram(of_x[name]) for name in teaching.grams}
    style_grams = {name: gram(of_style[name]) for name in weights.style_layers}

    log: Log = {}
    feature_loss = _feature_loss(student, of_x, teaching.features, log)
    gram_loss = _gram_loss(student, grams, style_grams, teaching, log)
    content_loss = _content_loss(student, of_x, of_content, teaching, weights, log)
    taps = objective_taps(student, of_x, grams, of_content, style_grams, weights, parts)
    share = weights.style / len(weights.style_layers)
    own, styles = (total_variation(x).clamp_min(LEAST_VARIATION) for x in (batch.x, batch.style))
    roughness = (own / styles).log()
    slope = share * (student.smoothness + student.variation * roughness) * parts[:, 1]
    g = student.input_gradient(outputs, taps) + slope.view(-1, 1, 1, 1) * total_variation_gradient(batch.x)
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
    grams: Mapping[str, torch.Tensor],
    style_grams: Mapping[str, torch.Tensor],
    teaching: Teaching,
    log: Log,
) -> torch.Tensor:
    """Gram matrices, and above all their differences from the style's, which the style's gradient is made of."""
    total = torch.zeros((), device=student.centre.device)
    for name in grams:
        share = GRAMS[name]
        a = student.adapters[name]
        theirs = teaching.grams[name]
        power = theirs.square().sum((1, 2))
        own = a @ grams[name] @ a.T
        error = ((own - theirs).square().sum((1, 2)) / power).mean()
        if name in style_grams:
            own_difference = own - a @ style_grams[name] @ a.T
            difference = theirs - teaching.style[name]
            floor = difference.square().sum((1, 2)) + FLOOR * power
            relative = ((own_difference - difference).square().sum((1, 2)) / floor).clamp_max(4).mean()
            log["d" + name[4:]] = relative.detach()
            error = 0.5 * error + relative
        total = total + share * error
    return total


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
