"""What is asked of a run and what it gives back: plain values, for the command line, a page and a cluster alike."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from videostyle.networks.download import DownloadProgress
from videostyle.pipeline.progress import OnProgress
from videostyle.settings import MediaSettings, RunSettings, Settings
from videostyle.settings.look import Look, as_look

Kind = Literal["video", "image", "copy"]  # copy: everything but the stylisation
ENDINGS: dict[Kind, str] = {"video": ".mp4", "image": ".png", "copy": ".mp4"}


@dataclass(frozen=True)
class Request:
    """One output; nothing is checked until it is run."""

    kind: Kind
    source: str | Path  # a clip or a picture
    style: str | Path | Look = "copy"  # a picture, or a look; unused by copy
    output: str | Path | None = None  # by default SOURCE-STYLE with the kind's ending, in the current folder
    settings: Settings = field(default_factory=Settings)
    media: MediaSettings = field(default_factory=MediaSettings)
    run: RunSettings = field(default_factory=RunSettings)
    record_to: str | Path | None = None  # where the run record goes, as JSON

    @property
    def place(self) -> str | Path:
        """The output, given or by default."""
        return self.output or default_output(self.source, self.style, ENDINGS[self.kind])


@dataclass(frozen=True)
class Callbacks:
    """What a run tells and asks on its way. ``should_stop`` is asked after every frame, and after every
    evaluation of a picture; StoppedError follows."""

    on_progress: OnProgress | None = None
    on_download: DownloadProgress | None = None
    should_stop: Callable[[], bool] | None = None


@dataclass(frozen=True)
class Result:
    """What a run made."""

    output: Path
    frames: int
    seconds: float  # of this run
    notices: tuple[str, ...] = ()  # what a careful user wants to know
    record: dict[str, Any] = field(default_factory=dict)  # the run record
    restored: int = 0  # of the frames, those that an earlier run had finished
    redone: int = 0  # frames that an earlier run had finished and that had to be painted again
    url: str = ""  # where the output was put up, where that is no file of this machine


def default_output(source: str | Path, style: str | Path | Look, ending: str) -> Path:
    """``SOURCE-STYLE`` with this ending, in the current folder."""
    return Path(f"{Path(source).stem}-{as_look(style).label}{ending}")
