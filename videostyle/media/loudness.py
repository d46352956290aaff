"""How loud a clip's sound is at a time, from 0 to 1, for numbers that follow it.

The first audio stream is decoded once, mixed to mono and resampled to 8 kHz, in pieces: memory grows by 1.6 kB for a
second of sound. Every 10 ms have a level in dB: short-time RMS over a symmetric window of 50 ms; of the bass 90 ms,
after a low-pass of 150 Hz (a linear-phase FIR of 481 taps: -6 dB at 150 Hz, below -50 dB from 185 Hz). All windows are
symmetric, so that nothing lags behind the sound.

Times are those of frames: seconds from the clip's beginning. A stream that begins later begins with silence.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from videostyle.errors import MediaError, UsageError
from videostyle.media.probe import check_file
from videostyle.media.survey import open_media

RATE = 8000  # Hz
HOP = 80  # samples between two levels: 10 ms
HOPS_PER_SECOND = RATE // HOP
BASS_HZ, BASS_TAPS = 150.0, 481  # the filter's delay is a whole number of hops
BASS_DELAY = (BASS_TAPS - 1) // 2
WINDOWS = {"audio": 3, "bass": 5}  # half width, in hops, of the triangle that the power is averaged over
SILENT_DB, SILENT_BELOW_LOUDEST_DB = -80.0, 45.0  # of full scale, and below the loudest moment of the whole sound
QUIET, LOUD = 5, 95  # percentiles of the levels that become 0 and 1
NARROWEST_DB = 6.0  # least difference of both: a steady sound's ripple is not blown up
GATED_SHARE = 0.1  # a steady sound with so much silence between is 1, not 0.5
EDGE_HOPS = 10  # sound that lacks so little at either end of the clip is held there
LATE = 320  # samples (40 ms) that a time may differ from what was counted, before the sound is moved
JUMP_SECONDS = {"mpegts": 10}  # longer steps are a clock that starts anew, as FFmpeg takes it
LONGEST_GAP_SECONDS = 3600  # the same for all other formats
HIGHEST = 16.0  # of a sample; more is damage
LONGEST_SECONDS = 24 * 3600  # what comes later is left out


@dataclass(frozen=True, eq=False)
class Loudness:
    """Loudness from 0 to 1 at a time in seconds from the clip's beginning; 0 where there is no sound."""

    values: np.ndarray  # at the middle of every 10 ms

    def __call__(self, seconds: float) -> float:
        """Linear between two values; beyond the ends the first and the last hold."""
        place = min(max(seconds * HOPS_PER_SECOND - 0.5, 0.0), len(self.values) - 1.0)
        before = min(int(place), len(self.values) - 2) if len(self.values) > 1 else 0
        after = min(before + 1, len(self.values) - 1)
        start = float(self.values[before])
        return start + (float(self.values[after]) - start) * (place - before)


@dataclass(frozen=True, eq=False)
class Sound:
    """The levels of a clip's sound, by drive, in dB of full scale, every 10 ms from ``first``.

    ``warnings`` says what was wrong with the sound, as those of `Decoder` do.
    """

    levels: Mapping[str, np.ndarray]
    first: int  # hops from the clip's beginning to the first level
    missing: int | None  # hops from the last level to the clip's end; None where its length is not known
    warnings: tuple[str, ...] = ()

    def loudness(self, drive: str, smooth_seconds: float) -> Loudness:
        """The levels of "audio" or "bass" from 0 to 1, smoothed.

        0 is silence and the quietest twentieth of what is not silent, 1 the loudest twentieth. Silent is what lies
        below -80 dB of full scale or 45 dB below the loudest moment of the whole sound. A steady sound (within 6 dB) is
        about 0.5, or up to 1 where at least a tenth of the clip is silent. ``smooth_seconds``: width at half height of
        the symmetric Hann window that smooths the result; 0: none.
        """
        values = self._scaled(drive)
        reach = round(smooth_seconds * HOPS_PER_SECOND)
        held = self.first <= EDGE_HOPS
        values = np.concatenate((np.full(self.first, values[0] if held and len(values) else 0.0), values))
        if self.missing is None or self.missing > EDGE_HOPS or not len(values):
            values = np.concatenate((values, np.zeros(reach + 1)))
        return Loudness(np.clip(_averaged(values, np.hanning(2 * reach + 1)), 0.0, 1.0) if reach > 1 else values)

    def _scaled(self, drive: str) -> np.ndarray:
        levels = self.levels[drive]
        loudest = self.levels["audio"].max(initial=SILENT_DB)
        heard = levels > max(SILENT_DB, loudest - SILENT_BELOW_LOUDEST_DB)
        if not heard.any():
            return np.zeros(len(levels))
        low, high = np.percentile(levels[heard], (QUIET, LOUD))
        if (lacking := NARROWEST_DB - (high - low)) > 0:
            length = self.first + len(levels) + (self.missing or 0)
            gated = min(1.0, (1 - np.count_nonzero(heard) / length) / GATED_SHARE)
            low, high = low - lacking * (1 + gated) / 2, high + lacking * (1 - gated) / 2
        return np.where(heard, np.clip((levels - low) / (high - low), 0.0, 1.0), 0.0)


def loudness(
    path: str | Path, drive: str, smooth_seconds: float = 0.3, start_seconds: Fraction | float | None = None
) -> Loudness:
    """The loudness of one drive; for several read the sound once. Arguments and errors: `read_sound`, `Sound`."""
    return read_sound(path, start_seconds).loudness(drive, smooth_seconds)


def read_sound(path: str | Path, start_seconds: Fraction | float | None = None) -> Sound:
    """Decode the first audio stream of a clip and measure it.

    ``start_seconds``: the container's clock at the clip's beginning, `VideoInfo.start_seconds`; by default the earliest
    stream's first time. Damaged packets are left out, and said. Raises UsageError for a clip without sound, MediaError
    for a file that cannot be read and for sound of which nothing can be decoded.
    """
    path = Path(path)
    check_file(path)
    try:
        with open_media(str(path)) as container:
            return _read(path, container, start_seconds)
    except (av.FFmpegError, OSError) as error:
        words = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise MediaError(f"{path} cannot be read as a clip ({words}); expected a video file") from None


def _read(path: Path, container: Any, start_seconds: Fraction | float | None) -> Sound:
    if not container.streams.audio:
        raise UsageError(f"{path} has no sound, and something is to follow it; take a clip with sound, or leave it out")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise MediaError(f"{path}: nothing decodes its sound; convert it to AAC, or leave out what follows the sound")
    start = Fraction(container.start_time or 0, av.time_base) if start_seconds is None else Fraction(start_seconds)
    problems: list[str] = []
    clock = _Clock(start, JUMP_SECONDS.get(container.format.name, LONGEST_GAP_SECONDS))
    powers = _powers(_seconds(clock.placed(_resampled(_decoded(container, stream, problems), problems))))
    if clock.first is None:
        said = f" ({problems[0]})" if problems else ""
        raise MediaError(f"{path}: nothing of its {stream.codec_context.name} sound can be decoded{said}; is it whole?")
    first = clock.first // HOP
    levels = {drive: _levels(power[first:], WINDOWS[drive]) for drive, power in powers.items()}
    length = None if container.duration is None else container.duration * HOPS_PER_SECOND // av.time_base
    missing = None if length is None else max(0, length - first - len(levels["audio"]))
    said = f"the sound is damaged: {len(problems)} parts of it could not be decoded ({problems[0]})" if problems else ""
    return Sound(levels, first, missing, (said,) if said else ())


def _decoded(container: Any, stream: Any, problems: list[str]) -> Iterator[Any]:
    """The frames of the stream, without those that cannot be decoded."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:  # the file ends in the middle
            problems.append(str(error.strerror))
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            problems.append(str(error.strerror))
            continue
        yield from frames


def _resampled(frames: Iterator[Any], problems: list[str]) -> Iterator[Any]:
    """Mono float at 8 kHz; a stream that changes its form on the way gets a new resampler."""
    form, resampler = None, None
    for frame in itertools.chain(frames, [None]):
        now = frame and (frame.format.name, frame.layout.name, frame.sample_rate)
        try:
            if now != form and resampler is not None:
                yield from resampler.resample(None)
            if frame is not None:
                if now != form:
                    form, resampler = now, av.AudioResampler(format="flt", layout="mono", rate=RATE)
                assert resampler is not None
                yield from resampler.resample(frame)
        except (av.FFmpegError, ValueError) as error:  # a form that cannot be mixed to mono
            problems.append(str(getattr(error, "strerror", None) or error))
            form, resampler = None, None


class _Clock:
    """Puts samples where their times say, counted from the clip's beginning, with silence in the gaps.

    ``first``: the place of the first sample, None as long as there is none.
    """

    def __init__(self, start: Fraction, jump_seconds: int) -> None:
        self.first: int | None = None
        self._start, self._jump = start, jump_seconds * RATE
        self._shift = self._place = 0

    def placed(self, frames: Iterator[Any]) -> Iterator[np.ndarray]:
        """Arrays of samples without a gap between them."""
        for frame in frames:
            samples = frame.to_ndarray()[0].astype(np.float64)
            wanted = self._wanted(frame)
            if self.first is None or abs(wanted - self._place) > LATE:
                samples = samples[max(0, self._place - wanted) :]  # what lies before the clip, or was there already
                if not len(samples):
                    continue
                for begin in range(self._place, wanted, RATE):
                    yield np.zeros(min(RATE, wanted - begin))
                self._place = max(self._place, wanted)
            if self.first is None:
                self.first = self._place
            if self._place > LONGEST_SECONDS * RATE:
                return
            self._place += len(samples)
            yield np.clip(np.nan_to_num(samples), -HIGHEST, HIGHEST)

    def _wanted(self, frame: Any) -> int:
        """The place that the frame's time gives; where the clock jumps it goes on from what was counted."""
        if frame.pts is None or not frame.time_base:
            return self._place
        wanted = round((frame.pts * frame.time_base - self._start) * RATE) + self._shift
        jump = LONGEST_GAP_SECONDS * RATE if self.first is None else self._jump
        if abs(wanted - self._place) > jump:
            self._shift += self._place - wanted
            return self._place
        return wanted


def _seconds(arrays: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same samples in pieces of whole seconds; the last is shorter, a whole number of hops."""
    held: list[np.ndarray] = []
    for array in arrays:
        held.append(array)
        if (length := sum(map(len, held))) >= RATE:
            whole = np.concatenate(held)
            yield whole[: length // RATE * RATE]
            held = [whole[length // RATE * RATE :]]
    rest = np.concatenate([*held, np.zeros(0)])
    if len(rest) >= HOP:
        yield rest[: len(rest) // HOP * HOP]


def _powers(pieces: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
    """Mean power of every hop, of the whole sound and of its bass."""
    kernel = _low_pass()
    whole, bass, before = [np.zeros(0)], [], np.zeros(BASS_TAPS - 1)
    for piece in itertools.chain(pieces, [None]):
        joined = np.concatenate((before, np.zeros(BASS_DELAY) if piece is None else piece))
        bass.append(_mean_squares(np.convolve(joined, kernel, mode="valid")))
        before = joined[-len(before) :]
        if piece is not None:
            whole.append(_mean_squares(piece))
    return {"audio": np.concatenate(whole), "bass": np.concatenate(bass)[BASS_DELAY // HOP :]}


def _mean_squares(samples: np.ndarray) -> np.ndarray:
    return np.square(samples).reshape(-1, HOP).mean(axis=1)


def _low_pass() -> np.ndarray:
    """A sinc in a Hamming window, with the sum 1."""
    time = (np.arange(BASS_TAPS) - BASS_DELAY) / RATE
    kernel = np.sinc(2 * BASS_HZ * time) * np.hamming(BASS_TAPS)
    return kernel / kernel.sum()


def _levels(powers: np.ndarray, half_width: int) -> np.ndarray:
    """dB of full scale from the power of hops, over a triangle."""
    triangle = np.bartlett(2 * half_width + 1)
    return 10 * np.log10(np.maximum(_averaged(powers, triangle), 1e-12))


def _averaged(values: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The mean of values under a symmetric window; at both ends over what there is."""
    if not len(values):
        return values
    half = len(window) // 2
    total, weight = (np.convolve(x, window)[half : half + len(x)] for x in (values, np.ones(len(values))))
    return total / weight
