"""The pictures that recipes speak of: the user's own, the samples, and the pathological start that is made by code."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from videostyle.errors import UsageError
from videostyle.media.decode import Decoder, output_size
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.samples import sample, sample_names

# What stands for an input that the user did not give.
SAMPLES = {"content": "photo.jpg", "style": "styles/brush.jpg", "dark": "dark.jpg", "reference": "reference.jpg"}
MADE = ("pathological", "clip")
CLIP_AT_SECONDS = 1.0
SQUARES = 16  # of the checkerboard, along its longer side


@dataclass
class Inputs:
    """Pictures by name, read once. ``given``: the user's files. ``size``: longer side of what is painted, in pixels."""

    size: int
    given: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.picture = functools.cache(self._picture)

    def style(self, name: str) -> torch.Tensor:
        """The picture at its own size: the painter fits a style to what it paints."""
        return read_picture(self.path(name))

    def path(self, name: str) -> Path:
        """The file behind a name, the user's or a sample."""
        return Path(self.given[name]) if name in self.given else sample(SAMPLES.get(name, name))

    def words(self, name: str) -> str:
        """The file's name, or what was made by code."""
        made = {"pathological": "saturated checkerboard", "clip": "clip.mp4"}
        return made[name] if name in made and name not in self.given else self.path(name).name

    def _picture(self, name: str) -> torch.Tensor:
        """(1, 3, H, W) float32 in [0, 1], no longer than ``size``."""
        if name not in self.given and name == "pathological":
            return checkerboard(*self.picture("content").shape[2:])
        if name == "clip":
            return clip_frame(self.given.get("clip", sample("clip.mp4")), self.size)
        return read_picture(self.path(name), longest=self.size)


def given_inputs(options: Mapping[str, object]) -> dict[str, Path]:
    """The inputs that a user named, out of the command line's options."""
    return {name: Path(str(options[name])) for name in (*SAMPLES, *MADE) if options.get(name) is not None}


def check_folder(folder: Path, of: str) -> None:
    """Refuse a folder that is a file or that cannot be made. Raises UsageError."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; expected a folder for {of}")
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"{folder} cannot be made: the folder above it does not exist; create it first")


def check_input(name: str) -> None:
    """Refuse a name that no picture stands behind. Raises UsageError."""
    if name not in SAMPLES and name not in MADE and name not in sample_names():
        known = ", ".join([*SAMPLES, *MADE, *sample_names()])
        raise UsageError(f"there is no input called {name!r}; there are {known}")


def checkerboard(height: int, width: int, squares: int = SQUARES) -> torch.Tensor:
    """A start that no photograph resembles: squares in fully saturated colours, (1, 3, height, width)."""
    side = max(1, max(height, width) // squares)
    ys, xs = torch.arange(height).view(-1, 1) // side, torch.arange(width) // side
    colours = torch.tensor([[1.0, 0, 0], [0, 1.0, 1.0], [1.0, 0, 1.0], [0, 1.0, 0]])
    kind = (ys + xs) % 2 + 2 * ((ys // 2 + xs // 2) % 2)
    return colours[kind].permute(2, 0, 1)[None].contiguous()


def clip_frame(clip: Path, size: int, at_seconds: float = CLIP_AT_SECONDS) -> torch.Tensor:
    """One frame of a clip as a photograph, (1, 3, H, W), its longer side no longer than ``size`` pixels."""
    info = probe(clip)
    fitted = output_size(info, size, False)
    with Decoder(info, size=fitted, start_seconds=at_seconds, duration_seconds=0.5, threads=1) as decoder:
        return next(iter(decoder)).pixels
