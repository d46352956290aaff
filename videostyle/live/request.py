"""What is asked of a live session and what it gives back."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videostyle.pipeline.job import default_size
from videostyle.settings import LiveSettings, MediaSettings, Settings

PIPE = "-"


@dataclass(frozen=True)
class LiveRequest:
    """What a session is to do; nothing is checked until it runs.

    ``styles`` and ``models``: pictures, whose networks are trained where there are none, and files of networks; keys 1
    to 9 choose among them. ``source``: a clip, ``-`` for standard input, None for the camera ``device``. ``output``: a
    clip; a camera's recording is kept beside it. ``window``: None: where there is no output, or a camera.
    """

    styles: tuple[str | Path, ...] = ()
    models: tuple[str | Path, ...] = ()
    source: str | Path | None = None
    device: str | None = None
    microphone: str | None = None
    output: str | Path | None = None
    window: bool | None = None
    virtual_camera: bool = False
    settings: Settings = field(default_factory=Settings)
    media: MediaSettings = field(default_factory=MediaSettings)
    live: LiveSettings = field(default_factory=LiveSettings)
    record_to: str | Path | None = None

    @property
    def size(self) -> int:
        """Longer side of the pictures, in pixels."""
        return self.media.size or default_size(self.settings.replace(quality="draft"))

    @property
    def shows_window(self) -> bool:
        """Whether there is a window."""
        if self.window is not None:
            return self.window
        return not self.virtual_camera and (self.output is None or self.source is None)


@dataclass(frozen=True)
class LiveResult:
    """``totals``: frames, frames_per_second, latency in milliseconds, drops, sizes. ``problem``: why the source ended
    before its time."""

    output: Path | None
    recording: Path | None
    totals: dict[str, Any]
    problem: str = ""


def from_clip(request: LiveRequest) -> bool:
    """Whether the frames come from a file."""
    return request.source is not None and str(request.source) != PIPE
