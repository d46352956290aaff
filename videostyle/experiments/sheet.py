"""A figure as data: rows of labelled pictures, drawings, settings, findings. Drawn by `figures` and by `page` alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from videostyle.experiments.recipes import Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Panel:
    """One picture, (1, 3, H, W) in [0, 1], with its label; ``note`` is the file behind it."""

    label: str
    pixels: torch.Tensor
    note: str = ""
    is_input: bool = False


@dataclass(frozen=True)
class Row:
    """Pictures side by side under a label."""

    panels: tuple[Panel, ...]
    label: str = ""


@dataclass(frozen=True)
class Drawing:
    """Something drawn with matplotlib on an axes of its own. ``words`` say it to a person who does not see it."""

    name: str
    title: str
    draw: Callable[["Axes"], None]
    words: str = ""
    aspect: float = 1.6  # width over height


@dataclass(frozen=True)
class Sheet:
    """A figure that is ready to be drawn. ``findings``: numbers for the record; ``answer``: in one sentence."""

    recipe: Recipe
    rows: tuple[Row, ...]
    drawings: tuple[Drawing, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    findings: Mapping[str, Any] = field(default_factory=dict)
    answer: str = ""
    runs: tuple[Mapping[str, Any], ...] = ()
