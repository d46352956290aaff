"""Which FrameMaker the settings mean."""

from collections.abc import Callable

from videostyle.stylise.frame_maker import FrameMaker
from videostyle.stylise.network_frames import NetworkFrames
from videostyle.stylise.sequence import EveryFrame
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.flow import FlowEstimator


def frame_maker_of(
    stylizer: Stylizer,
    flow: FlowEstimator | None = None,
    on_evaluation: Callable[[int, int, float], None] | None = None,
) -> FrameMaker:
    """Drafts are painted by the style's network alone; everything else is optimised, frame by frame."""
    if stylizer.settings.quality == "draft":
        return NetworkFrames(stylizer, flow)
    return EveryFrame(stylizer, flow, on_evaluation)
