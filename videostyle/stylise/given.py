"""Frames that are given, not painted: an artist's own, and what is carried back from one to the frames before it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from videostyle.frames import Frame
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.outcome import OptimisedImage
from videostyle.stylise.between import with_variance_of
from videostyle.stylise.schedule import ANCHOR_GAIN
from videostyle.stylise.state import FinerState, ShotState
from videostyle.stylise.stylizer import Stylizer


@dataclass(frozen=True)
class Given:
    """A picture for a frame; ``load`` gives its pixels, when they are asked for.

    ``share``: in [0, 1], how far the paint has gone over to it since the given frame before; at 1 the frame is it.
    ``begins``: whether later frames are carried on from it.
    """

    load: Callable[[], torch.Tensor]
    share: float = 1.0
    begins: bool = True

    @cached_property
    def pixels(self) -> torch.Tensor:
        """(1, 3, H, W) in [0, 1] at the output's size."""
        return self.load()


# What is given for a frame; None: nothing. It has (1, 3, H, W) pixels at the output's size.
GivenFrames = Callable[[Frame], Given | None]


def as_painted(stylizer: Stylizer, content: torch.Tensor, painted: torch.Tensor) -> OptimisedImage:
    """The picture ``painted`` of ``content``, (1, 3, H, W) in [0, 1] each at the painted octave, with its losses."""
    nothing = torch.zeros_like(content[:, :1])
    return stylizer.optimise(content, FrameTask("given", painted, update_mask=nothing))[0]


def given_finer(
    stylizer: Stylizer, contents: list[torch.Tensor], pictures: list[torch.Tensor]
) -> tuple[FinerState, ...]:
    """The finer octaves of a given frame; ``contents``, ``pictures``: at all octaves, (1, 3, H, W) each."""
    made = []
    for content, picture in zip(contents[1:], pictures[1:], strict=True):
        styles = stylizer.optimiser(content, finer=True).anchored(picture, ANCHOR_GAIN)
        made.append(FinerState(picture, None, styles))
    return tuple(made)


def drawn_to(stylizer: Stylizer, state: ShotState, given: Given) -> ShotState:
    """The state of a frame whose paint has come nearer to the next given frame's, by ``given.share`` in all.

    Frame by frame, so that what two paintings make of one stroke is painted into one.
    """
    step = (given.share - state.drawn) / (1 - state.drawn) if state.drawn < given.share else 0.0
    share = state.stylised.new_full((1, 1, 1, 1), step)
    device = state.stylised.device
    painted, *finer = stylizer.in_octaves(given.pixels.to(device))
    octaves = tuple(
        replace(octave, stylised=with_variance_of(octave.stylised, picture, share))
        for octave, picture in zip(state.finer, finer, strict=True)
    )
    stylised = with_variance_of(state.stylised, painted, share)
    return replace(state, stylised=stylised, finer=octaves, drawn=max(state.drawn, given.share))
