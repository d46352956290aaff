"""An artist's own frames on one clip: found and fitted, and their paint carried back to the frames before them.

From a given frame back to the one before it, or to the beginning of its shot, frames are painted in reverse order, each
carried on from the one after it. They have a run directory of their own inside the clip's, so a stop loses nothing.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from videostyle.checkpoint.frame_store import FrameStore
from videostyle.checkpoint.journal import StoredFrame
from videostyle.checkpoint.run_directory import RunDirectory
from videostyle.errors import UsageError
from videostyle.frames import Frame, StylisedFrame, VideoInfo
from videostyle.media.still import read_picture
from videostyle.pipeline.fit_picture import check_shape, fitted
from videostyle.settings import MediaSettings, Settings
from videostyle.settings.look import PaintedFrame
from videostyle.stylise.given import Given
from videostyle.stylise.state import SequenceState

# A time in milliseconds means the frame that it was rounded from.
ROUNDING_SECONDS = Fraction(1, 1000)


@dataclass(frozen=True)
class Stretch:
    """Frames that a given one is carried back to: ``pts`` of all of them, the given one's first, and where the given
    frame before them is; None: the shot begins with them. ``number``: the given frame's index in the clip."""

    number: int
    pts: tuple[int, ...]
    before: int | None

    def share(self, pts: int) -> float:
        """How far a frame's paint has gone over to the given one's."""
        if self.before is None:
            return 1.0
        return (pts - self.before) / (self.pts[0] - self.before)


class FoundFrames:
    """What is given for the frames of a clip (`stylise.given.GivenFrames`): pictures, and frames that they were carried
    back to."""

    def __init__(self) -> None:
        self._pictures: dict[int, Path] = {}
        self._carried: dict[int, tuple[RunDirectory[SequenceState], int, float]] = {}

    def add_picture(self, frame: Frame, path: Path) -> None:
        """A frame that is this picture."""
        self._pictures[frame.pts] = path

    def add_carried(self, stretch: Stretch, directory: RunDirectory[SequenceState]) -> None:
        """Frames that were painted in reverse order and are in ``directory``."""
        for index, pts in enumerate(stretch.pts[1:], 1):
            self._carried[pts] = directory, index, stretch.share(pts)

    def __call__(self, frame: Frame) -> Given | None:
        if (path := self._pictures.get(frame.pts)) is not None:
            return Given(lambda: fitted(read_picture(path), frame.pixels, path.name))
        if (carried := self._carried.get(frame.pts)) is not None:
            directory, index, share = carried
            return Given(lambda: directory.read(index).pixels, share, begins=False)
        return None


def with_marks(frames: Iterable[Frame], wanted: Sequence[PaintedFrame]) -> Iterator[tuple[Frame, PaintedFrame | None]]:
    """Each frame with what is given for it, as far as the last one that is. Raises UsageError."""
    left, last = deque(sorted(wanted, key=lambda painted: painted.at_seconds)), Fraction(0)
    for frame in frames:
        found: PaintedFrame | None = None
        while left and left[0].at_seconds <= frame.time_seconds + ROUNDING_SECONDS:
            if found is not None:
                both = f"{Path(found.picture).name} and {Path(left[0].picture).name}"
                raise UsageError(
                    f"{both} are both for the frame at {float(frame.time_seconds):.3f} s; give one of them"
                )
            found = left.popleft()
        last = frame.time_seconds
        yield frame, found
        if not left:
            return
    raise UsageError(f"{_told(left[0])}; the last frame is at {float(last):.3f} s")


def check_frames(
    wanted: Sequence[PaintedFrame],
    settings: Settings,
    info: VideoInfo | None,
    media: MediaSettings,
    size: tuple[int, int],
) -> None:
    """Refuse, before any work, frames that the clip's painted part has not, and pictures that are no frames of it.

    ``info``: the clip; None: a picture. ``size``: (width, height) of its frames. Raises UsageError or MediaError.
    """
    if wanted and info is None:
        raise UsageError(f"{_told(wanted[0])} of a clip; a picture has none, leave it out")
    if wanted and settings.quality == "draft":
        raise UsageError("a draft is painted by the style's network alone; leave out the frames, or --quality draft")
    if info is None:
        return
    begins, ends = Fraction(media.start_seconds), info.duration_seconds
    if media.duration_seconds is not None:
        asked = begins + Fraction(media.duration_seconds)
        ends = asked if ends is None else min(ends, asked)
    for painted in wanted:
        if painted.at_seconds < begins - ROUNDING_SECONDS or (ends is not None and painted.at_seconds >= ends):
            part = f"{float(begins):.3f} s" + ("" if ends is None else f" to {float(ends):.3f} s")
            raise UsageError(f"{_told(painted)}; expected a time from {part}")
        check_shape(read_picture(painted.picture), size, Path(painted.picture).name)


def _told(painted: PaintedFrame) -> str:
    return f"{Path(painted.picture).name} is for the frame at {painted.at_seconds:g} s"


# Paints the frames of a stretch, in reverse order; their run directory, finished.
Paint = Callable[[Stretch, Iterator[Frame], FoundFrames], RunDirectory[SequenceState]]


def carried_back(
    frames: Iterator[Frame],
    wanted: Sequence[PaintedFrame],
    scratch: FrameStore,
    paint: Paint,
    directories: ExitStack,
    is_wanted: Callable[[Frame], bool],
) -> FoundFrames:
    """What is given for ``frames``, the clip's with its cuts, each stretch painted by ``paint``.

    ``scratch``: a place for the frames of one stretch, which need not fit into memory. ``directories``: holds the
    stretches' as long as their frames are asked for. ``is_wanted``: whether a given frame is of the part to be painted.
    """
    found, stored, before = FoundFrames(), list[StoredFrame](), None
    scratch.open_for_writing(stored)
    scratch.open_for_reading()
    for number, (frame, painted) in enumerate(with_marks(frames, wanted)):
        if frame.cut:
            stored, before = [], None
            scratch.clear()
        stored.append(scratch.append(_as_stored(frame))[0])
        if painted is None:
            continue
        if is_wanted(frame):
            found.add_picture(frame, Path(painted.picture))
            if len(stored) > 1:
                stretch = Stretch(number, tuple(s.metadata["pts"] for s in reversed(stored)), before)
                directory = directories.enter_context(paint(stretch, _in_reverse(scratch, stored), found))
                found.add_carried(stretch, directory)
        stored, before = [], frame.pts
        scratch.clear()
    return found


def _as_stored(frame: Frame) -> StylisedFrame:
    return StylisedFrame(frame.pixels, frame.pts, frame.time_base)


def _in_reverse(store: FrameStore, kept: Sequence[StoredFrame]) -> Iterator[Frame]:
    for stored in reversed(kept):
        frame = store.read(stored)
        yield Frame(frame.pixels, frame.pts, frame.time_base)
