"""The core without files: frames in, stylised frames out, each started from the one before it.

Imports where only torch, numpy and cv2 are installed.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import torch

from videostyle.frames import Frame, StylisedFrame
from videostyle.optimise.lbfgs import History
from videostyle.optimise.outcome import Outcome
from videostyle.optimise.stopping import Goal
from videostyle.settings import Settings
from videostyle.stylise import health
from videostyle.stylise.schedule import ANCHOR_STIFFNESS, _evaluations_to_goal, _measures_again, firmness_after
from videostyle.stylise.start import _begin, _first
from videostyle.stylise.state import Beginning, Position, ShotState
from videostyle.stylise.stylizer import OnEvaluation, Painter
from videostyle.temporal.colour import Colours
from videostyle.temporal.coverage import Painted
from videostyle.temporal.flow import FlowEstimator, flow_named


def stylise_frames(
    frames: Iterable[Frame],
    style: torch.Tensor,
    settings: Settings | None = None,
    flow: FlowEstimator | None = None,
    *,
    painter: Painter | None = None,
    on_evaluation: Callable[[int, int, float], None] | None = None,
    begin: Position | None = None,
    on_position: Callable[[Position], None] | None = None,
) -> Iterator[StylisedFrame]:
    """Stylise frames in turn, each started as ``settings.init`` says; the core of ``stylise_video``, without files.

    ``frames``: any iterable of frames of one size. ``style``: (1, 3, H, W) float32 RGB in [0, 1]. ``flow(current,
    previous)`` gives the Warp between two source frames (1, 3, H, W); by default as ``settings.flow`` says. A frame
    with ``cut`` begins a shot, which is painted as if nothing had been before it. ``painter``: one made before,
    for the same style and settings. ``on_evaluation(frame, evaluation, loss)`` is called on the way, ``on_position``
    before a frame comes out, with what is known after it; given as ``begin``, with the frames from there on, it goes on
    as if it had never stopped. Frames come out as they are finished; a whole clip is never in memory.
    """
    painter = painter or Painter(style, settings)
    flow = flow or flow_named(painter.settings.flow, painter.settings.flow_size)
    position = begin or Position()
    for index, frame in enumerate(frames, position.index):
        if frame.cut and index > 0:
            position = Position(index, position.shot + 1, index)
        report = None if on_evaluation is None else (lambda k, loss, i=index: on_evaluation(i, k, loss))
        stylised, position = _next_frame(painter, frame, position, flow, report)
        if on_position is not None:
            on_position(position)
        yield stylised


def _next_frame(
    painter: Painter, frame: Frame, position: Position, flow: FlowEstimator, on_evaluation: OnEvaluation | None
) -> tuple[StylisedFrame, Position]:
    """The frame at ``position`` and the position after it. One that looks wrong is painted again from a fresh start."""
    stylised, state = _stylise_frame(painter, frame, position, flow, on_evaluation)
    if stylised.problem:
        again, fresh_state = _stylise_frame(painter, frame, position, flow, on_evaluation, fresh=True)
        if not again.problem:
            stylised, state = replace(again, problem=f"{stylised.problem}; painted again, and well"), fresh_state
        else:  # neither what was carried nor what it left is to be trusted
            words = f"{stylised.problem}; painted again: {again.problem}"
            stylised, state = replace(stylised, problem=words), replace(state, history=None)
    losses = (*position.losses, stylised.loss)[-health.NEIGHBOURS :] if math.isfinite(stylised.loss) else ()
    after = Position(position.index + 1, position.shot, position.first, state, losses)
    return replace(stylised, index=position.index, shot=position.shot), after


def _stylise_frame(
    painter: Painter,
    frame: Frame,
    position: Position,
    flow: FlowEstimator,
    on_evaluation: OnEvaluation | None,
    *,
    fresh: bool = False,
) -> tuple[StylisedFrame, ShotState]:
    """One frame. ``fresh``: started as if it were the first of its shot."""
    began = time.perf_counter()
    content, state = frame.pixels.to(painter.machine.device), position.state
    if fresh:
        begin = _first(painter, content)
    else:
        begin = _begin(painter, content, position.index - position.first, state, flow)
    outcome, history = painter.paint(content, begin, on_evaluation)
    if state is None or fresh:
        outcome = painter.polished(content, outcome, on_evaluation)
    after = _after(painter, content, outcome, history, begin, state)
    painted = [outcome]
    if begin.goal is not None and _measures_again(painter.settings) and after.goal.is_old(outcome.untouched):
        painted.append(_alone(painter, content, after.goal.evaluations, on_evaluation))
        after = replace(after, goal=after.goal.again(painted[-1]))
    loss = outcome.losses.own.item()
    stylised = StylisedFrame(
        pixels=outcome.pixels,
        pts=frame.pts,
        time_base=frame.time_base,
        cut=frame.cut,
        start=begin.name,
        evaluations=sum(o.evaluations for o in painted),
        loss=loss,
        content_loss=outcome.losses.content.item(),
        style_loss=outcome.losses.style.item(),
        optimise_seconds=sum(o.seconds for o in painted),
        wall_seconds=time.perf_counter() - began,
        problem=health.problem(outcome.pixels, content, loss, outcome.curve, position.losses),
    )
    return stylised, after


def _after(
    painter: Painter,
    content: torch.Tensor,
    outcome: Outcome,
    history: History | None,
    begin: Beginning,
    state: ShotState | None,
) -> ShotState:
    """What a finished frame leaves to the next one. The first of a shot sets its goal, its anchor and its colours."""
    if state is None:
        style = painter.style_target(content).anchored(painter.trunk, outcome.on_the_way, ANCHOR_STIFFNESS)
        goal, colours = Goal.of(outcome, _evaluations_to_goal(painter)), Colours.of(outcome.pixels, content)
        firmness = 1.0
    else:
        style, goal, colours = state.style, state.goal.older(), state.colours
        firmness = firmness_after(painter.settings, state, outcome)
    painted = Painted.whole(content)
    if begin.painted is not None and begin.free is not None:
        painted = begin.painted.after(content, begin.free, outcome.evaluations)
    return ShotState(content, outcome.pixels, history, painted, goal, style, colours, firmness)


def _alone(painter: Painter, content: torch.Tensor, evaluations: int, on_evaluation: OnEvaluation | None) -> Outcome:
    """A frame painted by itself, as a shot's first is, for so many ``evaluations``."""
    begin = replace(_first(painter, content), goal=math.inf, floor=evaluations)
    return painter.paint(content, begin, on_evaluation)[0]
