"""The pictures that training is about: those an optimiser visits, on its way from a content towards a style.

Each walker is one such optimisation in progress. A training step looks at some of them, computes both networks'
gradients there (which training needs anyhow), and each takes one step of L-BFGS with one of them. So the network
always trains on pictures that it leads optimisers to now, at every stage, and on VGG-19's own path beside it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from distillation.crowd import LBFGSCrowd
from distillation.pictures import Pictures, crop, perturbed
from videostyle.losses.content import ContentTarget
from videostyle.losses.formulas import grain
from videostyle.losses.gram import SecondOrder
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.pixel_losses import GrainPrior
from videostyle.losses.style import LEAST_GRAIN, StyleTarget
from videostyle.networks.convolution import CHANNELS_LAST
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.stylise.palette import Moments, colour_map

HISTORY = 8
# A walker that follows the small network goes on by itself between two looks at it: its own evaluations are cheap.
STRIDE = 4
LONGEST_LIFE, LONGEST_TEACHERS_LIFE = 130, 40  # evaluations
# Shares of starts from the content in the style's colours, the perturbed content, noise, and another walker's finished
# picture.
STARTS = (0.5, 0.2, 0.15, 0.15)
STUDENTS_SHARE = 0.65  # walkers that follow the small network; the others follow VGG-19

# A new walk: content, style and (None: another walker's picture) start, each (1, 3, H, W) on the CPU.
Walk = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]


def per_picture(weights: LossWeights, parts: torch.Tensor) -> LossWeights:
    """Another alpha and beta for each picture of the batch: ``parts`` (N, 2) multiplies them."""
    return replace(weights, content=weights.content * parts[:, 0], style=weights.style * parts[:, 1])


@dataclass
class Batch:
    """Some walkers: pictures (N, 3, H, W), VGG-19's statistics of their targets, and beta relative to the product's."""

    content: torch.Tensor
    style: torch.Tensor
    x: torch.Tensor
    teacher_content: dict[str, torch.Tensor]
    teacher_style: dict[str, SecondOrder]
    beta: torch.Tensor  # (N,)

    @property
    def parts(self) -> torch.Tensor:
        """(N, 2) factors of alpha and beta."""
        return torch.stack((torch.ones_like(self.beta), self.beta), 1)


def walks(
    pictures: Pictures, draw_style: Callable[[np.random.Generator], np.ndarray], side: int, rng: np.random.Generator
) -> Iterator[Walk]:
    """New walks for ever."""
    while True:
        content = crop(pictures.any(rng), side, rng)
        style = crop(draw_style(rng), side, rng)
        kind = rng.choice(4, p=STARTS)
        start: torch.Tensor | None = colour_map(Moments.of([content], [1.0]), Moments.of([style], [1.0]))(content)
        if kind == 1:
            start = perturbed(content, rng).clamp(0, 1)
        elif kind == 2:
            start = torch.from_numpy(rng.uniform(0, 1, content.shape)).float()
        elif kind == 3:
            start = None
        yield content, style, start


class Walkers:
    """A crowd of walkers of one picture size, in a few tensors; finished ones are replaced by new ones.

    ``source``: where new walks come from. ``pupil``: the small network as it is now, or was a few steps ago.
    ``grain_weight``: of the loss on grain, which has a part in where they go.
    """

    def __init__(
        self,
        count: int,
        side: int,
        source: Iterable[Walk],
        teacher: FeatureExtractor,
        weights: LossWeights,
        grain_weight: float,
        rng: np.random.Generator,
        pupil: FeatureExtractor,
    ) -> None:
        self.grain_weight = grain_weight
        self.source, self.teacher, self.weights, self.rng, self.pupil = iter(source), teacher, weights, rng, pupil
        device = teacher.device
        self.content, self.style, self.x = torch.zeros(3, count, 3, side, side, device=device)
        self.teacher_content: dict[str, torch.Tensor] = {}
        self.teacher_style: dict[str, SecondOrder] = {}
        self.beta = torch.ones(count, device=device)
        self.crowd = LBFGSCrowd(count, HISTORY, 3 * side * side, device)
        self.age, self.life = np.zeros(count, int), np.zeros(count, int)
        self.follows_student = np.zeros(count, bool)
        self.first_loss = torch.full((count,), torch.nan, device=device)  # VGG-19's, where the walk began
        everybody = np.arange(count)
        self._begin(everybody)
        ages = (self.life * rng.random(count)).astype(int) * self.follows_student  # they differ from the first round on
        for age in range(0, LONGEST_LIFE, STRIDE):
            self.run(everybody, ages > age)

    def draw(self, count: int) -> np.ndarray:
        """Numbers of some walkers, the finished ones among them replaced first."""
        picked = self.rng.choice(len(self.age), count, replace=False)
        self._begin(picked[self.age[picked] >= self.life[picked]])
        return picked

    def batch(self, picked: np.ndarray) -> Batch:
        rows = self._rows(picked)
        return Batch(
            self.content[rows],
            self.style[rows],
            self.x[rows],
            {name: f[rows].contiguous(memory_format=CHANNELS_LAST) for name, f in self.teacher_content.items()},
            {name: SecondOrder(of.mean[rows], of.gram[rows]) for name, of in self.teacher_style.items()},
            self.beta[rows],
        )

    def step(self, picked: np.ndarray, gradients: torch.Tensor) -> None:
        """One evaluation further, on [0, 1] like the product's own optimiser, by the gradients of its features."""
        rows = self._rows(picked)
        gradients = gradients.clone()
        GrainPrior(self.grain_weight, grain(self.style[rows]).clamp_min(LEAST_GRAIN)).add_gradient(
            self.x[rows], gradients
        )
        self.x[rows] = self.crowd.step(rows, self.x[rows], gradients).clamp(0, 1)
        self.age[picked] += 1

    def run(self, picked: np.ndarray, who: np.ndarray) -> None:
        """Some evaluations further by the small network alone, those of ``picked`` that the mask ``who`` shows.

        The others are looked at with them: libraries choose their kernels anew for every number of pictures.
        """
        rows = self._rows(picked)
        beta = self.beta[rows]
        objective = Objective(
            self.pupil,
            ContentTarget(self.pupil, self.content[rows], self.weights.content_layers),
            StyleTarget(self.pupil, self.style[rows], self.weights.style_layers),
            per_picture(self.weights, torch.stack((torch.ones_like(beta), beta), 1)),
        )
        for _ in range(STRIDE):
            gradients = objective.value_and_gradient(self.x[rows])[1]
            self.step(picked[who], gradients[self._rows(np.flatnonzero(who))])

    def fallen(self, picked: np.ndarray, losses: torch.Tensor) -> dict[str, torch.Tensor]:
        """How far VGG-19's ``losses`` (N,) have fallen on a long way, by whose gradient it followed."""
        young = torch.from_numpy(self.age[picked] == 0).to(losses.device)
        rows = self._rows(picked)
        self.first_loss[rows] = torch.where(young, losses, self.first_loss[rows])
        ratios, long = losses / self.first_loss[rows], self.age[picked] >= 30
        ways = {
            "fall, student's way": self.follows_student[picked],
            "fall, VGG-19's way": ~self.follows_student[picked],
        }
        found = {way: self._rows(np.flatnonzero(long & who)) for way, who in ways.items()}
        return {way: ratios[where].nanmedian() for way, where in found.items() if len(where)}

    def _rows(self, picked: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(picked).to(self.teacher.device, non_blocking=True)

    def _begin(self, picked: np.ndarray) -> None:
        if not len(picked):
            return
        rng, rows = self.rng, self._rows(picked)
        new = [next(self.source) for _ in picked]
        others = self.x[self._rows(rng.integers(len(self.age), size=len(picked)))]
        self.content[rows] = torch.cat([walk[0] for walk in new]).to(self.x.device)
        self.style[rows] = torch.cat([walk[1] for walk in new]).to(self.x.device)
        begun = torch.tensor([walk[2] is not None for walk in new])
        starts = torch.cat([walk[0] if walk[2] is None else walk[2] for walk in new]).to(self.x.device)
        older = torch.from_numpy(self.age[picked] > 0) & ~begun
        self.x[rows] = torch.where(older.to(self.x.device).view(-1, 1, 1, 1), others, starts)
        self._look(rows)
        self.beta[rows] = torch.from_numpy(2 ** rng.uniform(-2, 2, len(picked))).to(self.beta)
        self.crowd.restart(rows)
        self.first_loss[rows] = torch.nan
        self.follows_student[picked] = follows = rng.random(len(picked)) < STUDENTS_SHARE
        longest = np.where(follows, LONGEST_LIFE, LONGEST_TEACHERS_LIFE)
        self.life[picked] = np.exp(rng.uniform(np.log(8), np.log(longest))).astype(int)
        self.age[picked] = 0

    def _look(self, rows: torch.Tensor, at_once: int = 32) -> None:
        """VGG-19's statistics of the targets, computed once."""
        for some in rows.split(at_once):
            of_content = self.teacher.forward(self.content[some], self.weights.content_layers)
            for name in self.weights.content_layers:
                _put(self.teacher_content, name, len(self.age), some, of_content[name])
            of_style = self.teacher.forward(self.style[some], self.weights.style_layers)
            for name in self.weights.style_layers:
                found = SecondOrder.of(of_style[name])
                if name not in self.teacher_style:
                    c = found.mean.shape[1]
                    empty = found.gram.new_zeros(len(self.age), c, c)
                    self.teacher_style[name] = SecondOrder(empty[:, 0].clone(), empty)
                for store, values in zip(self.teacher_style[name].tensors(), found.tensors(), strict=True):
                    store[some] = values


def _put(store: dict[str, torch.Tensor], name: str, count: int, rows: torch.Tensor, values: torch.Tensor) -> None:
    if name not in store:
        store[name] = values.new_zeros(count, *values.shape[1:])
    store[name][rows] = values
