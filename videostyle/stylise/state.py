"""What one frame leaves to the next one of its shot; a run resumes from it."""

from dataclasses import dataclass
from typing import Any

import torch

from videostyle.losses.gram import SecondOrder
from videostyle.losses.style import StyleTarget
from videostyle.optimise.lbfgs import History
from videostyle.optimise.stopping import LossTarget
from videostyle.stylise.palette import Moments
from videostyle.temporal.colour import ColourAnchor
from videostyle.temporal.coverage import Coverage


@dataclass(frozen=True)
class FinerState:
    """What an octave finer than the one that frames are painted at leaves to the next one of its shot.

    ``stylised``: (1, 3, H, W) in [0, 1]. ``history``: the newest of the optimiser's curvature pairs. ``styles``: of
    each area, anchored at the shot's first frame.
    """

    stylised: torch.Tensor
    history: History | None
    styles: tuple[StyleTarget, ...]


@dataclass(frozen=True)
class ShotState:
    """What one frame leaves to the next one of its shot; nothing of it crosses a cut.

    ``source`` and ``stylised``: (1, 3, H, W) float32 in [0, 1]. ``history``: the optimiser's curvature pairs.
    ``coverage``: what is known of every pixel. ``target``: the loss that the shot's frames are taken to. ``styles``: of
    each area, anchored at the shot's first frame. ``colours``: that frame's mean colours. ``temporal_gain``: in (0, 1],
    how firmly moving pixels are held to the frame before. ``finer``: the octaves above the one that the others are of.
    ``look``: what was wanted of the frame, in short; where it changes, anchors and colours move along. ``palette``: the
    source's colours at the beginning of the shot, where the picture has them. ``drawn``: how far the paint has gone
    over to the next given frame's.
    """

    source: torch.Tensor
    stylised: torch.Tensor
    history: History | None
    coverage: Coverage
    target: LossTarget
    styles: tuple[StyleTarget, ...]
    colours: ColourAnchor
    temporal_gain: float
    finer: tuple[FinerState, ...] = ()
    look: str = ""
    palette: Moments | None = None
    drawn: float = 0.0


@dataclass(frozen=True)
class SequenceState:
    """Between two frames: all that later frames need to know of earlier ones.

    ``index``: of the next frame. ``shot``, ``first``: number of the shot of the frame before it, and that shot's first
    index. ``state``: what that frame leaves, a ShotState or another FrameMaker's own; None where a shot begins.
    ``losses``: of that shot's last frames, which the next one's is compared with (`frame_check`).
    """

    index: int = 0
    shot: int = 0
    first: int = 0
    state: Any = None
    losses: tuple[float, ...] = ()


# The classes that a SequenceState is made of, for whoever stores it.
SEQUENCE_STATE_TYPES = (
    *(SequenceState, ShotState, FinerState, LossTarget, History),
    *(Coverage, StyleTarget, SecondOrder, ColourAnchor, Moments),
)
