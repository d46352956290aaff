"""How far a stylised clip is from its content, from its style, and from holding still where the world does.

Pure functions on float frames, (1, 3, H, W) float32 RGB in [0, 1]; no 8-bit value and no encoded video is measured.
Style and content distance are the product's own losses without their weights. A small warp error alone proves little (a
blurred or unstylised clip has the smallest): read it beside the style distance, and above the source's own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from videostyle.motion.warp import Warp
from videostyle.perception.objective import ContentTarget, Losses, LossWeights, Objective, StyleTarget
from videostyle.perception.trunk import Trunk


def style_distance(trunk: Trunk, picture: torch.Tensor, style: StyleTarget) -> float:
    """The style loss of ``picture``: mean of E_l over the layers of ``style``, as the objective has it, unweighted."""
    layers = tuple(style.grams)
    return _losses(trunk, picture, picture, style, (), layers).style.item()


def content_distance(trunk: Trunk, picture: torch.Tensor, content: torch.Tensor, layers: tuple[str, ...]) -> float:
    """The content loss of ``picture`` against ``content`` (same size) at ``layers``, unweighted."""
    nothing = StyleTarget(trunk, content, ())
    return _losses(trunk, picture, content, nothing, layers, ()).content.item()


def _losses(
    trunk: Trunk,
    picture: torch.Tensor,
    content: torch.Tensor,
    style: StyleTarget,
    content_layers: tuple[str, ...],
    style_layers: tuple[str, ...],
) -> Losses:
    weights = LossWeights(1.0, 1.0, 0.0, content_layers, style_layers)
    return Objective(trunk, ContentTarget(trunk, content, content_layers), style, weights).value(picture)


def warp_error(current: torch.Tensor, previous: torch.Tensor, warp: Warp) -> float:
    """Masked squared warp error: mean over trusted pixels of |x_t - warp(x_t-1)|^2, averaged over the channels.

    As in Lai et al. 2018, section 4.2: squared, no root, pixels in [0, 1], normalised by the sum of the mask.
    Departures: the mean runs over the channels too, and the warp is the product's own (bicubic, still pixels copied).
    ``warp`` leads from ``current`` to ``previous``. NaN where no pixel is trusted: there is nothing to say.
    """
    squared = (current - warp(previous)).square().mean(1, keepdim=True)
    return ((warp.mask * squared).sum() / warp.mask.sum()).item()


@dataclass(frozen=True)
class WarpError:
    """Warp error of a stylised frame and, as the floor, the source's own with the same flow and mask."""

    stylised: float
    source: float

    @property
    def excess(self) -> float:
        """What the stylisation added; the floor holds noise, changing light and the flow's own mistakes."""
        return self.stylised - self.source


def short_term(
    stylised: Iterable[torch.Tensor], source: Iterable[torch.Tensor], warps: Iterable[Warp]
) -> Iterator[WarpError]:
    """Each frame from the second on against the one before. ``warps``: from frame t to t-1, for t = 1, 2, ..."""
    return _against(stylised, source, warps, follow=True)


def long_term(
    stylised: Iterable[torch.Tensor], source: Iterable[torch.Tensor], warps: Iterable[Warp]
) -> Iterator[WarpError]:
    """Each frame from the second on against the first. ``warps``: from frame t to frame 0, for t = 1, 2, ..."""
    return _against(stylised, source, warps, follow=False)


def _against(
    stylised: Iterable[torch.Tensor], source: Iterable[torch.Tensor], warps: Iterable[Warp], follow: bool
) -> Iterator[WarpError]:
    """Frames are read one at a time; the frame compared with moves along (``follow``) or stays the first."""
    pairs = zip(stylised, source, strict=True)
    anchor = next(pairs, None)
    if anchor is None:
        return
    for frame, warp in zip(pairs, warps, strict=True):
        yield WarpError(warp_error(frame[0], anchor[0], warp), warp_error(frame[1], anchor[1], warp))
        if follow:
            anchor = frame


def mean_excess(errors: Iterable[WarpError]) -> float:
    """Mean over frames of what the stylisation added; frames without a trusted pixel do not count. NaN if none do."""
    found = [e.excess for e in errors if e.excess == e.excess]
    return sum(found) / len(found) if found else float("nan")
