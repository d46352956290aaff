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
from videostyle.optimise.outcome import OptimisedImage
from videostyle.optimise.stopping import LossTarget
from videostyle.settings import Settings
from videostyle.stylise import health
from videostyle.stylise.schedule import ANCHOR_GAIN, evaluations_to_target, next_temporal_gain, remeasures_target
from videostyle.stylise.start import next_task, task_from_scratch
from videostyle.stylise.state import FrameTask, SequenceState, ShotState
from videostyle.stylise.stylizer import OnEvaluation, Stylizer
from videostyle.temporal.colour import ColourAnchor
from videostyle.temporal.coverage import Coverage
from videostyle.temporal.flow import FlowEstimator, flow_named


def stylise_frames(
    frames: Iterable[Frame],
    style: torch.Tensor,
    settings: Settings | None = None,
    flow: FlowEstimator | None = None,
    *,
    stylizer: Stylizer | None = None,
    on_evaluation: Callable[[int, int, float], None] | None = None,
    resume_from: SequenceState | None = None,
    on_state: Callable[[SequenceState], None] | None = None,
) -> Iterator[StylisedFrame]:
    """Stylise frames in turn, each started as ``settings.init`` says; the core of ``stylise_video``, without files.

    ``frames``: any iterable of frames of one size. ``style``: (1, 3, H, W) float32 RGB in [0, 1]. ``flow(current,
    previous)`` gives the Warp between two source frames (1, 3, H, W); by default as ``settings.flow`` says. A frame
    with ``cut`` begins a shot, which is painted as if nothing had been before it. ``stylizer``: one made before, for
    the same style and settings. ``on_evaluation(frame, evaluation, loss)`` is called on the way, ``on_state`` before a
    frame comes out, with what is known after it; given as ``resume_from``, with the frames from there on, it goes on as
    if it had never stopped. Frames come out as they are finished; a whole clip is never in memory.
    """
    stylizer = stylizer or Stylizer(style, settings)
    flow = flow or flow_named(stylizer.settings.flow, stylizer.settings.flow_size)
    position = resume_from or SequenceState()
    for index, frame in enumerate(frames, position.index):
        if frame.cut and index > 0:
            position = SequenceState(index, position.shot + 1, index)
        report = None if on_evaluation is None else (lambda k, loss, i=index: on_evaluation(i, k, loss))
        stylised, position = _next_frame(stylizer, frame, position, flow, report)
        if on_state is not None:
            on_state(position)
        yield stylised


def _next_frame(
    stylizer: Stylizer, frame: Frame, position: SequenceState, flow: FlowEstimator, on_evaluation: OnEvaluation | None
) -> tuple[StylisedFrame, SequenceState]:
    """The frame at ``position`` and the position after it. One that looks wrong is painted again from a fresh start."""
    stylised, state = _stylise_frame(stylizer, frame, position, flow, on_evaluation)
    if stylised.problem:
        again, fresh_state = _stylise_frame(stylizer, frame, position, flow, on_evaluation, fresh=True)
        if not again.problem:
            stylised, state = replace(again, problem=f"{stylised.problem}; painted again, and well"), fresh_state
        else:  # neither what was carried nor what it left is to be trusted
            words = f"{stylised.problem}; painted again: {again.problem}"
            stylised, state = replace(stylised, problem=words), replace(state, history=None)
    losses = (*position.losses, stylised.loss)[-health.NEIGHBOURS :] if math.isfinite(stylised.loss) else ()
    after = SequenceState(position.index + 1, position.shot, position.first, state, losses)
    return replace(stylised, index=position.index, shot=position.shot), after


def _stylise_frame(
    stylizer: Stylizer,
    frame: Frame,
    position: SequenceState,
    flow: FlowEstimator,
    on_evaluation: OnEvaluation | None,
    *,
    fresh: bool = False,
) -> tuple[StylisedFrame, ShotState]:
    """One frame. ``fresh``: started as if it were the first of its shot."""
    began = time.perf_counter()
    content, state = frame.pixels.to(stylizer.machine.device), position.state
    if fresh:
        task = task_from_scratch(stylizer, content)
    else:
        task = next_task(stylizer, content, position.index - position.first, state, flow)
    outcome, history = stylizer.paint(content, task, on_evaluation)
    if state is None or fresh:
        outcome = stylizer.polish(content, outcome, on_evaluation)
    after = next_state(stylizer, content, outcome, history, task, state)
    made = [outcome]
    if (
        task.target is not None
        and remeasures_target(stylizer.settings)
        and after.target.is_old(outcome.content_image_loss)
    ):
        made.append(stylise_independently(stylizer, content, after.target.evaluations, on_evaluation))
        after = replace(after, target=after.target.remeasured(made[-1]))
    loss = outcome.losses.without_priors.item()
    stylised = StylisedFrame(
        pixels=outcome.pixels,
        pts=frame.pts,
        time_base=frame.time_base,
        cut=frame.cut,
        start=task.name,
        evaluations=sum(o.evaluations for o in made),
        loss=loss,
        content_loss=outcome.losses.content.item(),
        style_loss=outcome.losses.style.item(),
        optimise_seconds=sum(o.seconds for o in made),
        wall_seconds=time.perf_counter() - began,
        problem=health.problem(outcome.pixels, content, loss, outcome.curve, position.losses),
    )
    return stylised, after


def next_state(
    stylizer: Stylizer,
    content: torch.Tensor,
    outcome: OptimisedImage,
    history: History | None,
    task: FrameTask,
    state: ShotState | None,
) -> ShotState:
    """What a finished frame leaves to the next one. The first of a shot sets its goal, its anchor and its colours."""
    if state is None:
        style = stylizer.style_target(content).anchored_at(stylizer.extractor, outcome.snapshot, ANCHOR_GAIN)
        target, colours = (
            LossTarget.of(outcome, evaluations_to_target(stylizer)),
            ColourAnchor.of(outcome.pixels, content),
        )
        temporal_gain = 1.0
    else:
        style, target, colours = state.style, state.target.aged(), state.colours
        temporal_gain = next_temporal_gain(stylizer.settings, state, outcome)
    coverage = Coverage.complete(content)
    if task.coverage is not None and task.update_mask is not None:
        coverage = task.coverage.updated(content, task.update_mask, outcome.evaluations)
    return ShotState(content, outcome.pixels, history, coverage, target, style, colours, temporal_gain)


def stylise_independently(
    stylizer: Stylizer, content: torch.Tensor, evaluations: int, on_evaluation: OnEvaluation | None
) -> OptimisedImage:
    """A frame painted by itself, as a shot's first is, for so many ``evaluations``."""
    task = replace(task_from_scratch(stylizer, content), target=math.inf, min_evaluations=evaluations)
    return stylizer.paint(content, task, on_evaluation)[0]
