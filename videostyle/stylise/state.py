"""What one frame leaves to the next one of its shot, and how a frame is begun."""

from dataclasses import dataclass

import torch

from videostyle.losses.pixel import Prior
from videostyle.losses.style import StyleTarget
from videostyle.optimise.lbfgs import History
from videostyle.optimise.stopping import LossTarget
from videostyle.temporal.colour import ColourAnchor
from videostyle.temporal.coverage import Coverage


@dataclass(frozen=True)
class ShotState:
    """What one frame leaves to the next one of its shot; nothing of it crosses a cut.

    ``source`` and ``stylised``: (1, 3, H, W) float32 in [0, 1]. ``history``: the optimiser's curvature pairs.
    ``coverage``: what is known of every pixel. ``target``: how far the others are to be taken. ``style``: the style,
    anchored at what the shot's first frame had reached of it when it was as good as that. ``colours``: of the shot's
    first frame.
    """

    source: torch.Tensor
    stylised: torch.Tensor
    history: History | None
    coverage: Coverage
    target: LossTarget
    style: StyleTarget
    colours: ColourAnchor
    temporal_gain: float


@dataclass(frozen=True)
class SequenceState:
    """Between two frames: all that the frames to come need to know of those before. A run can be gone on with here.

    ``index``: the next frame's. ``shot``, ``first``: of the frame before it, its shot and where that began. ``losses``:
    of the last frames of that shot, what the next one's is compared with.
    """

    index: int = 0
    shot: int = 0
    first: int = 0
    state: ShotState | None = None
    losses: tuple[float, ...] = ()


# Everything that a position is made of, for whoever stores it.
SEQUENCE_STATE_TYPES = (SequenceState, ShotState, LossTarget, History, Coverage, StyleTarget, ColourAnchor)


@dataclass(frozen=True)
class FrameTask:
    """How a frame is begun: what ``ImageOptimiser.run`` takes beside the content, and what is known after it."""

    name: str
    start: torch.Tensor
    history: History | None = None
    priors: tuple[Prior, ...] = ()
    update_mask: torch.Tensor | None = None
    target: float | None = None
    min_evaluations: int | None = None
    style: StyleTarget | None = None
    repair_mask: torch.Tensor | None = None
    coverage: Coverage | None = None
    snapshot_at: int | None = None
