"""What is asked of a run and what it gives back: plain values, for the command line, a page and a cluster alike."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from videostyle.networks.download import DownloadProgress
from videostyle.pipeline.progress import OnProgress
from videostyle.settings import MediaSettings, RunSettings, Settings

Kind = Literal["video", "image", "copy"]  # copy: everything but the stylisation
ENDINGS: dict[Kind, str] = {"video": ".mp4", "image": ".png", "copy": ".mp4"}


@dataclass(frozen=True)
class Request:
    """One output: ``source``, a clip or a picture, in the style of the picture ``style`` (unused by copy).

    ``output``: by default ``SOURCE-STYLE`` with the kind's ending, in the current folder. ``record_to``: where the run
    record goes as JSON. Nothing is checked until it is run.
    """

    kind: Kind
    source: str | Path
    style: str | Path = "copy"
    output: str | Path | None = None
    settings: Settings = field(default_factory=Settings)
    media: MediaSettings = field(default_factory=MediaSettings)
    run: RunSettings = field(default_factory=RunSettings)
    record_to: str | Path | None = None

    @property
    def place(self) -> str | Path:
        """The output, given or by default."""
        return self.output or default_output(self.source, self.style, ENDINGS[self.kind])


@dataclass(frozen=True)
class Callbacks:
    """What a run tells and asks on its way. ``should_stop`` is asked after every frame; StoppedError follows."""

    on_progress: OnProgress | None = None
    on_download: DownloadProgress | None = None
    should_stop: Callable[[], bool] | None = None


@dataclass(frozen=True)
class Result:
    """What a run made. ``notices``: what a careful user wants to know. ``record``: the run record.

    ``restored``: how many of the ``frames`` an earlier run had finished, ``redone``: how many it had finished that had
    to be painted again. ``seconds``: of this run.
    """

    output: Path
    frames: int
    seconds: float
    notices: tuple[str, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)
    restored: int = 0
    redone: int = 0


def default_output(source: str | Path, style: str | Path, ending: str) -> Path:
    """``SOURCE-STYLE`` with this ending, in the current folder."""
    return Path(f"{Path(source).stem}-{Path(style).stem}{ending}")
