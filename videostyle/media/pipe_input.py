"""A clip that comes through a pipe as y4m or NUT: what it is, by its head, and its frames, decoded as a file's are.

Of a stream FFmpeg writes the range of colours into y4m alone and the times of frames into NUT alone; neither holds the
matrix, the primaries or the transfer curve.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import av

from videostyle.errors import MediaError, UsageError
from videostyle.frames import VideoInfo
from videostyle.media import survey
from videostyle.media.decode import Decoder
from videostyle.media.ffmpeg import Child
from videostyle.media.probe import build_info, check_size, no_stream
from videostyle.media.streams import describe

NAME = Path("standard input")  # in errors, where a clip has its path
Y4M, NUT = "yuv4mpegpipe", "nut"  # FFmpeg's names
SPOKEN = {Y4M: "y4m", NUT: "NUT"}
MAGIC = {b"YUV4MPEG2 ": Y4M, b"nut/multimedia container\0": NUT}
FRAME = b"FRAME\n"  # before each frame of a y4m, as all known programs write it
EXPECTED = "expected y4m or NUT, as `ffmpeg -i CLIP -f yuv4mpegpipe -` writes it"
RAW = "rawvideo"  # nothing else is decoded in this process
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class PipeHead:
    """What is known of a stream after its first frame, and the bytes that were read for that. ``frame_bytes``: of every
    frame's pixels."""

    info: VideoInfo
    taken: bytes
    frame_bytes: int

    def breaks_off(self, bytes_read: int) -> bool:
        """Whether a y4m of so many bytes ends within a frame. FFmpeg says nothing of that, as it does for NUT."""
        header, newline, rest = self.taken.partition(b"\n")
        if self.info.container != Y4M or not rest.startswith(FRAME):
            return False
        return (bytes_read - len(header) - len(newline)) % (len(FRAME) + self.frame_bytes) != 0


class _Noted:
    """Reads from a file descriptor and keeps what was read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.taken = bytearray()
        self._given = 0

    def look(self, count: int) -> bytes:
        """The first bytes, fewer where the stream ends, which `read` gives again."""
        while len(self.taken) < count and (piece := os.read(self._descriptor, count - len(self.taken))):
            self.taken += piece
        return bytes(self.taken)

    def read(self, count: int) -> bytes:
        if self._given == len(self.taken):
            self.taken += os.read(self._descriptor, count)
        piece = bytes(self.taken[self._given : self._given + count])
        self._given += len(piece)
        return piece


def read_head(pipe: IO[bytes]) -> PipeHead:
    """Wait for the first frame. Raises UsageError for what is no y4m or NUT of raw video, MediaError where there is no
    frame."""
    stream = _Noted(pipe.fileno())
    head = stream.look(max(map(len, MAGIC)))
    if not head:
        raise MediaError(f"{NAME} ended before it began; {EXPECTED}")
    container = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    if container is None:
        raise UsageError(f"{NAME} begins with {head[:10]!r}; {EXPECTED}")
    try:
        found = _survey(stream, container)
    except av.FFmpegError as error:
        raise MediaError(f"{NAME} cannot be read as {SPOKEN[container]} ({error.strerror}); {EXPECTED}") from None
    if not found["first"]:
        raise MediaError(f"{NAME} ended within its first frame; {EXPECTED}")
    info = build_info(NAME, found)
    left_out = [f"{describe(other)} is left out: a pipe takes pictures alone" for other in info.streams]
    return PipeHead(replace(info, notices=(*info.notices, *left_out)), bytes(stream.taken), found["frame_bytes"])


def _survey(stream: _Noted, container_name: str) -> dict[str, Any]:
    """What `survey.survey_clip` says of a file, from the first frame alone."""
    options = {"probesize": "32", "analyzeduration": "0", "protocol_whitelist": "none"}
    opened: Any = av.open(stream, format=container_name, options=options)
    with opened as container:
        found = survey.describe(container)
        chosen = survey.choose_stream(found["streams"], None)
        if chosen is None:
            raise UsageError(no_stream(NAME, found["streams"], None))
        described = next(s for s in found["streams"] if s["index"] == chosen)
        check_size(NAME, described["width"], described["height"])
        if described["codec"] != RAW:
            raise UsageError(f"{NAME} holds {described['codec']}; expected raw video: add -c:v rawvideo to its ffmpeg")
        packet = next(container.demux(container.streams[chosen]))
        first = [survey.describe_frame(frame) for frame in packet.decode()][:1]
    head = {"chosen": chosen, "first": first, "frame_bytes": packet.size}
    return found | head | {"duration": None, "packets": {"count": None, "last": None}}


class PipeDecoder(Decoder):
    """Iterates over the frames of a stream, from its first one; see `Decoder`. Their times count from that one's,
    ``info.start_seconds``. There is no limit to how long a frame may take to come.

    ``size``: (width, height) of the frames. ``pipe``: what ``head`` was read from.
    """

    def __init__(self, head: PipeHead, pipe: IO[bytes], size: tuple[int, int], threads: int | None = None) -> None:
        self._head, self._source, self._stopped, self._bytes = head, pipe.fileno(), False, 0
        self.broke_off = False  # whether the stream turned out not to be whole
        super().__init__(head.info, size=size, threads=threads)
        threading.Thread(target=self._feed, name="pipe", daemon=True).start()

    def stop(self) -> None:
        """Let the frames end here, while another thread takes them."""
        self._stopped = True
        super().stop()

    def _input(self) -> tuple[str, dict[str, Any]]:
        at_once = {"probesize": 32, "analyzeduration": 0}
        return "pipe:0", {"protocol_whitelist": "pipe", **at_once}

    def _start_child(self, command: list[str]) -> Child:
        return Child(command, stdin=True, stdout=True)

    def _deadline(self, seconds: float) -> AbstractContextManager[None]:
        return nullcontext()

    def _feed(self) -> None:
        """All that comes, to FFmpeg; runs in a thread, which may wait for input when everything else has ended."""
        target = self._child.process.stdin
        assert target is not None
        with suppress(OSError, ValueError):  # FFmpeg has ended, or was ended
            for piece in self._pieces():
                self._bytes += len(piece)
                rest = memoryview(piece)
                while rest:
                    rest = rest[target.write(rest) :]
        with suppress(OSError, ValueError):
            target.close()

    def _pieces(self) -> Iterator[bytes]:
        yield self._head.taken
        while piece := os.read(self._source, CHUNK_BYTES):
            yield piece

    def _finish(self) -> None:
        if not self._stopped:
            super()._finish()
            self.broke_off = self._child.line_count > 0 or self._head.breaks_off(self._bytes)
