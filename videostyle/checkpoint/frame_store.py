"""The file of finished frames, one after the other; the journal holds a checksum of each."""

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

from videostyle.checkpoint.frame_codec import pack, picture, quantised, unpack
from videostyle.checkpoint.journal import StoredFrame, frame_metadata
from videostyle.errors import MediaError
from videostyle.files import write_whole
from videostyle.frames import StylisedFrame


class FrameStore:
    """``path``: the file. ``size``: (width, height) of the frames, kept in ``depth`` bits (8 or 16) per channel."""

    def __init__(self, path: Path, size: tuple[int, int], depth: int) -> None:
        self.path, self._size, self._depth = path, size, depth
        self._writing: BinaryIO
        self._reading: BinaryIO
        self._files = ExitStack()

    def sound(self, stored: Sequence[StoredFrame]) -> Iterator[StoredFrame]:
        """The frames up to the first whose bytes are not what they were."""
        with suppress(OSError, ValueError, OverflowError, MemoryError), self.path.open("rb") as file:
            for frame in stored:
                file.seek(frame.offset)
                if zlib.crc32(file.read(frame.length)) != frame.checksum:
                    return
                yield frame

    def open_for_writing(self, stored: Sequence[StoredFrame]) -> None:
        """Behind the last of these frames; what comes after it is cut off. Raises OSError."""
        self._end = stored[-1].offset + stored[-1].length if stored else 0
        self._writing = self._files.enter_context(self.path.open("ab", buffering=0))
        self._writing.truncate(self._end)

    def open_for_reading(self) -> None:
        self._reading = self._files.enter_context(self.path.open("rb"))

    def read(self, stored: StoredFrame) -> StylisedFrame:
        """A frame with its pixels. Raises MediaError."""
        try:
            self._reading.seek(stored.offset)
            levels = unpack(self._reading.read(stored.length), self._size, self._depth)
        except (OSError, ValueError, zlib.error) as error:
            index = stored.metadata["index"]
            raise MediaError(f"frame {index} of {self.path.parent} cannot be read: {error}; say --restart") from error
        return stored.frame(picture(levels))

    def append(self, frame: StylisedFrame) -> tuple[StoredFrame, StylisedFrame]:
        """Write a frame; returns its place, and the frame as it will be read again. Raises OSError."""
        levels = quantised(frame.pixels, self._depth)
        data = pack(levels)
        stored = StoredFrame(self._end, len(data), zlib.crc32(data), frame_metadata(frame))
        write_whole(self._writing.fileno(), data)
        self._end += len(data)
        return stored, stored.frame(picture(levels))

    def clear(self) -> None:
        """Forget all frames. Raises OSError."""
        self._writing.truncate(0)
        self._end = 0

    def sync(self) -> None:
        os.fsync(self._writing.fileno())

    def close(self) -> None:
        self._files.close()
