"""Which FrameMaker the settings mean, and which flow."""

from collections.abc import Callable

import torch

from videostyle.stylise.choose_flow import estimator_of, flow_network_of
from videostyle.stylise.frame_maker import FrameMaker
from videostyle.stylise.given import GivenFrames
from videostyle.stylise.keyframes import Keyframes
from videostyle.stylise.network_frames import NetworkFrames, draft_flow
from videostyle.stylise.sequence import EveryFrame
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.flow import FlowEstimator
from videostyle.temporal.warp import Warp

# The octave that a network's flow is estimated at, from the painted one, 0: it sees an eighth of the pixels a side.
NETWORK_OCTAVE = 1


def flow_of(stylizer: Stylizer) -> FlowEstimator:
    """The optical flow that the settings' FrameMaker asks for, between frames of any octave."""
    if stylizer.settings.quality == "draft":
        return draft_flow(stylizer.settings, flow_network_of(stylizer))
    estimate = estimator_of(stylizer)
    octave = 0 if stylizer.flow_network is None else NETWORK_OCTAVE

    def between(current: torch.Tensor, previous: torch.Tensor) -> Warp:
        octaves = stylizer.in_octaves(current), stylizer.in_octaves(previous)
        return estimate(*(frames[min(octave, len(frames) - 1)] for frames in octaves))

    return between


def frame_maker_of(
    stylizer: Stylizer,
    flow: FlowEstimator | None = None,
    on_evaluation: Callable[[int, int, float], None] | None = None,
    given: GivenFrames | None = None,
) -> FrameMaker:
    """Drafts are painted by the style's network alone; everything else is optimised: every frame, or the keys."""
    if stylizer.settings.quality == "draft":
        return NetworkFrames(stylizer, flow)
    maker = Keyframes if stylizer.settings.uses_keyframes else EveryFrame
    return maker(stylizer, flow, on_evaluation, given)
