"""The core without files: every frame in turn, each started from the one before it.

Imports where only torch, numpy and cv2 are installed.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import torch

from videostyle.frames import Frame, StylisedFrame
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.lbfgs import History
from videostyle.optimise.outcome import OptimisedImage
from videostyle.optimise.stopping import LossTarget
from videostyle.stylise import frame_check
from videostyle.stylise.choose_flow import estimator_of
from videostyle.stylise.finer_octaves import begin, follow
from videostyle.stylise.frame_maker import OnState
from videostyle.stylise.frame_tasks import Start, next_task, task_from_scratch
from videostyle.stylise.given import Given, GivenFrames, as_painted, drawn_to, given_finer
from videostyle.stylise.schedule import ANCHOR_GAIN, next_temporal_gain, remeasures_target
from videostyle.stylise.state import SEQUENCE_STATE_TYPES, SequenceState, ShotState
from videostyle.stylise.stylizer import OnEvaluation, Stylizer
from videostyle.temporal.colour import ColourAnchor
from videostyle.temporal.coverage import Coverage
from videostyle.temporal.flow import FlowEstimator


def stylise_frames(
    frames: Iterable[Frame],
    stylizer: Stylizer,
    flow: FlowEstimator | None = None,
    *,
    on_evaluation: Callable[[int, int, float], None] | None = None,
    resume_from: SequenceState | None = None,
    on_state: OnState | None = None,
) -> Iterator[StylisedFrame]:
    """Stylise frames in turn: the core of `stylise_video`, without files. See `EveryFrame` and `EveryFrame.frames`."""
    return EveryFrame(stylizer, flow, on_evaluation).frames(frames, resume_from, on_state)


class EveryFrame:
    """The FrameMaker that optimises every frame, each started as ``settings.init`` says.

    ``flow(current, previous)``: the Warp between two source frames (1, 3, H, W); by default as the settings say.
    ``on_evaluation(frame, evaluation, loss)`` is called after every evaluation. ``given``: frames that are not painted,
    or are drawn to a picture.
    """

    state_types = SEQUENCE_STATE_TYPES

    def __init__(
        self,
        stylizer: Stylizer,
        flow: FlowEstimator | None = None,
        on_evaluation: Callable[[int, int, float], None] | None = None,
        given: GivenFrames | None = None,
    ) -> None:
        self.stylizer, self._on_evaluation, self._given = stylizer, on_evaluation, given
        self._flow = flow or estimator_of(stylizer)

    def frames(
        self, source: Iterable[Frame], state: SequenceState | None = None, on_state: OnState | None = None
    ) -> Iterator[StylisedFrame]:
        """Frames of one size, as they are finished; a whole clip is never in memory.

        A frame with ``cut`` begins a shot, which is stylised as if nothing had been before it.
        """
        position = state or SequenceState()
        for index, frame in enumerate(source, position.index):
            if frame.cut and index > 0:
                position = SequenceState(index, position.shot + 1, index)
            stylised, position = self.next_frame(frame, position)
            if on_state is not None:
                on_state(position)
            yield stylised

    def next_frame(self, frame: Frame, position: SequenceState) -> tuple[StylisedFrame, SequenceState]:
        """The frame at ``position`` and the position after it. One that looks wrong is made again from scratch."""
        given = None if self._given is None else self._given(frame)
        if given is not None and given.share == 1:
            return self._as_given(frame, position, given)
        stylised, state = self._stylise(frame, position)
        if stylised.problem:
            again, fresh_state = self._stylise(frame, position, fresh=True)
            if not again.problem:
                stylised, state = replace(again, problem=f"{stylised.problem}; painted again, and well"), fresh_state
            else:  # neither what was carried nor what it left is to be trusted
                words = f"{stylised.problem}; painted again: {again.problem}"
                stylised, state = replace(stylised, problem=words), replace(state, history=None)
        losses = (*position.losses, stylised.loss)[-frame_check.NEIGHBOURS :] if math.isfinite(stylised.loss) else ()
        if given is not None:
            state = drawn_to(self.stylizer.at(frame, state.palette), state, given)
            stylised = replace(stylised, pixels=self._finished(frame, state))
        after = SequenceState(position.index + 1, position.shot, position.first, state, losses)
        return replace(stylised, index=position.index, shot=position.shot), after

    def _as_given(self, frame: Frame, position: SequenceState, given: Given) -> tuple[StylisedFrame, SequenceState]:
        """A frame that is a picture, to the bit, and the position after it."""
        began = time.perf_counter()
        state = self._given_state(frame, position, given) if given.begins else None
        stylised = StylisedFrame(
            pixels=given.pixels,
            pts=frame.pts,
            time_base=frame.time_base,
            cut=frame.cut,
            index=position.index,
            shot=position.shot,
            start="given" if given.begins else "carried back",
            wall_seconds=time.perf_counter() - began,
        )
        return stylised, SequenceState(position.index + 1, position.shot, position.first, state)

    def _given_state(self, frame: Frame, position: SequenceState, given: Given) -> ShotState:
        """What a given frame leaves: as if it had been painted, its own statistics and colours the shot's anchors."""
        stylizer, device = self.stylizer.at(frame, None), self.stylizer.machine.device
        contents, pictures = (stylizer.in_octaves(p.to(device)) for p in (frame.pixels, given.pixels))
        content = contents[0]
        own = as_painted(stylizer, content, pictures[0])
        state = next_state(stylizer, content, own, None, Start(FrameTask("given", pictures[0])), None)
        alone = stylise_independently(stylizer, content, state.target.evaluations, self._reporter(position.index))
        # What the optimiser reaches alone; a picture that costs more is not painted over to get there
        target = LossTarget.of(alone, state.target.evaluations, least=state.target.normalised_loss)
        return replace(state, target=target, finer=given_finer(stylizer, contents, pictures))

    def _finished(self, frame: Frame, state: ShotState) -> torch.Tensor:
        """The picture of a frame's state at the output's size."""
        finest = state.finer[-1].stylised if state.finer else state.stylised
        return self.stylizer.at(frame, state.palette).wanted.finished(finest, frame.pixels.to(finest.device))

    def _stylise(
        self, frame: Frame, position: SequenceState, *, fresh: bool = False
    ) -> tuple[StylisedFrame, ShotState]:
        """One frame. ``fresh``: started as if it were the first of its shot."""
        began = time.perf_counter()
        state, report = position.state, self._reporter(position.index)
        stylizer = self.stylizer.at(frame, None if state is None else state.palette)
        contents = stylizer.in_octaves(frame.pixels.to(stylizer.machine.device))
        content = contents[0]
        start = (
            Start(task_from_scratch(stylizer, content))
            if fresh
            else next_task(stylizer, content, position.index - position.first, state, self._flow)
        )
        image, history = stylizer.optimise(content, start.task, report)
        after = next_state(stylizer, content, image, history, start, state)
        made = [image]
        aged = start.task.target is not None and after.target.is_old(image.content_image_loss)
        if aged and remeasures_target(stylizer.settings):
            made.append(stylise_independently(stylizer, content, after.target.evaluations, report))
            after = replace(after, target=LossTarget.of(made[-1], after.target.evaluations, after.target.least))
        painted = time.perf_counter()
        if state is None or start.follows is None:
            finer = begin(stylizer, contents, image.pixels)
        else:
            finer = follow(stylizer, contents, image.pixels, state.stylised, state.finer, start.follows)
        finishing = time.perf_counter() - painted if finer else 0.0
        pixels = stylizer.wanted.finished(finer[-1].stylised if finer else image.pixels, contents[-1])
        loss = image.losses.without_priors.item()
        stylised = StylisedFrame(
            pixels=pixels,
            pts=frame.pts,
            time_base=frame.time_base,
            cut=frame.cut,
            start=start.task.name,
            evaluations=sum(image.evaluations for image in made),
            loss=loss,
            content_loss=image.losses.content.item(),
            style_loss=image.losses.style.item(),
            optimise_seconds=sum(image.seconds for image in made) + finishing,
            wall_seconds=time.perf_counter() - began,
            problem=frame_check.problem(pixels, contents[-1], loss, image.curve, position.losses),
        )
        return stylised, replace(after, finer=finer)

    def _reporter(self, index: int) -> OnEvaluation | None:
        report = self._on_evaluation
        return None if report is None else (lambda evaluation, loss: report(index, evaluation, loss))


def next_state(
    stylizer: Stylizer,
    content: torch.Tensor,
    image: OptimisedImage,
    history: History | None,
    start: Start,
    state: ShotState | None,
) -> ShotState:
    """What a finished frame leaves to the next one. A shot's first frame sets its target, its anchors and colours, and
    so does one that something else is wanted of than of the frame before."""
    if state is None or stylizer.look != state.look:
        styles = stylizer.optimiser(content).anchored(image.snapshot, ANCHOR_GAIN)
        target = LossTarget.of(image, stylizer.target_evaluations(content))
        colours, gain = ColourAnchor.of(image.pixels, content), 1.0
    else:
        styles, target, colours = state.styles, state.target.aged(), state.colours
        gain = next_temporal_gain(stylizer.settings, state, image)
    coverage, update_mask = start.coverage, start.task.update_mask
    if coverage is None or update_mask is None:
        coverage = Coverage.complete(content)
    else:
        coverage = coverage.updated(content, update_mask, image.evaluations)
    shot = ShotState(content, image.pixels, history, coverage, target, styles, colours, gain)
    return replace(shot, look=stylizer.look, palette=stylizer.source_palette)


def stylise_independently(
    stylizer: Stylizer, content: torch.Tensor, evaluations: int, on_evaluation: OnEvaluation | None
) -> OptimisedImage:
    """A frame by itself, as a shot's first is made, for so many ``evaluations``."""
    task = replace(task_from_scratch(stylizer, content), target=math.inf, min_evaluations=evaluations)
    return stylizer.optimise(content, task, on_evaluation)[0]
