"""Masks that say where in a clip a style is wanted: one picture, one for every frame, or one carried through its shot.

A mask is read or carried once, when it is opened, and kept as compressed bytes; `RegionMask.at` brings it to the
output's size.
"""

import bisect
import itertools
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from videostyle.device import encoder_threads
from videostyle.errors import UsageError, VideoStyleError
from videostyle.frames import Frame, VideoInfo, luma, to_array
from videostyle.media.decode import Decoder, as_spoken, output_size, to_tensor
from videostyle.media.mask_picture import is_picture, read_mask
from videostyle.media.probe import probe
from videostyle.pipeline.mask_edges import edge_width, feathered, refined, resized
from videostyle.settings import MediaSettings
from videostyle.temporal import carried_mask
from videostyle.temporal.cuts import in_shots
from videostyle.temporal.flow import dis_flow

# Longer side of the frames that a mask is carried along, in pixels: the flow's details are no finer.
CARRIED_SIZE = 512
# Two aspects that differ by this share are the same picture, cropped or rounded.
ASPECT_TOLERANCE = 0.01
# Two decoders of one clip place a frame within a tick of one another; no two frames are this close, in seconds.
SAME_MOMENT = Fraction(1, 1000)
# A time that was typed with two decimals means the frame that it rounds to, in seconds.
TYPING_SECONDS = Fraction(1, 200)
# The frame that is shown at a time began at most so much before it, in seconds.
LONGEST_FRAME_SECONDS = 1
# What is decoded after the time named, in seconds.
SHOWN_SECONDS = Fraction(1, 100)
# A painted edge of at most so many pixels of the frames it is carried along is a sharp one that was resampled.
SHARP_PX = 4.0
SMALL = 16  # pixels: of a clip whose frames are only counted
PICTURE_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".tga", ".avif", ".pgm", ".ppm"}

OnProgress = Callable[[int, int | None], None]


class RegionMask(Protocol):
    """Where a style is wanted, at any time of the clip."""

    def at(self, time_seconds: Fraction) -> torch.Tensor:
        """float32 (1, 1, H, W) in [0, 1] at the output's size: 1 inside, 0 outside."""


def open_mask(
    path: str,
    at_seconds: float | None,
    *,
    info: VideoInfo | None,
    size: tuple[int, int],
    media: MediaSettings,
    feather: float,
    on_progress: OnProgress | None = None,
    carried_size: int = CARRIED_SIZE,
) -> RegionMask:
    """The mask in ``path``: a picture for the whole clip, or a video or a folder of pictures with one for every frame.

    With ``at_seconds`` a picture is the mask of the frame at that time of the clip, and is carried through its shot;
    in other shots it is 0. ``info``: the clip, None where a single picture is painted. ``size``: (width, height) of the
    output. ``feather``: width of the soft edge in the output's pixels, 0 for edges as they are given.
    ``on_progress(done, total)``: frames carried or read, and how many there are where that is known. ``carried_size``:
    longer side of the frames that it is carried along. Raises UsageError for what is no mask of this clip, MediaError
    for what cannot be read.
    """
    place = Path(path)
    still = place.is_file() and is_picture(place)
    frame = size if info is None else (info.width, info.height)
    if place.exists() and not still:
        _refuse_moving(place, at_seconds, info)
    if still or info is None or not place.exists():
        mask = _checked(read_mask(place), place, frame)
        if at_seconds is None:
            return _Still(feathered(resized(mask, size), feather))
        if info is None:
            raise UsageError(f"{place} has a time, {at_seconds:g} s, and a picture has none; leave the time out")
        return _carried(mask, at_seconds, info, size, media, feather, on_progress, carried_size)
    if place.is_dir():
        return _folder(place, info, size, feather)
    return _video(place, info, size, feather, on_progress)


def _refuse_moving(path: Path, at_seconds: float | None, info: VideoInfo | None) -> None:
    kind = "a folder" if path.is_dir() else "no picture"
    if info is None:
        raise UsageError(f"{path} is {kind}; the mask of a picture is a picture (PNG, JPEG, ...)")
    if at_seconds is not None:
        raise UsageError(f"{path} is {kind} and was given a time, {at_seconds:g} s; only a picture is carried")


def _checked(mask: torch.Tensor, path: Path, frame: tuple[int, int]) -> torch.Tensor:
    """``mask``, of about the frame's aspect: a side may differ by a pixel. Raises UsageError."""
    height, width = mask.shape[2:]
    wider, higher = abs(width - height * frame[0] / frame[1]), abs(height - width * frame[1] / frame[0])
    if wider > max(1.0, ASPECT_TOLERANCE * width) and higher > max(1.0, ASPECT_TOLERANCE * height):
        raise UsageError(f"{path} is {width}x{height} and the frame {frame[0]}x{frame[1]}; give a mask of its shape")
    return mask


class _Still:
    """The same mask at all times."""

    def __init__(self, mask: torch.Tensor) -> None:
        self._mask = mask

    def at(self, time_seconds: Fraction) -> torch.Tensor:
        return self._mask


class _Timed:
    """Masks of some frames; at other times 0."""

    def __init__(self, times: Sequence[Fraction], load: Callable[[int], torch.Tensor], size: tuple[int, int]) -> None:
        self._times, self._load, self._size = times, load, size
        self._last: tuple[int, torch.Tensor] | None = None

    def at(self, time_seconds: Fraction) -> torch.Tensor:
        index = bisect.bisect_left(self._times, time_seconds - SAME_MOMENT)
        if index == len(self._times) or self._times[index] > time_seconds + SAME_MOMENT:
            return torch.zeros(1, 1, self._size[1], self._size[0])
        if self._last is None or self._last[0] != index:
            self._last = index, self._load(index)
        return self._last[1]


class _Packed:
    """Masks (1, 1, H, W) in [0, 1] as compressed bytes, in their order."""

    def __init__(self) -> None:
        self._masks: list[tuple[bytes, int]] = []

    def append(self, mask: torch.Tensor) -> None:
        levels = to_array(mask)
        self._masks.append((zlib.compress(levels.tobytes(), 1), levels.shape[1]))

    def before(self, later: "_Packed") -> "_Packed":
        """These in the opposite order, then the later ones."""
        joined = _Packed()
        joined._masks = self._masks[::-1] + later._masks
        return joined

    def __len__(self) -> int:
        return len(self._masks)

    def __getitem__(self, index: int) -> torch.Tensor:
        packed, width = self._masks[index]
        levels = torch.frombuffer(bytearray(zlib.decompress(packed)), dtype=torch.uint8)
        return levels.view(1, 1, -1, width).float() / 255


def _frame_times(info: VideoInfo) -> list[Fraction]:
    """The times of the whole clip's frames, by decoding it."""
    with Decoder(info, size=output_size(info, SMALL, even=False), threads=encoder_threads()) as frames:
        return [frame.time_seconds for frame in frames]


def _check_count(path: Path, found: int, what: str, info: VideoInfo, times: Sequence[Fraction]) -> None:
    if found != len(times):
        raise UsageError(
            f"{path} has {found} {what} and {info.path} {len(times)} frames; give one mask for every frame"
        )


def _folder(path: Path, info: VideoInfo, size: tuple[int, int], feather: float) -> RegionMask:
    """The folder's pictures in the order of their names, numbers in them compared as numbers; read when needed."""
    pictures = [p for p in path.iterdir() if p.suffix.lower() in PICTURE_ENDINGS and not p.name.startswith(".")]
    pictures.sort(key=lambda p: [(int(s), "") if s.isdecimal() else (-1, s) for s in re.split(r"(\d+)", p.name)])
    times = _frame_times(info)
    _check_count(path, len(pictures), "pictures", info, times)

    def load(index: int) -> torch.Tensor:
        mask = _checked(read_mask(pictures[index]), pictures[index], (info.width, info.height))
        return feathered(resized(mask, size), feather)

    load(0)  # an unfit mask is refused before any work
    return _Timed(times, load, size)


def _video(
    path: Path, info: VideoInfo, size: tuple[int, int], feather: float, on_progress: OnProgress | None
) -> RegionMask:
    """The video's frames: its luma, or its opacity where any of it is transparent."""
    try:
        masks = probe(path)
    except VideoStyleError as error:
        raise UsageError(f"{path} is no mask: {error}") from error
    _checked(torch.empty(1, 1, masks.height, masks.width), path, (info.width, info.height))
    shown, opacity, transparent = _Packed(), _Packed(), False
    fit = output_size(masks, max(size), even=False)
    with Decoder(masks, size=fit, threads=encoder_threads(), keep_alpha=masks.has_alpha) as frames:
        for frame in frames:
            shown.append(luma(frame.pixels))
            alpha = frames.take_alpha(frame.pts)
            if alpha is not None:
                opacity.append(alpha)
                transparent |= bool(alpha.min() < 1)
            if on_progress is not None:
                on_progress(len(shown), masks.frames)
    times = _frame_times(info)
    _check_count(path, len(shown), "frames", info, times)
    chosen = opacity if transparent else shown
    return _Timed(times, lambda index: feathered(resized(chosen[index], size), feather), size)


def _carried(
    mask: torch.Tensor,
    at_seconds: float,
    info: VideoInfo,
    size: tuple[int, int],
    media: MediaSettings,
    feather: float,
    on_progress: OnProgress | None,
    carried_size: int,
) -> RegionMask:
    """``mask``, painted on the frame at ``at_seconds``, at every frame of that frame's shot that the run needs."""
    small = output_size(info, carried_size, even=False)
    painted = resized(mask, small)
    with _open_part(at_seconds, info, media, small) as decoder:
        before, rest = _at_key(in_shots(iter(decoder), media), at_seconds, info)
        key_time, key = before.pop()
        first = as_spoken(media.start_seconds) - SAME_MOMENT
        before = [(time, pixels) for time, pixels in before if time >= first]
        times, done = [time for time, _ in before] + [key_time], itertools.count(1)
        forwards, state = _Packed(), carried_mask.begin(to_tensor(key), painted)
        forwards.append(state.mask)
        for frame in itertools.takewhile(lambda frame: not frame.cut, rest):
            state = carried_mask.follow(state, frame.pixels, dis_flow)
            forwards.append(state.mask)
            times.append(frame.time_seconds)
            if on_progress is not None:
                on_progress(next(done), None)
    backwards, state = _Packed(), carried_mask.begin(to_tensor(key), painted)
    while before:
        state = carried_mask.follow(state, to_tensor(before.pop()[1]), dis_flow)
        backwards.append(state.mask)
        if on_progress is not None:
            on_progress(next(done), len(times) - 1)
    masks = backwards.before(forwards)
    sharp, peak = edge_width(painted) <= SHARP_PX, float(painted.max())

    def load(index: int) -> torch.Tensor:
        return feathered(refined(masks[index], size, peak) if sharp else resized(masks[index], size), feather)

    return _Timed(times, load, size)


def _open_part(at_seconds: float, info: VideoInfo, media: MediaSettings, size: tuple[int, int]) -> Decoder:
    """The frames of the run's part of the clip, longer where the time named lies outside it. Raises UsageError."""
    length = info.duration_seconds
    if at_seconds < 0 or (length is not None and 0 < length <= at_seconds):
        raise _beyond(at_seconds, info, length)
    first = min(media.start_seconds, max(0.0, at_seconds - LONGEST_FRAME_SECONDS))
    seconds = None
    if media.duration_seconds is not None:
        seconds = max(media.start_seconds + media.duration_seconds, at_seconds + float(SHOWN_SECONDS)) - first
    return Decoder(info, size=size, start_seconds=first, duration_seconds=seconds, threads=encoder_threads())


def _at_key(
    frames: Iterator[Frame], at_seconds: float, info: VideoInfo
) -> tuple[list[tuple[Fraction, np.ndarray]], Iterator[Frame]]:
    """(times and pixels (H, W, 3) uint8 of the shot up to the frame shown at ``at_seconds``, the frames after it)."""
    moment, shot = Fraction(at_seconds) + TYPING_SECONDS, list[tuple[Fraction, np.ndarray]]()
    for frame in frames:
        if shot and frame.time_seconds > moment:
            return shot, itertools.chain((frame,), frames)
        if frame.cut:
            shot.clear()
        shot.append((frame.time_seconds, to_array(frame.pixels)))
    if moment > shot[-1][0] + LONGEST_FRAME_SECONDS:
        raise _beyond(at_seconds, info, shot[-1][0])
    return shot, iter(())


def _beyond(at_seconds: float, info: VideoInfo, length: Fraction | None) -> UsageError:
    lasts = "" if length is None else f" and {info.path} lasts {float(length):.2f} s"
    return UsageError(f"the mask's time is {at_seconds:g} s{lasts}; give the time of a frame in the clip")
