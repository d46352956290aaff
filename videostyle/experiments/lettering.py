"""Titles, captions and stills for the demo video, as PNGs: drawn by matplotlib, whose fonts are always there."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from videostyle.media.still import to_bytes

PAPER, INK, SOFT = "#141311", "#f1ece3", "#a89f90"
SERIF, SANS = "STIXGeneral", "DejaVu Sans"
DPI = 100.0  # a point is DPI / 72 pixels


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

    def write(self, x: float, y: float, words: str, pixels: float, font: str = SANS, colour: str = INK) -> None:
        """Words with their baseline at (x, y), their letters ``pixels`` high."""
        self.axes.text(x, y, words, fontsize=pixels * 72 / DPI, family=font, color=colour, va="baseline")

    def bar(self, x: float, y: float, width: float, height: float, colour: str = PAPER, alpha: float = 0.72) -> None:
        self.axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, alpha=alpha, linewidth=0))

    def place(self, picture: torch.Tensor, x: float, y: float, width: float, height: float, frame: float = 0) -> None:
        """A picture (1, 3, H, W) cut to fill a box, with a light frame ``frame`` pixels wide."""
        if frame:
            self.bar(x - frame, y - frame, width + 2 * frame, height + 2 * frame, INK, 1.0)
        cut = cropped(picture, width / height)
        self.axes.imshow(to_bytes(cut), extent=(x, x + width, y + height, y), interpolation="lanczos", zorder=2)
        self.axes.set_xlim(0, self.size[0])
        self.axes.set_ylim(self.size[1], 0)

    def save(self, path: Path) -> Path:
        self.figure.savefig(path, dpi=DPI, transparent=self.transparent)
        return path


def cropped(picture: torch.Tensor, ratio: float) -> torch.Tensor:
    """The middle of a picture (1, 3, H, W) with this width over height."""
    height, width = picture.shape[2:]
    w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
    y, x = (height - h) // 2, (width - w) // 2
    return picture[:, :, y : y + max(1, h), x : x + max(1, w)]


def title_card(size: tuple[int, int], still: torch.Tensor, styles: Sequence[torch.Tensor]) -> Sheet:
    """What the video is about, over a row of what goes into it: the clip and the pictures."""
    card = Sheet(size, PAPER)
    card.write(80, 236, "Image style transfer", 92, SERIF)
    card.write(83, 296, "A clip, painted frame by frame in the style of a picture", 27, colour=SOFT)
    height, gap = 150.0, 18.0
    wide = height * still.shape[3] / still.shape[2]
    card.place(still, 83, 430, wide, height)
    card.write(83, 612, "the clip", 19, colour=SOFT)
    x = 83 + wide + 3 * gap
    card.write(x, 612, "the pictures" if len(styles) > 1 else "the picture", 19, colour=SOFT)
    room = (size[0] - 80 - x + gap) / len(styles) - gap
    for style in styles:
        card.place(style, x, 430, min(height, room), height)
        x += min(height, room) + gap
    return card


def end_card(size: tuple[int, int], lines: Sequence[str]) -> Sheet:
    """How it was made."""
    card = Sheet(size, PAPER)
    card.write(80, 236, "How it was made", 76, SERIF)
    for i, line in enumerate(lines):
        card.write(83, 326 + 52 * i, line, 31, colour=INK if i == 0 else SOFT)
    return card


def caption(size: tuple[int, int], words: str, small: str = "", style: torch.Tensor | None = None) -> Sheet:
    """Words at the lower left over a moving picture, and the style picture at the lower right."""
    sheet = Sheet(size)
    width = 44 + max(15.5 * len(words), 10.2 * len(small))
    sheet.bar(0, size[1] - 104, width, 68)
    sheet.write(32, size[1] - 72 if small else size[1] - 60, words, 26)
    if small:
        sheet.write(32, size[1] - 47, small, 17, colour=SOFT)
    if style is not None:
        sheet.place(style, size[0] - 36 - 176, size[1] - 36 - 176, 176, 176, frame=4)
    return sheet


def beside(
    size: tuple[int, int],
    boxes: Sequence[tuple[int, int, int, int]],
    style: torch.Tensor,
    name: str,
    clip: str,
    lines: Sequence[str],
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
    page.place(style, x, y + height + 30, 196, 196)
    page.write(x + 222, y + height + 56, "in the style of", 23, colour=SOFT)
    page.write(x + 222, y + height + 96, name, 28)
    return page
