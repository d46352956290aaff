"""Optimising the frames of one size: what is made once per size lives here, what belongs to a frame is passed in."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from videostyle.optimise.adam import Adam
from videostyle.optimise.lbfgs import LBFGS, History
from videostyle.perception.objective import ContentTarget, Losses, LossWeights, Objective, Prior, StyleTarget
from videostyle.perception.trunk import Trunk
from videostyle.settings import Settings

# The relative decrease per evaluation is averaged over this many evaluations: single steps of L-BFGS are uneven.
WINDOW = 5


@dataclass(frozen=True)
class Outcome:
    """One optimised picture in [0, 1], with the losses of exactly these pixels and what they cost.

    ``curve``: (evaluations, 3) float32 on the CPU, the total, content and style loss of every evaluation.
    """

    pixels: torch.Tensor
    losses: Losses
    evaluations: int
    seconds: float
    curve: torch.Tensor


class ShotOptimiser:
    """Optimises frame after frame of one size; lives as long as that size does.

    ``trunk``: the network, ready for its device. ``style``: the style's statistics at this size. ``settings``: floor,
    ceiling, tolerance and optimiser. Nothing of a shot is kept here: start, priors and history come with each frame.
    """

    def __init__(self, trunk: Trunk, style: StyleTarget, settings: Settings) -> None:
        self.trunk, self.style, self.settings = trunk, style, settings
        self.weights = loss_weights(settings)

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
    ) -> tuple[Outcome, History | None]:
        """Optimise one frame: ``content`` and ``start`` are (1, 3, H, W) float32 in [0, 1].

        ``history``: where L-BFGS goes on from (already warped); None starts afresh. Returns the outcome and the history
        to carry on (None with Adam). One iteration is one evaluation of value and gradient;
        ``on_evaluation(evaluation, loss)`` is called after each. ``free``: (1, 1, H, W), 0 where the start is to stay
        as it is. ``goal``: a loss without priors that is low enough; it ends the frame once the floor is reached.
        ``floor``: the fewest evaluations before a goal ends it, if not ``min_iterations``. ``style``: as this
        shot has it, if not as it is.

        Every iterate is projected onto [0, 1]. Optimised freely and clamped at the end, the picture that is kept has a
        4 to 10 % higher loss, which costs L-BFGS about half of its evaluations; projected, it falls as fast as free.
        The iterate with the lowest loss is kept: there is no line search, and the last step may have been a bad one.
        """
        began = time.perf_counter()
        target = ContentTarget(self.trunk, content, self.weights.content_layers)
        objective = Objective(self.trunk, target, style or self.style, self.weights, priors)
        stepper = self._stepper(start, history)
        # Where everything is to stay as it is, one look tells what it costs.
        ceiling = self.settings.iterations if free is None or bool(free.any()) else 1
        x, seen = start.to(self.trunk.device).clamp(0, 1), []
        kept, best, lowest = x, 1, float("inf")
        for evaluation in range(1, ceiling + 1):
            losses, gradient = objective.value_and_gradient(x)
            seen.append(losses)
            if losses.total.item() < lowest:
                best, lowest, kept = evaluation, losses.total.item(), x
            if on_evaluation:
                on_evaluation(evaluation, losses.total.item())
            done = self._settled([losses.total for losses in seen]) or self._reached(goal, floor, evaluation, losses)
            if done or evaluation == ceiling:
                break
            x = stepper.step(x, gradient if free is None else gradient * free).clamp(0, 1)
        outcome = Outcome(kept, seen[best - 1], evaluation, time.perf_counter() - began, _curve(seen))
        return outcome, stepper.history() if isinstance(stepper, LBFGS) else None

    def losses(self, content: torch.Tensor, pixels: torch.Tensor) -> Losses:
        """What ``pixels`` cost as a picture of ``content``, both (1, 3, H, W) in [0, 1]."""
        target = ContentTarget(self.trunk, content, self.weights.content_layers)
        return Objective(self.trunk, target, self.style, self.weights).value(pixels.to(self.trunk.device))

    def _stepper(self, start: torch.Tensor, history: History | None) -> LBFGS | Adam:
        if self.settings.optimizer == "adam":
            return Adam(self.settings.learning_rate)
        shape = (start.shape[2], start.shape[3])
        return LBFGS(history or History.empty(self.settings.history_size, shape, self.trunk.device))

    def _settled(self, totals: list[torch.Tensor]) -> bool:
        """Whether the lowest loss so far falls by less than ``tolerance`` per evaluation."""
        done, s = len(totals), self.settings
        if s.tolerance == 0 or done < max(s.min_iterations, WINDOW + 1):
            return False
        lowest = torch.cat(totals).cummin(0).values
        before, now = lowest[-1 - WINDOW].item(), lowest[-1].item()
        return (before - now) < s.tolerance * WINDOW * now

    def _reached(self, goal: float | None, floor: int | None, done: int, losses: Losses) -> bool:
        """Whether the picture's own loss is at or below ``goal``, after the fewest evaluations allowed."""
        s = self.settings
        if goal is None or s.tolerance == 0 or done < (floor or s.min_iterations):
            return False
        return losses.own.item() <= goal


def _curve(seen: list[Losses]) -> torch.Tensor:
    """Total, content and style loss of every evaluation, brought to the CPU at once."""
    return torch.stack([torch.stack((x.total, x.content, x.style), -1)[0] for x in seen]).float().cpu()


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
