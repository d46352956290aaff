"""How a frame begins: from nothing but the source, or from the frame before it."""

from functools import partial

import torch

from videostyle.losses.pixel import ColourPrior, Prior, TemporalPrior
from videostyle.optimise.lbfgs import History
from videostyle.settings import Settings
from videostyle.stylise.schedule import LEAST_GAIN, evaluations_to_target, min_evaluations
from videostyle.stylise.state import FrameTask, ShotState
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal import colour, rest, trust
from videostyle.temporal.flow import FlowEstimator
from videostyle.temporal.warp import Warp, sample


def next_task(
    stylizer: Stylizer, content: torch.Tensor, position: int, state: ShotState | None, flow: FlowEstimator
) -> FrameTask:
    """The first frame of a shot begins as ``first_init`` says, the others as ``init`` says."""
    settings = stylizer.settings
    if settings.init not in ("previous", "warped"):
        return FrameTask(settings.init, stylizer.start(settings.init, content, position))
    if state is None:
        return task_from_scratch(stylizer, content)
    if settings.init == "previous":
        return FrameTask("previous", state.stylised, state.history)
    return task_from_previous(settings, content, state, flow(content, state.source).to(content.device))


def task_from_scratch(stylizer: Stylizer, content: torch.Tensor) -> FrameTask:
    """From nothing but the source and the settings."""
    name = stylizer.settings.first_init
    return FrameTask(name, stylizer.start(name, content), snapshot_at=evaluations_to_target(stylizer))


def task_from_previous(settings: Settings, content: torch.Tensor, state: ShotState, warp: Warp) -> FrameTask:
    """Begin from the frame before, moved along the flow, and keep to it (``temporal/``)."""
    if settings.coherence == 0:
        moved = warp(state.stylised).clamp(0, 1)
        return FrameTask("warped", moved, warp_history(state.history, warp))
    difference = trust.FrameDifference.between(content, state.source, warp)
    warp, coverage = rest.suppress_spurious_motion(
        trust.with_photometric_confidence(warp, difference), content, difference, state.coverage
    )
    coverage = coverage.warped(warp)
    update_mask = coverage.update_mask(content, warp)
    repair_mask = coverage.repair_mask if coverage.unfinished.any() else None
    style = state.style if state.temporal_gain > LEAST_GAIN else None
    if settings.no_anchor:
        update_mask, repair_mask, style = torch.ones_like(update_mask), None, None
    start = colour.initial_image(state.stylised, state.source, content, warp, coverage.reference, update_mask)
    weight = settings.temporal_weight
    weight = trust.temporal_weight(settings.coherence) if weight is None else weight
    priors: tuple[Prior, ...] = (
        TemporalPrior(weight, start, trust.temporal_mask(warp, coverage, state.temporal_gain)),
    )
    if not settings.no_anchor:
        priors += (ColourPrior(trust.TEMPORAL_WEIGHT, *state.colours.between(content)),)
    history = warp_history(state.history, warp, warp.visible * update_mask)
    fewest = min_evaluations(settings, warp, coverage)
    return FrameTask(
        "warped",
        start,
        history,
        priors,
        update_mask,
        state.target.normalised_loss,
        fewest,
        style,
        repair_mask,
        coverage,
    )


def warp_history(history: History | None, warp: Warp, mask: torch.Tensor | None = None) -> History | None:
    """The optimiser's history, moved along. Curvature is a guess: bilinear does as well, and costs a fifth."""
    return None if history is None else history.warped(partial(sample, flow=warp.flow, mode="bilinear"), mask)
