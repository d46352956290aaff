"""How a frame begins: from the source alone, or from the frame before it."""

import math
from dataclasses import dataclass

import torch

from videostyle.losses.pixel_losses import ColourPrior, Prior, TemporalPrior
from videostyle.optimise.frame_task import FrameTask
from videostyle.settings import Settings
from videostyle.stylise.following import Follows, carried
from videostyle.stylise.network_painter import network_trust
from videostyle.stylise.schedule import LOOSE_GAIN, min_evaluations
from videostyle.stylise.state import ShotState
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal import colour, trust
from videostyle.temporal.colour import ColourAnchor
from videostyle.temporal.coverage import Coverage
from videostyle.temporal.flow import FlowEstimator
from videostyle.temporal.still_pixels import withhold_motion
from videostyle.temporal.warp import Warp


@dataclass(frozen=True)
class Start:
    """What is asked of a frame, what is known of its pixels before it is optimised (None: nothing), and how it follows
    the frame before it (None: not at all)."""

    task: FrameTask
    coverage: Coverage | None = None
    follows: Follows | None = None


def next_task(
    stylizer: Stylizer, content: torch.Tensor, position: int, state: ShotState | None, flow: FlowEstimator
) -> Start:
    """The first frame of a shot begins as ``first_init`` says, the others as ``init`` says.

    ``position``: of the frame within its shot.
    """
    settings = stylizer.settings
    if settings.init not in ("previous", "warped"):
        start = stylizer.start(settings.init, content, position)
        return Start(FrameTask(settings.init, stylizer.painted_coarsely(content, start)))
    if state is None:
        return Start(task_from_scratch(stylizer, content))
    if settings.init == "previous":
        return Start(FrameTask("previous", state.stylised, carried(state.history, None)), follows=Follows())
    warp = flow(content, state.source).to(content.device).resized(content.shape[2], content.shape[3])
    return task_from_previous(stylizer, content, state, warp)


def task_from_scratch(stylizer: Stylizer, content: torch.Tensor) -> FrameTask:
    """From nothing but the source and the settings."""
    name = stylizer.first_init
    start = stylizer.painted_coarsely(content, stylizer.start(name, content))
    return FrameTask(name, start, snapshot_at=stylizer.target_evaluations(content))


def task_from_previous(stylizer: Stylizer, content: torch.Tensor, state: ShotState, warp: Warp) -> Start:
    """From the frame before, moved along the flow and held to it; what was not visible starts from the content, from
    that in the style's colours, or from what the style's network makes of it."""
    settings = stylizer.settings
    if settings.coherence == 0:
        moved = warp(state.stylised).clamp(0, 1)
        task = FrameTask("warped", moved, carried(state.history, warp))
        return Start(task, follows=Follows(warp))
    warp = trust.with_photometric_confidence(warp, content, state.source)
    warp, coverage = withhold_motion(warp, state.coverage)
    coverage = coverage.warped(warp)
    update_mask = coverage.update_mask(content, warp)
    repair_mask = coverage.repair_mask if coverage.unfinished.any() else None
    changes = stylizer.look != state.look
    styles = state.styles if state.temporal_gain > LOOSE_GAIN and not changes else None
    if settings.no_anchor:
        repair_mask, styles = None, None
    if settings.no_anchor or changes:
        update_mask = torch.ones_like(update_mask)
    start = colour.initial_image(state.stylised, state.source, content, warp, coverage.reference, update_mask)
    if stylizer.first_init in ("network", "palette") and bool((warp.visible < 1).any()):
        start = torch.lerp(_fresh(stylizer, content, state, warp), start, warp.visible)
    gain = LOOSE_GAIN if changes else state.temporal_gain
    held, weight = trust.temporal_mask(warp, coverage, gain, moves=changes), temporal_weight(settings)
    task = FrameTask(
        "warped",
        start,
        history=carried(state.history, warp, warp.visible * update_mask),
        priors=_priors(settings, content, None if changes else state.colours, TemporalPrior(weight, start, held)),
        update_mask=update_mask,
        repair_mask=repair_mask,
        styles=styles,
        target=math.inf if settings.no_target else None if changes else state.target.normalised_loss,
        min_evaluations=settings.iterations_floor if changes else min_evaluations(settings, coverage),
    )
    return Start(task, coverage, Follows(warp, update_mask, held, weight, changes))


def _fresh(stylizer: Stylizer, content: torch.Tensor, state: ShotState, warp: Warp) -> torch.Tensor:
    """What comes into view, as the shot's first frame began; a palette that is its neighbours' own by now."""
    moved = warp(state.stylised).clamp(0, 1)
    if stylizer.first_init == "network":
        return stylizer.network_painter.paint(content, moved, network_trust(warp))
    return colour.like_neighbours(stylizer.start(stylizer.first_init, content), content, moved, warp.visible)


def _priors(
    settings: Settings, content: torch.Tensor, colours: ColourAnchor | None, temporal: TemporalPrior
) -> tuple[Prior, ...]:
    """Held to the start, and to the mean colours of the shot's first frame, where they are wanted still."""
    if settings.no_anchor or colours is None:
        return (temporal,)
    return temporal, ColourPrior(trust.TEMPORAL_WEIGHT, *colours.between(content))


def temporal_weight(settings: Settings) -> float:
    """Of the temporal loss."""
    given = settings.temporal_weight
    return trust.temporal_weight(settings.coherence) if given is None else given
