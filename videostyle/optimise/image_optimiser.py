"""Optimising the frames of one size: what is made once per size lives here, what belongs to a frame is passed in."""

import time
from collections.abc import Callable
from functools import partial

import torch

from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import Losses, LossWeights, Objective
from videostyle.losses.pixel import Prior
from videostyle.losses.style import StyleTarget
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.optimise.adam import Adam
from videostyle.optimise.cuda_graph import CudaGraphs, ReplayedRunner, record_graph
from videostyle.optimise.descent import CONTENT, REGION, STYLE, TOTAL, WITHOUT_PRIORS, LoopRunner, OptimiserLoop
from videostyle.optimise.lbfgs import LBFGS, History
from videostyle.optimise.outcome import OptimisedImage
from videostyle.optimise.stopping import WINDOW, target_loss
from videostyle.settings import Settings

# Evaluations between two looks at the losses on a GPU, which would wait for the host at every look.
CHECK_EVERY_ON_GPU = 4


class ImageOptimiser:
    """Optimises frame after frame of one size; lives as long as that size does.

    ``extractor``: the network, ready for its device. ``style``: the style's statistics at this size. ``settings``:
    min_evaluations, ceiling, tolerance and optimiser. Nothing of a shot is kept here: start, priors and history come
    with each frame.
    """

    def __init__(self, extractor: FeatureExtractor, style: StyleTarget, settings: Settings) -> None:
        self.extractor, self.style, self.settings = extractor, style, settings
        self.weights = loss_weights(settings)
        on_gpu = extractor.device.type == "cuda"
        self._recordings = _graphs() if on_gpu else None
        self.check_every = CHECK_EVERY_ON_GPU if on_gpu else 1

    def run(
        self,
        content: torch.Tensor,
        start: torch.Tensor,
        priors: tuple[Prior, ...] = (),
        history: History | None = None,
        on_evaluation: Callable[[int, float], None] | None = None,
        update_mask: torch.Tensor | None = None,
        target: float | None = None,
        min_evaluations: int | None = None,
        style: StyleTarget | None = None,
        repair_mask: torch.Tensor | None = None,
        snapshot_at: int | None = None,
    ) -> tuple[OptimisedImage, History | None]:
        """Optimise one frame: ``content`` and ``start`` are (1, 3, H, W) float32 in [0, 1].

        ``history``: where L-BFGS goes on from (already warped); None starts afresh. Returns the outcome and the history
        to carry on (None with Adam). One iteration is one evaluation of value and gradient; ``on_evaluation(evaluation,
        loss)`` is called after each. ``update_mask``: (1, 1, H, W), 0 where the start is to stay as it is. ``target``:
        a loss without priors that is low enough (``normalised_loss``): it ends the frame once the min_evaluations is
        reached. ``min_evaluations``: the fewest evaluations, if not ``min_iterations``. ``style``: as this shot has it,
        if not as it is. ``repair_mask``: (1, 1, H, W), pixels that are to have the style by themselves.
        ``snapshot_at``: the evaluation after which the picture is noted as ``OptimisedImage.snapshot``.

        Every iterate is projected onto [0, 1]. Optimised freely and clamped at the end, the picture that is kept has a
        4 to 10 % higher loss, which costs L-BFGS about half of its evaluations; projected, it falls as fast as free.
        The iterate with the lowest loss is kept: there is no line search, and the last step may have been a bad one.
        """
        began = time.perf_counter()
        objective, content_image_loss = self._objective(content, priors, style or self.style, repair_mask)
        target = None if target is None else target_loss(target, content_image_loss)
        # Where everything is to stay as it is, one look tells what it costs.
        ceiling = self.settings.iterations if update_mask is None or bool(update_mask.any()) else 1
        steps = self._steps(objective, start.to(self.extractor.device), update_mask, history)
        done, snapshot = False, None
        while not done and steps.taken < ceiling:
            before = steps.taken
            pause = snapshot_at if snapshot_at is not None and before < snapshot_at < ceiling else ceiling
            steps.advance(min(self.check_every, pause - before))
            if steps.taken == snapshot_at:
                snapshot = steps.descent.best_image.clone()
            loss_log = steps.descent.loss_log[: steps.taken].cpu()
            if on_evaluation:
                for evaluation in range(before, steps.taken):
                    on_evaluation(evaluation + 1, loss_log[evaluation, TOTAL].item())
            whole = loss_log[:, TOTAL] - loss_log[:, REGION]  # a part goes on in the next frame
            done = self._settled(whole, min_evaluations) or self._reached(
                target, min_evaluations, steps.taken, loss_log[-1, WITHOUT_PRIORS].item()
            )
        best = loss_log[steps.descent.best.item()]
        losses = Losses(*(best[i : i + 1].clone() for i in (TOTAL, CONTENT, STYLE, WITHOUT_PRIORS, REGION)))
        pixels, curve = steps.descent.best_image.clone(), loss_log[:, :WITHOUT_PRIORS].float().clone()
        snapshot = pixels if snapshot is None else snapshot
        seconds = time.perf_counter() - began
        return OptimisedImage(
            pixels, losses, steps.taken, seconds, curve, content_image_loss, snapshot
        ), steps.history()

    def _objective(
        self, content: torch.Tensor, priors: tuple[Prior, ...], style: StyleTarget, repair_mask: torch.Tensor | None
    ) -> tuple[Objective, float]:
        """What is minimised for one frame and what the content itself costs by it, from one look at the content."""
        seen = self.extractor.forward(content)
        target = ContentTarget.of({name: seen[name] for name in self.weights.content_layers})
        objective = Objective(self.extractor, target, style, self.weights, priors, repair_mask)
        return objective, objective.value(content.to(self.extractor.device), seen).without_priors.item()

    def _steps(
        self, objective: Objective, start: torch.Tensor, update_mask: torch.Tensor | None, history: History | None
    ) -> LoopRunner:
        """The loop for one frame: recorded where there are recordings and the optimiser's steps are of tensors only."""
        descent = OptimiserLoop(objective, self._stepper(start, history), start, update_mask, self.settings.iterations)
        if self._recordings is None or not isinstance(descent.stepper, LBFGS):
            return LoopRunner(descent)
        return ReplayedRunner(descent, self._recordings)

    def losses(self, content: torch.Tensor, pixels: torch.Tensor) -> Losses:
        """What ``pixels`` cost as a picture of ``content``, both (1, 3, H, W) in [0, 1]."""
        target = ContentTarget(self.extractor, content, self.weights.content_layers)
        return Objective(self.extractor, target, self.style, self.weights).value(pixels.to(self.extractor.device))

    def _stepper(self, start: torch.Tensor, history: History | None) -> LBFGS | Adam:
        if self.settings.optimizer == "adam":
            return Adam(self.settings.learning_rate)
        shape = (start.shape[2], start.shape[3])
        return LBFGS(history or History.empty(self.settings.history_size, shape, self.extractor.device))

    def _settled(self, totals: torch.Tensor, min_evaluations: int | None) -> bool:
        """Whether the loss changes by less than ``tolerance`` per evaluation; after a bad step it has not settled."""
        done, s = len(totals), self.settings
        if s.tolerance == 0 or done < max(min_evaluations or s.min_iterations, WINDOW + 1):
            return False
        lowest, highest = (t.item() for t in totals[-1 - WINDOW :].aminmax())
        return highest - lowest < s.tolerance * WINDOW * lowest

    def _reached(self, target: float | None, min_evaluations: int | None, done: int, without_priors: float) -> bool:
        """Whether the picture's own loss is at or below ``target``, after the fewest evaluations allowed."""
        s = self.settings
        if target is None or s.tolerance == 0 or done < (min_evaluations or s.min_iterations):
            return False
        return without_priors <= target


def _graphs() -> CudaGraphs:
    """CUDA graphs that share memory: up to six, and each would keep a whole evaluation's temporaries to itself.

    None writes over what another still needs: a body's results are copied to the descent's own buffers before it ends,
    and replays follow one another in one stream.
    """
    return CudaGraphs(partial(record_graph, pool=torch.cuda.graph_pool_handle()))


def loss_weights(settings: Settings) -> LossWeights:
    """alpha, beta and layers as the objective wants them."""
    return LossWeights(
        content=settings.content_weight,
        style=settings.style_weight * strength_factor(settings.strength),
        tv=settings.tv_weight,
        content_layers=settings.content_layers,
        style_layers=settings.style_layers,
    )


def strength_factor(strength: float) -> float:
    """What ``strength`` in [0, 1] makes of beta: 1/100 at 0, 1 at 0.5, 100 at 1: the range between tint and texture."""
    return 100.0 ** (2 * strength - 1)
