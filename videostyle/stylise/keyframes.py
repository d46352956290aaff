"""Keyframes: some frames of a shot are painted, each carried on from the one before it, and those between are made
from the two around them."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch

from videostyle.frames import Frame, StylisedFrame
from videostyle.optimise.outcome import OptimisedImage
from videostyle.settings import AUTO, MOST_APART, Settings
from videostyle.stylise import frame_check
from videostyle.stylise.between import Neighbour, between, touched_up
from videostyle.stylise.choose_flow import estimator_of
from videostyle.stylise.frame_maker import OnState
from videostyle.stylise.given import GivenFrames
from videostyle.stylise.sequence import EveryFrame
from videostyle.stylise.state import SEQUENCE_STATE_TYPES, SequenceState, ShotState
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.flow import FlowEstimator
from videostyle.temporal.trust import with_photometric_confidence
from videostyle.temporal.warp import Warp

# Frames from one key to the next, at least and at most, where the clip decides.
CLOSEST, FARTHEST = 2, MOST_APART
# Share of a frame's pixels that the last key no longer shows at which the next one is due.
UNKNOWN_SHARE = 0.05


@dataclass(frozen=True)
class BetweenState:
    """In the middle of a group: the key before it, and how far the frames after that have come.

    ``key``: what that key has left. ``source``: the last frame that was made, at the painted octave. ``warp``: from it
    to the key. ``made``: how many frames have been made since the key.
    """

    key: ShotState
    source: torch.Tensor
    warp: Warp
    made: int


@dataclass(frozen=True)
class Step:
    """A frame of a group: ``content`` at the painted octave, the motion ``back`` to the key before it and ``on`` from
    the frame before it to this one."""

    frame: Frame
    content: torch.Tensor
    back: Warp
    on: Warp


class Keyframes:
    """The FrameMaker of ``settings.keyframes``: a key at both ends of every shot and after so many frames, or as many
    as the last key still shows.

    A given frame is a key. ``flow``, ``on_evaluation``, ``given``: as for `EveryFrame`.
    """

    state_types = (*SEQUENCE_STATE_TYPES, BetweenState, Warp)

    def __init__(
        self,
        stylizer: Stylizer,
        flow: FlowEstimator | None = None,
        on_evaluation: Callable[[int, int, float], None] | None = None,
        given: GivenFrames | None = None,
    ) -> None:
        self.stylizer, self._ahead, self._given = stylizer, flow, given
        self._estimate = estimator_of(stylizer)
        self._to_key: Warp | None = None
        self._keys = EveryFrame(stylizer, self._motion, on_evaluation, given)

    def _motion(self, current: torch.Tensor, previous: torch.Tensor) -> Warp:
        """From a key to the one before it."""
        return self._estimate(current, previous) if self._to_key is None else self._to_key

    def frames(
        self, source: Iterable[Frame], state: SequenceState | None = None, on_state: OnState | None = None
    ) -> Iterator[StylisedFrame]:
        """See `FrameMaker.frames`."""
        position, frames = state or SequenceState(), _Ahead(source)
        while (frame := frames.next_frame()) is not None:
            if frame.cut and position.index > 0:
                position = SequenceState(position.index, position.shot + 1, position.index)
            begins = position.state is None
            made = self._first(frame, position) if begins else self._group(frame, frames, position)
            for stylised, position in made:
                if on_state is not None:
                    on_state(position)
                yield stylised

    def _first(self, frame: Frame, position: SequenceState) -> Iterator[tuple[StylisedFrame, SequenceState]]:
        """A shot's first frame, a key."""
        yield self._keys.next_frame(frame, position)

    def _group(
        self, first: Frame, frames: "_Ahead", position: SequenceState
    ) -> Iterator[tuple[StylisedFrame, SequenceState]]:
        """The frames after a key up to the next one, that one included, with what is known after each."""
        key, begun = _unpacked(position)
        steps = self._read_on(first, frames, key, begun)
        last, count = steps[-1], len(steps)
        self._to_key = last.back
        at_key = replace(position, index=position.index + count - 1, state=key)
        stylised, after = self._keys.next_frame(last.frame, at_key)
        made = 0 if begun is None else begun.made
        onward = self._onward(steps)
        for number, step in enumerate(steps[:-1], 1):
            share = (made + number) / (made + count)
            frame = self._between(step, key, after.state, onward[number - 1], share)
            here = replace(position, index=position.index + number)
            kept = BetweenState(key, step.content, step.back, made + number)
            yield (
                replace(frame, index=here.index - 1, shot=position.shot),
                replace(here, state=kept, losses=position.losses),
            )
        yield stylised, after

    def _read_on(self, first: Frame, frames: "_Ahead", key: ShotState, begun: BetweenState | None) -> list[Step]:
        """The frames up to the next key: the one that is due, or the shot's last."""
        source, warp = (key.source, None) if begun is None else (begun.source, begun.warp)
        made = 0 if begun is None else begun.made
        steps: list[Step] = []
        frame: Frame | None = first
        while frame is not None:
            content = self.stylizer.in_octaves(frame.pixels.to(key.source.device))[0]
            size = content.shape[2], content.shape[3]
            back, on = self._flow(content, source), self._estimate(source, content)
            back, on = (w.to(content.device).resized(*size) for w in (back, on))
            warp = back if warp is None else warp.after(back)
            steps.append(Step(frame, content, warp, on))
            if self._is_given(frame) or self._is_due(made + len(steps), content, key, warp):
                break
            source, frame = content, frames.next_of_shot()
        return steps

    def _flow(self, content: torch.Tensor, source: torch.Tensor) -> Warp:
        return (self._ahead or self._estimate)(content, source)

    def _is_given(self, frame: Frame) -> bool:
        """Whether the frame is a picture already."""
        found = None if self._given is None else self._given(frame)
        return found is not None and found.share == 1

    def _is_due(self, distance: int, content: torch.Tensor, key: ShotState, warp: Warp) -> bool:
        """Whether the next key is to be so many frames after the last one."""
        wanted = spacing(self.stylizer.settings)
        if wanted is not None:
            return distance >= wanted
        if distance < CLOSEST:
            return False
        unknown = 1 - with_photometric_confidence(warp, content, key.source).visible
        return distance >= FARTHEST or unknown.mean().item() > UNKNOWN_SHARE

    @staticmethod
    def _onward(steps: list[Step]) -> list[Warp]:
        """From each of the frames but the last to the last, which is a key."""
        found: list[Warp] = []
        for step in reversed(steps[1:]):
            found.append(step.on if not found else found[-1].after(step.on))
        return found[::-1]

    def _between(self, step: Step, before: ShotState, after: ShotState, onward: Warp, share: float) -> StylisedFrame:
        """A frame between two keys, at ``share`` of the way from one to the other."""
        began = time.perf_counter()
        stylizer = self.stylizer.at(step.frame, before.palette)
        full = step.frame.pixels.to(step.content.device)
        sides = Neighbour.of(before, step.back), Neighbour.of(after, onward)
        picture, image = between(stylizer, step.content, sides, share), None
        if stylizer.settings.touch_up:
            picture, image = touched_up(stylizer, step.content, picture, sides, before)
        pixels = stylizer.wanted.finished(picture, full)
        made = StylisedFrame(
            pixels=pixels,
            pts=step.frame.pts,
            time_base=step.frame.time_base,
            cut=step.frame.cut,
            start="between",
            wall_seconds=time.perf_counter() - began,
            problem=frame_check.problem(pixels, full, 0.0, torch.zeros(0), ()),
        )
        return made if image is None else _with_cost(made, image)


def _with_cost(frame: StylisedFrame, image: OptimisedImage) -> StylisedFrame:
    return replace(
        frame,
        evaluations=image.evaluations,
        loss=image.losses.without_priors.item(),
        content_loss=image.losses.content.item(),
        style_loss=image.losses.style.item(),
        optimise_seconds=image.seconds,
    )


class _Ahead:
    """Frames of which the next can be looked at."""

    def __init__(self, source: Iterable[Frame]) -> None:
        self._source, self._ready = iter(source), deque[Frame]()

    def next_frame(self) -> Frame | None:
        return self._ready.popleft() if self._ready else next(self._source, None)

    def next_of_shot(self) -> Frame | None:
        """The next frame, None where the next begins a shot or there is none."""
        if not self._ready and (frame := next(self._source, None)) is not None:
            self._ready.append(frame)
        return None if not self._ready or self._ready[0].cut else self._ready.popleft()


def _unpacked(position: SequenceState) -> tuple[ShotState, BetweenState | None]:
    """(the last key, where a group has been begun since)."""
    state = position.state
    return (state.key, state) if isinstance(state, BetweenState) else (state, None)


def spacing(settings: Settings) -> int | None:
    """Frames from one key to the next, None where the clip decides."""
    return None if settings.keyframes == AUTO else int(settings.keyframes)
