"""What a stylised frame leaves to the next one: where that one starts, what it keeps to, and what stays untouched.

Three ideas, each a pure function of pictures:

- the previous stylised frame, moved along the flow, is the start, and the temporal loss holds the picture to it where
  the flow can be trusted (Ruder, Dosovitskiy and Brox 2016, section 4);
- what comes into view begins as the content, its colours moved to those of the picture being painted: neither grey nor
  a ghost of what was there before;
- what stands still, is finished, and looks the same as when it was painted is left alone. However small its steps, an
  optimiser that is run for a thousand frames crawls and sharpens; a pixel that nothing has happened to must not change.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from videostyle.motion.warp import Warp

# For how many frames a pixel is painted after it came into view or changed, before it may be left alone.
FRAMES_TO_FINISH = 4
# A pixel has changed if the mean of the 5 x 5 pixels around it did by more than this, in any channel, since it was
# painted. Noise of sigma 2/255 moves that mean by 0.6/255.
CHANGE = 3 / 255
CHANGE_RADIUS = 2
# Pixels around a changed one are painted with it: brush strokes are wider than a pixel.
MARGIN = 4
# Lai et al. 2018: alpha of the visibility mask, for pixels in [0, 1].
LIKENESS = 50.0


@dataclass(frozen=True)
class Painted:
    """What is known of every pixel of the shot's last picture.

    ``source``: (1, 3, H, W), the source as it was when the pixel was last painted. ``frames``: (1, 1, H, W), for how
    many frames it has been painted since it came into view, at most FRAMES_TO_FINISH.
    """

    source: torch.Tensor
    frames: torch.Tensor

    @classmethod
    def whole(cls, source: torch.Tensor) -> "Painted":
        """After the first frame of a shot, which is optimised until it converges: everything is finished."""
        return cls(source, torch.full_like(source[:, :1], FRAMES_TO_FINISH))

    def next(self, content: torch.Tensor, warp: Warp) -> tuple[torch.Tensor, "Painted"]:
        """(which pixels to paint in the frame ``content``, what is known after it); mask (1, 1, H, W) of 0 and 1."""
        source, frames = warp(self.source), warp(self.frames).clamp(0, FRAMES_TO_FINISH) * warp.visible_before
        frames = frames * (1 - changed(content, source))
        leave = warp.still * warp.visible_before * (frames >= FRAMES_TO_FINISH - 0.5)
        paint = grown(1 - leave, MARGIN)
        after = Painted(torch.lerp(source, content, paint), (frames + paint).clamp(0, FRAMES_TO_FINISH))
        return paint, after

    def unfinished(self, free: torch.Tensor) -> float:
        """Share of the pixels that are painted and not finished."""
        return (free * (self.frames < FRAMES_TO_FINISH - 0.5)).mean().item()


def changed(content: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Mask (1, 1, H, W), 1 where the picture differs by more than noise does."""
    size = 2 * CHANGE_RADIUS + 1
    mean = F.avg_pool2d(content - before, size, stride=1, padding=CHANGE_RADIUS, count_include_pad=False)
    return (mean.abs().amax(1, keepdim=True) > CHANGE).to(content.dtype)


def grown(mask: torch.Tensor, radius: int) -> torch.Tensor:
    """A mask (1, 1, H, W) of 0 and 1 with its ones grown by ``radius`` pixels."""
    return F.max_pool2d(mask, 2 * radius + 1, stride=1, padding=radius)


def doubted(warp: Warp, content: torch.Tensor, source: torch.Tensor) -> Warp:
    """``warp`` with masks that also ask whether the source looks the same along it: a quick hand fools both flows.

    Times exp(-50 |I_t - warp(I_t-1)|^2), summed over channels (Lai et al. 2018, their visibility mask, section 3.2),
    smoothed against noise. What was seen before is doubted later than what may be compared: four times that, at most 1.
    """
    difference = F.avg_pool2d(content - warp(source), 3, stride=1, padding=1, count_include_pad=False)
    alike = torch.exp(-LIKENESS * difference.square().sum(1, keepdim=True))
    return Warp(warp.flow, warp.mask * alike, warp.visible_before * (4 * alike).clamp_max(1))


def start(stylised: torch.Tensor, content: torch.Tensor, warp: Warp) -> torch.Tensor:
    """The previous stylised frame moved along the flow; what was not seen before begins in its palette."""
    moved = warp(stylised).clamp(0, 1)
    return torch.lerp(recoloured(content, stylised), moved, warp.visible_before)


def recoloured(content: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``content`` with the mean and deviation of every channel of ``like`` (Reinhard et al. 2001, but in RGB)."""
    mean, deviation = content.mean((2, 3), keepdim=True), content.std((2, 3), keepdim=True)
    wanted, spread = like.mean((2, 3), keepdim=True), like.std((2, 3), keepdim=True)
    return ((content - mean) / deviation.clamp_min(1 / 255) * spread + wanted).clamp(0, 1)


def temporal_weight(coherence: float) -> float:
    """The weight of the temporal loss for ``coherence`` in [0, 1]: 0 at 0, then from GAMMA / 100 to 100 GAMMA."""
    return GAMMA * 100.0 ** (2 * coherence - 1) if coherence > 0 else 0.0


# Weight of the temporal loss at coherence 0.5: see scripts/benchmark/temporal.py for the curve it was taken from.
GAMMA = 1e13
