"""How a frame begins: from nothing but the source, or from the frame before it."""

from functools import partial

import torch

from videostyle.losses.pixel import ColourPrior, Prior, TemporalPrior
from videostyle.optimise.lbfgs import History
from videostyle.settings import Settings
from videostyle.stylise.schedule import LOOSEST, _evaluations_to_goal, _fewest
from videostyle.stylise.state import Beginning, ShotState
from videostyle.stylise.stylizer import Painter
from videostyle.temporal import colour, rest, trust
from videostyle.temporal.flow import FlowEstimator
from videostyle.temporal.warp import Warp, sample


def _begin(
    painter: Painter, content: torch.Tensor, position: int, state: ShotState | None, flow: FlowEstimator
) -> Beginning:
    """The first frame of a shot begins as ``first_init`` says, the others as ``init`` says."""
    settings = painter.settings
    if settings.init not in ("previous", "warped"):
        return Beginning(settings.init, painter.start(settings.init, content, position))
    if state is None:
        return _first(painter, content)
    if settings.init == "previous":
        return Beginning("previous", state.stylised, state.history)
    return _follow(settings, content, state, flow(content, state.source).to(content.device))


def _first(painter: Painter, content: torch.Tensor) -> Beginning:
    """From nothing but the source and the settings."""
    name = painter.settings.first_init
    return Beginning(name, painter.start(name, content), note_at=_evaluations_to_goal(painter))


def _follow(settings: Settings, content: torch.Tensor, state: ShotState, warp: Warp) -> Beginning:
    """Begin from the frame before, moved along the flow, and keep to it (``motion/carry.py``)."""
    if settings.coherence == 0:
        moved = warp(state.stylised).clamp(0, 1)
        return Beginning("warped", moved, _carried(state.history, warp))
    difference = trust.Difference.between(content, state.source, warp)
    warp, painted = rest.rested(trust.doubted(warp, difference), content, difference, state.painted)
    painted = painted.moved(warp)
    free = painted.to_paint(content, warp)
    part = painted.part if painted.unfinished.any() else None
    style = state.style if state.firmness > LOOSEST else None
    if settings.no_anchor:
        free, part, style = torch.ones_like(free), None, None
    start = colour.start(state.stylised, state.source, content, warp, painted.source, free)
    weight = settings.temporal_weight
    weight = trust.temporal_weight(settings.coherence) if weight is None else weight
    priors: tuple[Prior, ...] = (TemporalPrior(weight, start, trust.hold(warp, painted, state.firmness)),)
    if not settings.no_anchor:
        priors += (ColourPrior(trust.GAMMA, *state.colours.between(content)),)
    history = _carried(state.history, warp, warp.visible_before * free)
    floor = _fewest(settings, warp, painted)
    return Beginning("warped", start, history, priors, free, state.goal.level, floor, style, part, painted)


def _carried(history: History | None, warp: Warp, mask: torch.Tensor | None = None) -> History | None:
    """The optimiser's history, moved along. Curvature is a guess: bilinear does as well, and costs a fifth."""
    return None if history is None else history.warped(partial(sample, flow=warp.flow, mode="bilinear"), mask)
