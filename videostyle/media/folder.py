"""A folder of PNGs with their times beside them: the one output that loses nothing but float precision."""

from fractions import Fraction
from pathlib import Path

import torch

from videostyle.errors import MediaError
from videostyle.files import write_json
from videostyle.media import publish
from videostyle.media.still import save_png


class FolderSink:
    """Writes `000000.png`, `000001.png`, ... and `timestamps.json` (ticks, time base, seconds, comment)."""

    def __init__(self, folder: Path, time_base: Fraction, comment: str | None) -> None:
        self._folder = folder
        self._time_base = time_base
        self._comment = comment
        self._timestamps: list[int] = []
        folder.mkdir()

    def write(self, pixels: torch.Tensor, pts: int) -> None:
        name = f"{len(self._timestamps):06d}.png"
        try:
            save_png(self._folder / name, pixels)
        except OSError as error:
            raise MediaError(f"{name} could not be written: {error.strerror or error}") from error
        self._timestamps.append(pts)

    def finish(self) -> None:
        content: dict[str, object] = {
            "time_base": str(self._time_base),
            "timestamps": self._timestamps,
            "seconds": [round(float(pts * self._time_base), 6) for pts in self._timestamps],
        }
        if self._comment is not None:
            content["comment"] = self._comment
        write_json(self._folder / publish.TIMESTAMPS, content)

    def verify(self, timestamps: list[int]) -> None:
        """Every picture is there and none is cut off (a PNG ends in IEND)."""
        for number in range(len(timestamps)):
            path = self._folder / f"{number:06d}.png"
            if not path.is_file() or not path.read_bytes()[-8:].startswith(b"IEND"):
                raise MediaError(f"{path.name} was not written whole; is the disk full?")

    def close(self) -> None:
        """Nothing runs."""
