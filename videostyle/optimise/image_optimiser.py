"""Optimising the frames of one size."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import Losses, LossWeights, Objective
from videostyle.losses.pixel_losses import GrainPrior
from videostyle.losses.style import Styles, StyleTarget, areas_of, grain_of
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.optimise.adam import Adam
from videostyle.optimise.cuda_graph import CudaGraphs, ReplayedRunner, record_graph
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.lbfgs import LBFGS, History
from videostyle.optimise.loop import CONTENT, REGION, STYLE, TOTAL, WITHOUT_PRIORS, LoopRunner, OptimiserLoop, Stepper
from videostyle.optimise.outcome import OptimisedImage
from videostyle.optimise.stopping import has_settled, target_loss
from videostyle.settings import Settings

# Evaluations between two checks of the losses on a GPU; a check waits for the device.
CHECK_EVERY_ON_GPU = 4
OnEvaluation = Callable[[int, float], None]  # evaluation within the frame from 1, its loss
OnPicture = Callable[[torch.Tensor], None]  # the best picture so far, (1, 3, H, W); only to be looked at


class ImageOptimiser:
    """Optimises frame after frame of one size. ``style``: one style's statistics at this size, or the areas that have
    one each. ``graphs``: of another optimiser of this size, to be used by both.

    It keeps nothing of a shot, which comes with each `FrameTask`.
    """

    def __init__(
        self, extractor: FeatureExtractor, style: Styles, settings: Settings, graphs: CudaGraphs | None = None
    ) -> None:
        self.extractor, self.areas, self.settings = extractor, areas_of(style), settings
        self.weights = loss_weights(settings)
        on_gpu = extractor.device.type == "cuda"
        self.graphs = graphs or (cuda_graphs() if on_gpu else None)
        self.check_every = CHECK_EVERY_ON_GPU if on_gpu else 1

    def anchored(self, picture: torch.Tensor, anchor_gain: float) -> tuple[StyleTarget, ...]:
        """The styles of all areas, anchored at what ``picture`` (1, 3, H, W) has of them there."""
        return tuple(area.anchored_at(self.extractor, picture, anchor_gain) for area in self.areas)

    def run(
        self,
        content: torch.Tensor,
        task: FrameTask,
        on_evaluation: OnEvaluation | None = None,
        on_picture: OnPicture | None = None,
    ) -> tuple[OptimisedImage, History | None]:
        """Optimise the frame ``content`` (1, 3, H, W) float32 in [0, 1]; the history to carry on is None with Adam.

        An iteration is one evaluation of value and gradient. Every iterate is projected onto [0, 1]. The iterate with
        the lowest loss is kept: without a line search the last one may be worse.
        """
        began = time.perf_counter()
        objective, content_image_loss = self.objective(content, task)
        target = None if task.target is None else target_loss(task.target, content_image_loss)
        # An empty mask leaves the picture as it is: one evaluation gives its losses.
        nothing_to_do = task.update_mask is not None and not bool(task.update_mask.any())
        most = self._most(task)
        ceiling = 1 if nothing_to_do else most
        runner = self.runner(objective, task)
        done, snapshot = False, None
        while not done and runner.taken < ceiling:
            before, at = runner.taken, task.snapshot_at
            pause = at if at is not None and before < at < ceiling else ceiling
            runner.advance(min(self.check_every, pause - before))
            if runner.taken == at:
                snapshot = runner.loop.best_image.clone()
            log = runner.loop.loss_log[: runner.taken].cpu()
            for evaluation in range(before, runner.taken) if on_evaluation else ():
                on_evaluation(evaluation + 1, log[evaluation, TOTAL].item())  # type: ignore[misc]
            if on_picture is not None:
                on_picture(runner.loop.best_image)
            done = self._is_done(log, task.min_evaluations or min(most, self.settings.iterations_floor), target)
        best = log[runner.loop.best.item()]
        losses = Losses(*(best[i : i + 1].clone() for i in (TOTAL, CONTENT, STYLE, WITHOUT_PRIORS, REGION)))
        pixels, curve = runner.loop.best_image.clone(), log[:, :WITHOUT_PRIORS].float().clone()
        snapshot = pixels if snapshot is None else snapshot
        seconds = time.perf_counter() - began
        image = OptimisedImage(pixels, losses, runner.taken, seconds, curve, content_image_loss, snapshot)
        return image, runner.history()

    def losses(self, content: torch.Tensor, pixels: torch.Tensor) -> Losses:
        """The losses of ``pixels`` as a picture of ``content``, both (1, 3, H, W) in [0, 1]."""
        target = ContentTarget(self.extractor, content, self.weights.content_layers)
        return Objective(self.extractor, target, self.areas, self.weights).value(pixels.to(self.extractor.device))

    def _is_done(self, log: torch.Tensor, fewest: int, target: float | None) -> bool:
        """Whether the frame has settled or reached its ``target``; a tolerance of 0 never stops it early."""
        tolerance = self.settings.tolerance
        if tolerance == 0 or len(log) < fewest:
            return False
        if target is not None and log[-1, WITHOUT_PRIORS].item() <= target:
            return True
        return has_settled(log[:, TOTAL] - log[:, REGION], tolerance)  # a region is finished in later frames

    def objective(self, content: torch.Tensor, task: FrameTask) -> tuple[Objective, float]:
        """A frame's objective and the content's own loss by it, from one forward pass of a content in one tile."""
        activations = self.extractor.forward_whole(content)
        target = ContentTarget(self.extractor, content, self.weights.content_layers, activations)
        styles = task.styles or [area.target for area in self.areas]
        areas = [replace(area, target=style) for area, style in zip(self.areas, styles, strict=True)]
        weight = self.settings.grain_weight * style_weight(self.settings)
        priors = (*task.priors, GrainPrior(weight, grain_of(areas))) if weight else task.priors
        objective = Objective(self.extractor, target, areas, self.weights, priors, task.repair_mask)
        return objective, objective.value(content.to(self.extractor.device), activations).without_priors.item()

    def _most(self, task: FrameTask) -> int:
        """Evaluations of a frame, at most."""
        return min(self.settings.iterations, task.max_evaluations or self.settings.iterations)

    def runner(self, objective: Objective, task: FrameTask) -> LoopRunner:
        """The runner for one frame: CUDA graphs on a GPU, except for Adam, whose step count is not on the device."""
        start = task.start.to(self.extractor.device)
        stepper = self.stepper(task)
        loop = OptimiserLoop(objective, stepper, start, task.update_mask, self._most(task))
        if self.graphs is None or not isinstance(stepper, LBFGS):
            return LoopRunner(loop)
        return ReplayedRunner(loop, self.graphs)

    def stepper(self, task: FrameTask) -> Stepper:
        """A new optimiser for a frame."""
        if self.settings.optimizer == "adam":
            return Adam(self.settings.learning_rate)
        if task.history is not None:
            return LBFGS(task.history)
        pairs = max(1, min(self.settings.history_size, self._most(task) - 2))  # the first of its steps has none yet
        return LBFGS(History.empty(pairs, (task.start.shape[2], task.start.shape[3]), self.extractor.device))


def cuda_graphs() -> CudaGraphs:
    """Up to six graphs share one pool, for none reads another's temporaries: results are in the loop's own buffers."""
    return CudaGraphs(partial(record_graph, pool=torch.cuda.graph_pool_handle()))


def loss_weights(settings: Settings) -> LossWeights:
    """alpha, beta, tv and layers from the settings."""
    return LossWeights(
        content=settings.content_weight,
        style=style_weight(settings),
        tv=settings.tv_weight,
        content_layers=settings.content_layers,
        style_layers=settings.style_layers,
        statistic=settings.statistic,
    )


def style_weight(settings: Settings) -> float:
    """beta."""
    return settings.style_weight * strength_factor(settings.strength)


def strength_factor(strength: float) -> float:
    """The factor of beta for ``strength`` in [0, 1]: 1/100 at 0, 1 at 0.5, 100 at 1."""
    return 100.0 ** (2 * strength - 1)
