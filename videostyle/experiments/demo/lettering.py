"""Titles, captions and stills for the demo video, as PNGs: drawn by matplotlib, whose fonts are always there."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from videostyle.frames import to_array

PAPER, INK, SOFT = "#141311", "#f1ece3", "#a89f90"
SERIF, SANS, MONO = "STIXGeneral", "DejaVu Sans", "DejaVu Sans Mono"
DPI = 100.0  # a point is DPI / 72 pixels
Box = tuple[int, int, int, int]  # x, y, width, height


class Sheet:
    """A picture of ``size`` (width, height) pixels to write on; y counts downwards. ``paper``: None is transparent."""

    def __init__(self, size: tuple[int, int], paper: str | None = None) -> None:
        self.size, self.transparent = size, paper is None
        with matplotlib.rc_context({"font.family": SANS}):
            self.figure = Figure((size[0] / DPI, size[1] / DPI), DPI, facecolor=paper or "none")
            self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_xlim(0, size[0])
        self.axes.set_ylim(size[1], 0)
        self.axes.set_axis_off()

    def write(
        self, x: float, y: float, words: str, pixels: float, font: str = SANS, colour: str = INK, **how: Any
    ) -> None:
        """Words with their baseline at (x, y), their letters ``pixels`` high; ``how``: more for matplotlib."""
        self.axes.text(x, y, words, fontsize=pixels * 72 / DPI, family=font, color=colour, va="baseline", **how)

    def shade(self, top: float, bottom: float) -> None:
        """Dim what lies below the whole sheet, by so much (0 to 1) at its top and at its bottom."""
        column = np.full((self.size[1], 1, 4), colors.to_rgba(PAPER))
        column[:, 0, 3] = np.linspace(top, bottom, self.size[1])
        self._show(column, 0, 0, *self.size)

    def place(self, picture: torch.Tensor, x: float, y: float, width: float, height: float, frame: float = 0) -> None:
        """A picture (1, 3, H, W) cut to fill a box, with a light frame ``frame`` pixels wide."""
        corner, wide, tall = (x - frame, y - frame), width + 2 * frame, height + 2 * frame
        self.axes.add_patch(Rectangle(corner, wide, tall, facecolor=INK, linewidth=0, zorder=0))
        self._show(to_array(cropped(picture, width / height)), x, y, width, height)

    def _show(self, pixels: np.ndarray, x: float, y: float, width: float, height: float) -> None:
        self.axes.imshow(pixels, extent=(x, x + width, y + height, y), interpolation="lanczos")

    def save(self, path: Path) -> Path:
        self.figure.savefig(path, dpi=DPI, transparent=self.transparent)
        return path


def cropped(picture: torch.Tensor, ratio: float) -> torch.Tensor:
    """The middle of a picture (1, 3, H, W) with this width over height."""
    height, width = picture.shape[2:]
    w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
    y, x = (height - h) // 2, (width - w) // 2
    return picture[:, :, y : y + max(1, h), x : x + max(1, w)]


def title_card(size: tuple[int, int], styles: Sequence[torch.Tensor]) -> Sheet:
    """What the video is about, over the dimmed, moving result, above a row of the pictures that go into it."""
    card = Sheet(size)
    card.shade(0.4, 0.92)
    card.write(78, 330, "Image style transfer", 118, SERIF)
    card.write(84, 392, "A clip, painted frame by frame in the style of a picture", 30)
    side, gap = 168.0, 20.0
    step = min(side + gap, (size[0] - 2 * 84 + gap) / len(styles))
    for i, style in enumerate(styles):
        card.place(style, 84 + i * step, 476, step - gap, side, frame=3)
    return card


def end_card(
    size: tuple[int, int], stills: Sequence[tuple[str, torch.Tensor]], command: str, lines: Sequence[str]
) -> Sheet:
    """``stills`` with their names as a grid, the command that makes the video below, how it was done in ``lines``."""
    card = Sheet(size, PAPER)
    width, height = size[0] - 100, 546
    name, gap = 46.0, 20.0  # pixels for a still's name, between stills
    ratio = stills[0][1].shape[3] / stills[0][1].shape[2]
    count = len(stills)

    def widest(columns: int) -> float:
        return min((width + gap) / columns - gap, (height / math.ceil(count / columns) - name) * ratio)

    # as large as they can be, with few places left empty
    columns = max(range(1, count + 1), key=lambda c: widest(c) * count / (c * math.ceil(count / c)))
    rows, wide = math.ceil(count / columns), widest(columns)
    left = (size[0] - columns * (wide + gap) + gap) / 2
    top = 36 + (height - rows * (wide / ratio + name)) / 2
    for i, (words, still) in enumerate(stills):
        x, y = left + i % columns * (wide + gap), top + i // columns * (wide / ratio + name)
        card.place(still, x, y, wide, wide / ratio)
        card.write(x, y + wide / ratio + 26, words, 21, colour=SOFT)
    for i, line in enumerate(textwrap.wrap(f"$ {command}", 66)[:2]):
        card.write(50, 622 + 34 * i, line, 29, MONO)
    card.write(50, 694, " · ".join(lines), 19, colour=SOFT)
    return card


def caption(size: tuple[int, int], words: str, style: torch.Tensor | None = None) -> Sheet:
    """Words at the lower left over a moving picture, and the style picture at the lower right."""
    sheet = Sheet(size)
    sheet.write(52, size[1] - 58, words, 28, bbox={"facecolor": PAPER, "alpha": 0.72, "linewidth": 0, "pad": 11})
    if style is not None:
        sheet.place(style, size[0] - 36 - 176, size[1] - 36 - 176, 176, 176, frame=4)
    return sheet


def beside(
    size: tuple[int, int], boxes: Sequence[Box], style: torch.Tensor, name: str, clip: str, lines: Sequence[str]
) -> Sheet:
    """The page that two clips play on: ``boxes`` (x, y, width, height) of both clips, words and style below."""
    page = Sheet(size, PAPER)
    for words, (x, y, _, _) in zip(("Source", "Stylised"), boxes, strict=True):
        page.write(x, y - 20, words, 36, SERIF)
    x, y, _, height = boxes[0]
    page.write(x, y + height + 56, clip, 28)
    for i, line in enumerate(lines):
        page.write(x, y + height + 106 + 38 * i, line, 23, colour=SOFT)
    x, y, _, height = boxes[1]
    tall = size[1] - (y + height) - 60.0
    wide = min(tall * style.shape[3] / style.shape[2], 380)
    page.place(style, x, y + height + 30, wide, tall)
    page.write(x + wide + 24, y + height + 56, "in the style of", 23, colour=SOFT)
    page.write(x + wide + 24, y + height + 96, name, 28)
    return page
