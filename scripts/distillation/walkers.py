"""The pictures that training is about: those an optimiser visits, on its way from a content towards a style.

Each walker is one such optimisation in progress. A training step looks at a handful of walkers, computes both networks'
gradients there (which training needs anyhow), and each walker takes one step of L-BFGS with one of them. So the network
always trains on pictures that it leads optimisers to now, at every stage, and on VGG-19's own path beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from distillation.pictures import Pictures, crop, perturbed
from videostyle.optimise.lbfgs import LBFGS, History
from videostyle.perception.objective import ContentTarget, LossWeights, Objective, StyleTarget, mean_gram
from videostyle.perception.trunk import Trunk

HISTORY = 8
# A walker that follows the small network goes on by itself between two looks at it: its own evaluations are cheap.
STRIDE = 4
LONGEST_LIFE, LONGEST_TEACHERS_LIFE = 130, 40  # evaluations
# Shares of starts from the content, the perturbed content, noise, and another walker's finished picture.
STARTS = (0.5, 0.2, 0.15, 0.15)
STUDENTS_SHARE = 0.65  # walkers that follow the small network; the others follow VGG-19


@dataclass
class Walker:
    """One optimisation: its pictures (1, 3, H, W), VGG-19's statistics of its targets, and where it is."""

    content: torch.Tensor
    style: torch.Tensor
    x: torch.Tensor
    teacher_content: dict[str, torch.Tensor]
    teacher_style: dict[str, torch.Tensor]
    beta: float  # relative to the product's
    follows_student: bool
    life: int
    lbfgs: LBFGS
    age: int = 0
    first_loss: float | None = None  # VGG-19's, where the walk began

    def step(self, gradient: torch.Tensor) -> None:
        """One evaluation further, on [0, 1] like the product's own optimiser."""
        self.age += 1
        self.x = self.lbfgs.step(self.x, gradient).clamp(0, 1)

    def run(self, pupil: Trunk, weights: LossWeights, evaluations: int) -> None:
        """Some evaluations further by the small network alone."""
        parts = LossWeights(
            weights.content, weights.style * self.beta, 0.0, weights.content_layers, weights.style_layers
        )
        objective = Objective(
            pupil,
            ContentTarget(pupil, self.content, weights.content_layers),
            StyleTarget(pupil, self.style, weights.style_layers),
            parts,
        )
        for _ in range(evaluations):
            self.step(objective.value_and_gradient(self.x.to(pupil.device))[1].cpu())

    @property
    def done(self) -> bool:
        return self.age >= self.life


class Walkers:
    """A crowd of walkers of one picture size; finished ones are replaced by new ones."""

    def __init__(
        self,
        count: int,
        side: int,
        pictures: Pictures,
        teacher: Trunk,
        weights: LossWeights,
        draw_style: Callable[[np.random.Generator], np.ndarray],
        rng: np.random.Generator,
        pupil: Trunk,
    ) -> None:
        self.side, self.pictures, self.teacher, self.weights = side, pictures, teacher, weights
        self.pupil = pupil  # the small network as it is now, or was a few steps ago
        self.draw_style, self.rng = draw_style, rng
        self.crowd: list[Walker] = []
        for _ in range(count):
            walker = self._new()
            if walker.follows_student:  # so that ages differ from the first round on
                walker.run(pupil, weights, int(walker.life * rng.random()))
            self.crowd.append(walker)

    def draw(self, count: int) -> list[int]:
        """Indices of some walkers, the finished ones among them replaced first."""
        picked = self.rng.choice(len(self.crowd), count, replace=False).tolist()
        for i in picked:
            if self.crowd[i].done:
                self.crowd[i] = self._new()
        return picked

    def _new(self) -> Walker:
        rng, weights = self.rng, self.weights
        content = crop(self.pictures.any(rng), self.side, rng)
        style = crop(self.draw_style(rng), self.side, rng)
        kind = rng.choice(4, p=STARTS)
        x = content
        if kind == 1:
            x = perturbed(content, rng).clamp(0, 1)
        elif kind == 2:
            x = torch.from_numpy(rng.uniform(0, 1, content.shape)).float()
        elif kind == 3 and self.crowd:
            x = self.crowd[rng.integers(len(self.crowd))].x
        follows_student = bool(rng.random() < STUDENTS_SHARE)
        longest = LONGEST_LIFE if follows_student else LONGEST_TEACHERS_LIFE
        of_content = self.teacher.forward(content, weights.content_layers)
        of_style = self.teacher.forward(style, weights.style_layers)
        return Walker(
            content=content,
            style=style,
            x=x,
            teacher_content={name: of_content[name] for name in weights.content_layers},
            teacher_style={name: mean_gram(of_style[name]) for name in weights.style_layers},
            beta=float(2 ** rng.uniform(-2, 2)),
            follows_student=follows_student,
            life=int(np.exp(rng.uniform(np.log(8), np.log(longest)))),
            lbfgs=LBFGS(History.empty(HISTORY, (self.side, self.side))),
        )
