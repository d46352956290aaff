"""The lines of a run directory's journal as values."""

import contextlib
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from videostyle.checkpoint.append_log import read_log
from videostyle.frames import NO_PIXELS, StylisedFrame

FORMAT = 12


@dataclass(frozen=True)
class StoredFrame:
    """Where the bytes of a frame are in the store, in bytes from its start; their CRC-32; all else but the pixels."""

    offset: int
    length: int
    checksum: int
    metadata: dict[str, Any]

    @classmethod
    def from_line(cls, line: dict[str, Any]) -> "StoredFrame":
        """Raises KeyError, TypeError or ValueError for a line that no run has written."""
        stored = cls(int(line["offset"]), int(line["length"]), int(line["checksum"]), dict(line["metadata"]))
        if stored.offset < 0 or stored.length <= 0:
            raise ValueError("no place in a file")
        known = frame_metadata(stored.frame(NO_PIXELS))
        if any(type(value) is not type(FRAME_SCHEMA[name]) for name, value in known.items()):
            raise TypeError("no frame")
        return replace(stored, metadata=known)

    def frame(self, pixels: torch.Tensor) -> StylisedFrame:
        return StylisedFrame(**self.metadata | {"pixels": pixels, "time_base": Fraction(self.metadata["time_base"])})


def frame_metadata(frame: StylisedFrame) -> dict[str, Any]:
    """All but the pixels, as plain values."""
    values = {f.name: getattr(frame, f.name) for f in fields(frame) if f.name != "pixels"}
    return values | {"time_base": str(frame.time_base)}


# What an ordinary frame is, to know another by the types of its values.
FRAME_SCHEMA = frame_metadata(StylisedFrame(NO_PIXELS))


class Journal:
    """The journal in ``folder``: lines that are damaged, or that no run can have written, are left out."""

    def __init__(self, folder: Path) -> None:
        self.provenance: dict[str, Any] | None = None
        self.frames: list[StoredFrame] = []
        self.states: list[dict[str, Any]] = []  # in order
        self.published: dict[str, Any] | None = None
        for line in read_log(folder / "journal"):
            with contextlib.suppress(KeyError, TypeError, ValueError, ArithmeticError):
                match line:
                    case {"format": int(number), "provenance": dict(provenance)} if number == FORMAT:
                        self.provenance = provenance
                    case {"frame": dict(frame)} if frame["metadata"]["index"] == len(self.frames):
                        self.frames.append(StoredFrame.from_line(frame))
                    case {"state": {"number": 0 | 1, "frames": int(n)} as state} if 0 < n <= len(self.frames):
                        self.states.append(state)
                    case {"published": dict(published)}:
                        self.published = published
