"""Where one shot ends and the next begins: cuts and fades found in the stream of frames, or times given by hand.

PySceneDetect's detectors look at small copies of the frames as they come; a frame waits in a short queue until they
have seen what follows it. Frames are told by their timestamps, never by counting: on a clip of variable frame rate
PySceneDetect's frame numbers are wrong. Only this file knows PySceneDetect, and only when it is used.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F

from videostyle.errors import MissingLibraryError
from videostyle.frames import Frame, to_array
from videostyle.settings import MediaSettings

# Frames that wait for the detectors: AdaptiveDetector judges a frame by the two before and the two after it.
LOOK_AHEAD = 2
# Width of the copies that the detectors see, as PySceneDetect's own scaling has it: noise and grain are averaged away.
DETECTION_WIDTH = 256
# Two cuts closer than this are one: a photographer's flash is no shot.
SHORTEST_SHOT_SECONDS = 0.3
# Mean value (0-255) below which a picture counts as faded to black, PySceneDetect's default.
BLACK = 12
# PySceneDetect wants a frame rate for its frame numbers, which nothing here reads.
NOMINAL_RATE = 25.0
# A cut's time that was typed with two or three decimals means the frame that it rounds to.
TYPING_SECONDS = Fraction(1, 200)


def find_shots(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The same frames, in order; ``cut`` is set on the first frame after every cut, and where a fade comes up again.

    Holds back at most LOOK_AHEAD frames. A cut within the first or last two frames of the clip is not seen. Raises
    MissingLibraryError where PySceneDetect is not installed.
    """
    detectors = Detectors()
    waiting: deque[Frame] = deque()
    for frame in frames:
        waiting.append(frame)
        found = detectors.look(frame)
        waiting = deque(replace(f, cut=True) if f.pts in found else f for f in waiting)
        if len(waiting) > LOOK_AHEAD:
            yield waiting.popleft()
    yield from waiting


def in_shots(frames: Iterator[Frame], media: MediaSettings) -> Iterator[Frame]:
    """The frames with cuts marked: those found, those given, or none."""
    if media.cuts is not None:
        return cut_at(frames, media.cuts)
    return frames if media.no_shots else find_shots(frames)


def cut_at(frames: Iterable[Frame], times_seconds: Sequence[float]) -> Iterator[Frame]:
    """The same frames with ``cut`` set on the first frame at or after each of the given times (seconds)."""
    left = deque(sorted(Fraction(t) - TYPING_SECONDS for t in times_seconds))
    for index, frame in enumerate(frames):
        due = False
        while left and left[0] <= frame.time_seconds:
            left.popleft()
            due = index > 0
        yield replace(frame, cut=True) if due else frame


class Detectors:
    """AdaptiveDetector for cuts and ThresholdDetector for fades, fed frame by frame."""

    def __init__(self) -> None:
        try:
            from scenedetect.common import FrameTimecode, Timecode
            from scenedetect.detectors import AdaptiveDetector, ThresholdDetector
        except ImportError as e:
            raise MissingLibraryError(
                f"cuts are found with PySceneDetect 0.7 or newer, which cannot be imported ({e}): "
                "pip install 'scenedetect>=0.7', or give --no-shots or --cuts"
            ) from e
        self._timecode = lambda f: FrameTimecode(Timecode(f.pts, f.time_base), fps=NOMINAL_RATE)
        self._cuts = AdaptiveDetector(min_scene_len=SHORTEST_SHOT_SECONDS, window_width=LOOK_AHEAD)
        self._fades = ThresholdDetector(threshold=BLACK, min_scene_len=SHORTEST_SHOT_SECONDS)
        self._dark = False
        self._in_the_dark: deque[int] = deque(maxlen=LOOK_AHEAD + 1)  # timestamps, of those that may still be named

    def look(self, frame: Frame) -> set[int]:
        """Timestamps (pts) of frames that begin a shot, of this one or the LOOK_AHEAD before it."""
        time, picture = self._timecode(frame), thumbnail(frame.pixels)
        was_dark, self._dark = self._dark, float(picture.mean()) < BLACK
        found = {cut.pts for cut in self._cuts.process_frame(time, picture)}
        # In the dark hue and saturation jump about: only the fades' detector is to be believed there. It places a fade
        # by frame number, half-way through the dark; to us it is the frame that lights up.
        if self._dark or was_dark:
            self._in_the_dark.append(frame.pts)
        lights_up = bool(self._fades.process_frame(time, picture))
        return found.difference(self._in_the_dark) | ({frame.pts} if lights_up else set())


def thumbnail(pixels: torch.Tensor) -> np.ndarray:
    """(1, 3, H, W) float32 RGB in [0, 1] -> (h, w, 3) uint8 BGR, w at most DETECTION_WIDTH."""
    shrunk = pixels.cpu()
    if pixels.shape[3] > DETECTION_WIDTH:
        height = max(1, round(pixels.shape[2] * DETECTION_WIDTH / pixels.shape[3]))
        shrunk = F.interpolate(shrunk, (height, DETECTION_WIDTH), mode="area")
    return to_array(shrunk.flip(1))
