"""Sheets as PNG and PDF, laid out as on the slides."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from videostyle.experiments import plots
from videostyle.experiments.sheet import Drawing, Panel, Row, Sheet
from videostyle.frames import to_array

WIDTH, MARGIN, GAP = 12.0, 0.4, 0.14  # inches
LABEL, ROW_LABEL, HEAD, LINE = 0.3, 0.32, 0.62, 0.2  # inches of height
ABOVE, BELOW = 0.5, 0.55  # of a drawing, for its legend and axis
MOST_COLUMNS = 5
DPI = 160
STYLE: Any = {  # matplotlib types its names one by one
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), plots.INK),
    "axes.linewidth": 0.8,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


def write_figure(sheet: Sheet, folder: Path) -> None:
    """``NAME.png`` and ``NAME.pdf`` with the pictures, ``losses.png`` and ``losses.pdf`` with the curves, if any."""
    with matplotlib.rc_context(STYLE):
        _save(_Poster(sheet).figure, folder / sheet.recipe.name)
        if curves := [d for d in sheet.drawings if d.name.startswith("loss-")]:
            _save(_side_by_side(curves), folder / "losses")


def _save(figure: Figure, stem: Path) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(stem.with_suffix(".png"), dpi=DPI)
    figure.savefig(stem.with_suffix(".pdf"), dpi=DPI, metadata={"CreationDate": None})


def _side_by_side(drawings: Sequence[Drawing]) -> Figure:
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    for axes, drawing in zip(figure.subplots(1, len(drawings), squeeze=False)[0], drawings, strict=True):
        drawing.draw(axes)
        axes.set_title(drawing.title, loc="left", fontsize="medium", fontweight="bold")
    return figure


class _Poster:
    """A figure that grows downwards: title, rows of pictures, drawings, answer, settings. Heights in inches."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.rows = [part for row in sheet.rows for part in _broken(row)]
        self.columns = max([len(row.panels) for row in self.rows], default=1)
        self.drawings = [d for d in sheet.drawings if not d.name.startswith("loss-")]
        self.caption = textwrap.wrap(sheet.answer or sheet.recipe.caption, 165)
        self.settings = textwrap.wrap("  ·  ".join(f"{k} {v}" for k, v in sheet.settings), 170)
        self.cell_width = (WIDTH - 2 * MARGIN - (self.columns - 1) * GAP) / max(self.columns, 3)
        self.height = self.top = self._height()
        self.figure = Figure(figsize=(WIDTH, self.height))
        self._draw()

    def _row_height(self, row: Row) -> float:
        labels = LABEL if any(p.label for p in row.panels) else GAP
        return _tallness(row) * self.cell_width + labels + (ROW_LABEL if row.label else 0)

    def _height(self) -> float:
        words = (len(self.caption) + len(self.settings)) * LINE + 0.3
        return HEAD + MARGIN + sum(map(self._row_height, self.rows)) + sum(map(_drawing_height, self.drawings)) + words

    def _draw(self) -> None:
        self._write(self.sheet.recipe.title, HEAD, fontsize=16, fontweight="bold")
        for row in self.rows:
            self._draw_row(row)
        for drawing in self.drawings:
            self._draw_drawing(drawing)
        self.top -= 0.1
        for line in self.caption:
            self._write(line, LINE)
        self.top -= 0.06
        for line in self.settings:
            self._write(line, LINE, fontsize=8, alpha=0.65)

    def _write(self, words: str, height: float, left: float = MARGIN, **how: Any) -> None:
        self.figure.text(left / WIDTH, (self.top - height * 0.75) / self.height, words, va="baseline", **how)
        self.top -= height

    def _draw_row(self, row: Row) -> None:
        bottom = self.top - self._row_height(row)
        lefts = [MARGIN + i * (self.cell_width + GAP) for i in range(len(row.panels))]
        if row.label:
            first = sum(p.is_input for p in row.panels) % len(row.panels)
            self._write(row.label, ROW_LABEL, left=lefts[first], fontweight="bold", fontsize=10.5)
        for panel, left in zip(row.panels, lefts, strict=True):
            if panel.label or not panel.is_input:  # else it only keeps a place free
                self._draw_panel(panel, left, _tallness(row) * self.cell_width)
        self.top = bottom

    def _draw_panel(self, panel: Panel, left: float, height: float) -> None:
        """A picture in its cell; one of another shape is fitted into it."""
        width, whole = self.cell_width, self.height
        box = (left / WIDTH, (self.top - height) / whole, width / WIDTH, height / whole)
        axes = self.figure.add_axes(box, anchor="C")
        axes.imshow(to_array(panel.pixels), interpolation="antialiased")
        axes.set_axis_off()
        how: dict[str, Any] = {"ha": "center", "va": "top", "style": "italic" if panel.is_input else "normal"}
        axes.annotate(panel.label, (0.5, 0), (0, -4), "axes fraction", "offset points", **how)

    def _draw_drawing(self, drawing: Drawing) -> None:
        height, whole = _drawing_height(drawing), self.height
        inner = height - ABOVE - BELOW
        width = min(WIDTH - 2 * MARGIN, inner * drawing.aspect)
        left = MARGIN + (0.6 if drawing.aspect < 3 else 0)
        box = (left / WIDTH, (self.top - ABOVE - inner) / whole, width / WIDTH, inner / whole)
        drawing.draw(self.figure.add_axes(box))
        self.top -= height


def _drawing_height(drawing: Drawing) -> float:
    return min((WIDTH - 2 * MARGIN) / drawing.aspect, 3.6) + ABOVE + BELOW


def _tallness(row: Row) -> float:
    """Height over width of a row's cells: that of what was made; of inputs, where there is nothing else."""
    made = [p for p in row.panels if not p.is_input] or list(row.panels)
    return max(p.pixels.shape[2] / p.pixels.shape[3] for p in made)


def _broken(row: Row) -> list[Row]:
    """A row that is too long for the page as several of even length."""
    lines = max(1, -(-len(row.panels) // MOST_COLUMNS))
    width = max(1, -(-len(row.panels) // lines))
    starts = range(0, max(1, len(row.panels)), width)
    return [Row(row.panels[i : i + width], "" if i else row.label) for i in starts]
