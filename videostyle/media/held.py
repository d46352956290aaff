"""Frames held on the disk, nearly lossless and cheap to write, until what they go with is there too."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from videostyle.frames import Frame, to_array

OPTIONS = {"preset": "ultrafast", "crf": "6"}
TICK = Fraction(1, 1000)  # Matroska's


class HeldFrames:
    """Writes frames of one size to a Matroska file of H.264 in RGB. ``first_seconds``: the time of the first one, at
    which the file's own times begin."""

    def __init__(self, path: Path) -> None:
        self.path, self.frames, self.first_seconds = path, 0, Fraction(0)
        self._container: Any = None
        self._stream: Any = None

    def write(self, frame: Frame) -> None:
        """Append a frame; their times rise."""
        if self._container is None:
            self.first_seconds = frame.time_seconds
            self._container = av.open(str(self.path), "w", format="matroska")
            self._stream = self._container.add_stream("libx264rgb", rate=1000, options=OPTIONS)
            self._stream.width, self._stream.height = frame.size
            self._stream.pix_fmt, self._stream.codec_context.time_base = "rgb24", TICK
        made = av.VideoFrame.from_ndarray(to_array(frame.pixels), format="rgb24")
        made.pts, made.time_base = round((frame.time_seconds - self.first_seconds) / TICK), TICK
        self._container.mux(self._stream.encode(made))
        self.frames += 1

    def close(self) -> None:
        """Write the rest; may be called again."""
        container, self._container = self._container, None
        if container is not None:
            container.mux(self._stream.encode(None))
            container.close()
