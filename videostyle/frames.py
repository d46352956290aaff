"""The values that the stages hand to one another: frames and what is known about a clip.

Conventions: pixels are float32 RGB in [0, 1] of shape (1, 3, H, W); a time is an integer timestamp ``pts`` with a
Fraction ``time_base``, or has a name ending in ``_seconds``; frame rates are Fractions.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

# The pixels of a frame that are not kept; one tensor for all, as small ones between large ones fragment the memory
NO_PIXELS = torch.empty(1, 3, 0, 0)
LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709


def luma(pixels: torch.Tensor) -> torch.Tensor:
    """BT.709 luma of RGB, (N, 3, H, W) -> (N, 1, H, W)."""
    return (pixels * pixels.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def to_array(pixels: torch.Tensor, depth: int = 8) -> np.ndarray:
    """float (1, C, H, W), clamped to [0, 1], to (H, W, C) of uint8, or of uint16 for a ``depth`` of 16 bits."""
    kinds = {8: (torch.uint8, np.uint8), 16: (torch.int32, np.uint16)}
    on_device, kind = kinds[depth]
    levels = pixels[0].detach().clamp(0, 1).mul((1 << depth) - 1).round().permute(1, 2, 0).to(on_device)
    return levels.contiguous().cpu().numpy().astype(kind, copy=False)


@dataclass(frozen=True)
class Frame:
    """One picture of a clip. Raises ValueError for pixels of another kind."""

    pixels: torch.Tensor  # float32 RGB in [0, 1], shape (1, 3, H, W)
    pts: int = 0
    time_base: Fraction = Fraction(1, 1)  # pts * time_base is the frame's time in seconds
    cut: bool = False  # whether a new shot begins with it

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.shape[:2] != (1, 3) or self.pixels.dtype != torch.float32:
            given = f"{self.pixels.dtype} {tuple(self.pixels.shape)}"
            raise ValueError(f"a frame is float32 of shape (1, 3, H, W), got {given}")

    @property
    def time_seconds(self) -> Fraction:
        return self.pts * self.time_base

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[3], self.pixels.shape[2]


@dataclass(frozen=True)
class StylisedFrame(Frame):
    """A finished frame, clamped to [0, 1], with what it cost. Losses are those of the clamped pixels."""

    index: int = 0
    shot: int = 0
    start: str = "content"  # what the optimiser started from: content, noise, previous, warped or a picture's name
    evaluations: int = 0  # with those that measured the shot's goal at it
    loss: float = 0.0
    content_loss: float = 0.0
    style_loss: float = 0.0
    optimise_seconds: float = 0.0
    wall_seconds: float = 0.0
    problem: str = ""  # what looked wrong with it, and what was done (stylise/frame_check.py)

    def without_pixels(self) -> "StylisedFrame":
        """What the frame cost, for a record that must not keep a whole clip in memory."""
        return replace(self, pixels=NO_PIXELS)


@dataclass(frozen=True)
class StreamInfo:
    """An audio, subtitle, data or further video stream of the source, as the summary names it."""

    index: int
    kind: str  # "audio", "subtitle", "video", "cover art", "attachment" or "data"
    codec: str
    language: str | None = None
    start_seconds: Fraction | None = None
    duration_seconds: Fraction | None = None


@dataclass(frozen=True)
class VideoInfo:
    """What probing found about a clip and the video stream that was chosen in it.

    ``width`` and ``height`` are what a viewer sees: rotated, with square pixels. The coded size, rotation and
    sample aspect ratio are kept beside them. What the file does not say is None, never a guess.
    """

    path: Path
    container: str
    stream_index: int
    codec: str
    width: int
    height: int
    coded_width: int
    coded_height: int
    time_base: Fraction
    rotation_degrees: int = 0  # clockwise, as a viewer must turn the coded picture: 0, 90, 180 or 270
    mirrored: bool = False  # left to right, before it is turned
    sample_aspect_ratio: Fraction = Fraction(1, 1)
    average_rate: Fraction | None = None
    start_seconds: Fraction = Fraction(0)  # the container's clock at the clip's beginning; frames count from here
    first_seconds: Fraction | None = None  # the same clock at the first picture
    duration_seconds: Fraction | None = None
    frames: int | None = None  # from the container's header, an estimate
    pixel_format: str = "yuv420p"
    bit_depth: int = 8
    has_alpha: bool = False
    interlaced: bool = False
    color_matrix: str | None = None  # FFmpeg's names: bt709, smpte170m, bt2020nc, ...
    color_primaries: str | None = None
    color_transfer: str | None = None
    full_range: bool = False
    chapters: int = 0
    streams: tuple[StreamInfo, ...] = ()  # every other stream of the file
    notices: tuple[str, ...] = field(default=())  # what a careful user wants to know: assumptions, things left out
