"""Optimising the frames of one size: what is made once per size lives here, what belongs to a frame is passed in."""

import time
from collections.abc import Callable
from functools import partial

import torch

from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import Losses, LossWeights, Objective
from videostyle.losses.pixel import Prior
from videostyle.losses.style import StyleTarget
from videostyle.networks.feature_extractor import Trunk
from videostyle.optimise.adam import Adam
from videostyle.optimise.cuda_graph import RecordedSteps, Recordings, record_graph
from videostyle.optimise.descent import CONTENT, OWN, PART, STYLE, TOTAL, Descent, Steps
from videostyle.optimise.lbfgs import LBFGS, History
from videostyle.optimise.outcome import Outcome
from videostyle.optimise.stopping import WINDOW, goal_for
from videostyle.settings import Settings

# Evaluations between two looks at the losses on a GPU, which would wait for the host at every look.
LOOK_ON_GPU = 4


class ShotOptimiser:
    """Optimises frame after frame of one size; lives as long as that size does.

    ``trunk``: the network, ready for its device. ``style``: the style's statistics at this size. ``settings``: floor,
    ceiling, tolerance and optimiser. Nothing of a shot is kept here: start, priors and history come with each frame.
    """

    def __init__(self, trunk: Trunk, style: StyleTarget, settings: Settings) -> None:
        self.trunk, self.style, self.settings = trunk, style, settings
        self.weights = loss_weights(settings)
        on_gpu = trunk.device.type == "cuda"
        self._recordings = _graphs() if on_gpu else None
        self.look = LOOK_ON_GPU if on_gpu else 1

    def run(
        self,
        content: torch.Tensor,
        start: torch.Tensor,
        priors: tuple[Prior, ...] = (),
        history: History | None = None,
        on_evaluation: Callable[[int, float], None] | None = None,
        free: torch.Tensor | None = None,
        goal: float | None = None,
        floor: int | None = None,
        style: StyleTarget | None = None,
        part: torch.Tensor | None = None,
        note_at: int | None = None,
    ) -> tuple[Outcome, History | None]:
        """Optimise one frame: ``content`` and ``start`` are (1, 3, H, W) float32 in [0, 1].

        ``history``: where L-BFGS goes on from (already warped); None starts afresh. Returns the outcome and the history
        to carry on (None with Adam). One iteration is one evaluation of value and gradient;
        ``on_evaluation(evaluation, loss)`` is called after each. ``free``: (1, 1, H, W), 0 where the start is to stay
        as it is. ``goal``: a loss without priors that is low enough (``as_goal``): it ends the frame once the floor is
        reached. ``floor``: the fewest evaluations, if not ``min_iterations``. ``style``: as this shot has it, if not as
        it is. ``part``: (1, 1, H, W), pixels that are to have the style by themselves. ``note_at``: the evaluation
        after which the picture is noted as ``Outcome.on_the_way``.

        Every iterate is projected onto [0, 1]. Optimised freely and clamped at the end, the picture that is kept has a
        4 to 10 % higher loss, which costs L-BFGS about half of its evaluations; projected, it falls as fast as free.
        The iterate with the lowest loss is kept: there is no line search, and the last step may have been a bad one.
        """
        began = time.perf_counter()
        objective, untouched = self._objective(content, priors, style or self.style, part)
        goal = None if goal is None else goal_for(goal, untouched)
        # Where everything is to stay as it is, one look tells what it costs.
        ceiling = self.settings.iterations if free is None or bool(free.any()) else 1
        steps = self._steps(objective, start.to(self.trunk.device), free, history)
        done, on_the_way = False, None
        while not done and steps.taken < ceiling:
            before = steps.taken
            pause = note_at if note_at is not None and before < note_at < ceiling else ceiling
            steps.advance(min(self.look, pause - before))
            if steps.taken == note_at:
                on_the_way = steps.descent.kept.clone()
            rows = steps.descent.rows[: steps.taken].cpu()
            if on_evaluation:
                for evaluation in range(before, steps.taken):
                    on_evaluation(evaluation + 1, rows[evaluation, TOTAL].item())
            whole = rows[:, TOTAL] - rows[:, PART]  # a part goes on in the next frame
            done = self._settled(whole, floor) or self._reached(goal, floor, steps.taken, rows[-1, OWN].item())
        best = rows[steps.descent.best.item()]
        losses = Losses(*(best[i : i + 1].clone() for i in (TOTAL, CONTENT, STYLE, OWN, PART)))
        pixels, curve = steps.descent.kept.clone(), rows[:, :OWN].float().clone()
        on_the_way = pixels if on_the_way is None else on_the_way
        seconds = time.perf_counter() - began
        return Outcome(pixels, losses, steps.taken, seconds, curve, untouched, on_the_way), steps.history()

    def _objective(
        self, content: torch.Tensor, priors: tuple[Prior, ...], style: StyleTarget, part: torch.Tensor | None
    ) -> tuple[Objective, float]:
        """What is minimised for one frame and what the content itself costs by it, from one look at the content."""
        seen = self.trunk.forward(content)
        target = ContentTarget.of({name: seen[name] for name in self.weights.content_layers})
        objective = Objective(self.trunk, target, style, self.weights, priors, part)
        return objective, objective.value(content.to(self.trunk.device), seen).own.item()

    def _steps(
        self, objective: Objective, start: torch.Tensor, free: torch.Tensor | None, history: History | None
    ) -> Steps:
        """The loop for one frame: recorded where there are recordings and the optimiser's steps are of tensors only."""
        descent = Descent(objective, self._stepper(start, history), start, free, self.settings.iterations)
        if self._recordings is None or not isinstance(descent.stepper, LBFGS):
            return Steps(descent)
        return RecordedSteps(descent, self._recordings)

    def losses(self, content: torch.Tensor, pixels: torch.Tensor) -> Losses:
        """What ``pixels`` cost as a picture of ``content``, both (1, 3, H, W) in [0, 1]."""
        target = ContentTarget(self.trunk, content, self.weights.content_layers)
        return Objective(self.trunk, target, self.style, self.weights).value(pixels.to(self.trunk.device))

    def _stepper(self, start: torch.Tensor, history: History | None) -> LBFGS | Adam:
        if self.settings.optimizer == "adam":
            return Adam(self.settings.learning_rate)
        shape = (start.shape[2], start.shape[3])
        return LBFGS(history or History.empty(self.settings.history_size, shape, self.trunk.device))

    def _settled(self, totals: torch.Tensor, floor: int | None) -> bool:
        """Whether the loss changes by less than ``tolerance`` per evaluation; after a bad step it has not settled."""
        done, s = len(totals), self.settings
        if s.tolerance == 0 or done < max(floor or s.min_iterations, WINDOW + 1):
            return False
        lowest, highest = (t.item() for t in totals[-1 - WINDOW :].aminmax())
        return highest - lowest < s.tolerance * WINDOW * lowest

    def _reached(self, goal: float | None, floor: int | None, done: int, own: float) -> bool:
        """Whether the picture's own loss is at or below ``goal``, after the fewest evaluations allowed."""
        s = self.settings
        if goal is None or s.tolerance == 0 or done < (floor or s.min_iterations):
            return False
        return own <= goal


def _graphs() -> Recordings:
    """CUDA graphs that share memory: up to six, and each would keep a whole evaluation's temporaries to itself.

    None writes over what another still needs: a body's results are copied to the descent's own buffers before it ends,
    and replays follow one another in one stream.
    """
    return Recordings(partial(record_graph, pool=torch.cuda.graph_pool_handle()))


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
