"""Drafts: frames painted by a style network alone."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from videostyle.frames import Frame, StylisedFrame
from videostyle.networks.raft import Raft
from videostyle.settings import DRAFT_FLOW_SIZE, Settings
from videostyle.stylise import frame_check
from videostyle.stylise.choose_flow import estimator_named, flow_network_of
from videostyle.stylise.frame_maker import OnState
from videostyle.stylise.state import SequenceState
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.flow import FlowEstimator, fast_dis_flow, reduced
from videostyle.temporal.trust import with_photometric_confidence
from videostyle.temporal.warp import Warp


@dataclass(frozen=True)
class DraftState:
    """What a draft's frame leaves to the next of its shot: source and picture, (1, 3, H, W) in [0, 1]."""

    source: torch.Tensor
    stylised: torch.Tensor


class NetworkFrames:
    """The FrameMaker of drafts: each frame by the stylizer's network, which sees the last picture moved along the flow.

    ``flow``: as for `EveryFrame`, by default `draft_flow`.
    """

    state_types = (SequenceState, DraftState)

    def __init__(self, stylizer: Stylizer, flow: FlowEstimator | None = None) -> None:
        self.stylizer = stylizer
        self._flow = flow or draft_flow(stylizer.settings, flow_network_of(stylizer))

    def frames(
        self, source: Iterable[Frame], state: SequenceState | None = None, on_state: OnState | None = None
    ) -> Iterator[StylisedFrame]:
        """See `FrameMaker.frames`."""
        position = state or SequenceState()
        for index, frame in enumerate(source, position.index):
            if frame.cut and index > 0:
                position = SequenceState(index, position.shot + 1, index)
            began = time.perf_counter()
            content = frame.pixels.to(self.stylizer.machine.device)
            pixels = self._paint(content, position.state)
            after = DraftState(content, pixels)
            position = SequenceState(index + 1, position.shot, position.first, after)
            if on_state is not None:
                on_state(position)
            seconds = time.perf_counter() - began
            yield StylisedFrame(
                pixels=pixels,
                pts=frame.pts,
                time_base=frame.time_base,
                cut=frame.cut,
                index=index,
                shot=position.shot,
                start="network",
                optimise_seconds=seconds,
                wall_seconds=seconds,
                problem=frame_check.problem(pixels, content, 0.0, torch.zeros(0), ()),
            )

    def _paint(self, content: torch.Tensor, before: DraftState | None) -> torch.Tensor:
        painter = self.stylizer.network_painter
        if before is None:
            return painter.paint(content)
        return painter.paint_after(content, before.stylised, self._flow(content, before.source).to(content.device))


def draft_flow(settings: Settings, network: Raft | None = None) -> FlowEstimator:
    """The flow of drafts: its masks also ask whether the source looks the same along it, at the flow's own size."""
    estimate = fast_dis_flow if settings.flow == "dis" else estimator_named(settings.flow, network)

    def confident(current: torch.Tensor, previous: torch.Tensor) -> Warp:
        return with_photometric_confidence(estimate(current, previous), current, previous)

    return reduced(confident, settings.flow_size or DRAFT_FLOW_SIZE)
