"""Numbers that change over time: what a look may have in the place of a number.

A *curve* is a plain number, a list of keys ``[[time, value], [time, value, "smooth"], ...]`` or a drive, which follows
the clip's sound: ``{drive = "audio", low = 0.3, high = 0.7, smooth = 0.3}``. ``curve_of`` reads one from plain values,
``plain`` gives these back, ``resolved`` makes the function of time for one clip.

The time of a key is a number of seconds from the clip's beginning, or a text: "2.5", "50%" of the clip, "end", "end-1",
"cut" (the first cut), "cut+0.5", "cut2-0.2" (0.2 s before the second). The third entry of a key says how the value goes
from the key before to this one: "linear", "smooth" (3t^2 - 2t^3) or "hold", which stays at the value before until this
key's time. Before the first key the value is the first's, after the last the last's.
"""

import re
import reprlib
from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Real
from typing import Any, NamedTuple, TypeAlias

from videostyle.errors import UsageError

DRIVES = ("audio", "bass")  # loudness of the whole sound, and of what lies below 150 Hz
HOWS = ("linear", "smooth", "hold")
SMOOTH_SECONDS, MOST_SMOOTH_SECONDS = 0.3, 60.0  # default and limit of a drive's window
LARGEST = 1e12  # of any number here, so that differences stay finite
TOLERANCE_SECONDS = 0.05  # how far a key may lie outside the clip: a frame's length, as durations are rounded
DRIVE_ENTRIES = ("drive", "low", "high", "smooth")
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_TIMES = (
    ("seconds", re.compile(rf"(?P<amount>{_NUMBER})", re.ASCII)),
    ("percent", re.compile(rf"(?P<amount>{_NUMBER})\s*%", re.ASCII)),
    ("end", re.compile(rf"end(?:\s*(?P<sign>-)\s*(?P<amount>{_NUMBER}))?", re.ASCII)),
    ("cut", re.compile(rf"cut(?P<number>\d{{1,6}})?(?:\s*(?P<sign>[+-])\s*(?P<amount>{_NUMBER}))?", re.ASCII)),
)
KNOWN_TIMES = 'seconds, "50%", "end", "end-1", "cut", "cut+0.5" or "cut2-0.2"'
_shortened = reprlib.Repr()  # of values in errors
_shortened.maxstring = 60


@dataclass(frozen=True)
class KeyTime:
    """The time of a key. ``amount``: seconds after the anchor (negative: before it), or a percentage of the clip."""

    anchor: str = "seconds"  # seconds (from the clip's beginning), percent, end or cut
    amount: float = 0.0
    number: int = 0  # of the cut, from 1; 0 for the other anchors

    def __str__(self) -> str:
        amount = repr(float(self.amount)).removesuffix(".0")
        if self.anchor in ("seconds", "percent"):
            return amount + ("%" if self.anchor == "percent" else "")
        name = f"{self.anchor}{self.number}" if self.number > 1 else self.anchor
        return f"{name}{'+' * (self.amount > 0)}{amount}" if self.amount else name

    def seconds(self, timeline: "Timeline", name: str) -> float:
        """Seconds from the clip's beginning. Raises UsageError for a cut or an end that the clip has not."""
        if self.anchor == "seconds":
            return self.amount
        if self.anchor == "cut":
            if self.number > (count := len(timeline.real_cuts)):
                has = {0: "no cut", 1: "1 cut"}.get(count, f"{count} cuts")
                raise UsageError(f"{name} has a key at {self}, and the clip has {has}; give a time that it has")
            return timeline.real_cuts[self.number - 1] + self.amount
        if (length := timeline.duration_seconds) is None:
            raise UsageError(f"{name} has a key at {self}, and the clip's length is not known; give times in seconds")
        return length * self.amount / 100 if self.anchor == "percent" else length + self.amount


@dataclass(frozen=True)
class Key:
    """The value at a time."""

    time: KeyTime
    value: float
    how: str = "linear"  # the way from the key before to this one


@dataclass(frozen=True)
class Keys:
    """A value that goes from key to key; at least one, in the order of their times."""

    keys: tuple[Key, ...]


class DriveKey(NamedTuple):
    """What tells one measurement of the sound from another; a plain tuple ("bass", 0.3) is equal to it."""

    source: str
    smooth_seconds: float


@dataclass(frozen=True)
class Drive:
    """A value that follows the sound: ``low`` where it is quietest, ``high`` where it is loudest."""

    source: str
    low: float
    high: float  # may be less than low
    smooth_seconds: float = SMOOTH_SECONDS  # width of the window that smooths the loudness, 0 to 60

    @property
    def key(self) -> DriveKey:
        """Where ``Timeline.loudness`` holds its loudness."""
        return DriveKey(self.source, self.smooth_seconds)


Curve: TypeAlias = float | Keys | Drive


@dataclass(frozen=True)
class Timeline:
    """What curves need to know of a clip. All times are in seconds from its beginning.

    ``loudness``: functions of seconds to [0, 1], by (source, smooth_seconds) as ``needs_sound`` gives them.
    """

    duration_seconds: float | None
    cuts: tuple[float, ...] = ()
    loudness: Mapping[tuple[str, float], Callable[[float], float]] = field(default_factory=dict, hash=False)

    @property
    def real_cuts(self) -> list[float]:
        """The cuts in order, each once, without the clip's beginning."""
        return sorted({float(cut) for cut in self.cuts if cut > 0})


def curve_of(value: Any, name: str) -> Curve:
    """A curve from the plain values of TOML, JSON or Python. Raises UsageError, which begins with ``name``."""
    if isinstance(value, Keys | Drive):
        return value
    if isinstance(value, Mapping):
        return _drive_of(value, name)
    if isinstance(value, list | tuple):
        if not value:
            raise UsageError(f"{name} is an empty list; expected keys [[time, value], ...], or a number")
        return Keys(tuple(_key_of(key, name) for key in value))
    return _number_of(value, name, "a number up to 1e12, keys [[time, value], ...] or a drive {drive = ...}")


def plain(curve: Curve) -> Any:
    """The plain values (numbers, texts, lists, a dict) that ``curve_of`` reads as the same curve."""
    if isinstance(curve, Drive):
        return {"drive": curve.source, "low": curve.low, "high": curve.high, "smooth": curve.smooth_seconds}
    if not isinstance(curve, Keys):
        return curve
    times = [key.time.amount if key.time.anchor == "seconds" else str(key.time) for key in curve.keys]
    return [[t, k.value, *([k.how] if k.how != "linear" else [])] for t, k in zip(times, curve.keys, strict=True)]


def resolved(curve: Curve, timeline: Timeline, name: str) -> Callable[[float], float]:
    """The function of seconds for one clip; ``name`` is what errors call the curve.

    Raises UsageError for a key outside the clip, for a cut or an end that it has not, for times that do not increase,
    and for a drive without sound.
    """
    if isinstance(curve, Keys):
        return _interpolated(curve.keys, timeline, name)
    if not isinstance(curve, Drive):
        return lambda seconds: curve
    low, high, loudness = curve.low, curve.high, timeline.loudness.get(curve.key)
    if loudness is None:
        raise UsageError(f"{name} follows the clip's sound ({curve.source}), and there is none; give a number or keys")
    return lambda seconds: _between(low, high, loudness(seconds))


def value_at(curve: Curve, seconds: float, timeline: Timeline, name: str) -> float:
    """The value at one time; for many times resolve once. Raises UsageError as ``resolved`` does."""
    return resolved(curve, timeline, name)(seconds)


def needs_cuts(curve: Curve) -> bool:
    """Whether the clip's cuts must be known."""
    return isinstance(curve, Keys) and any(key.time.anchor == "cut" for key in curve.keys)


def needs_duration(curve: Curve) -> bool:
    """Whether the clip's length must be known."""
    return isinstance(curve, Keys) and any(key.time.anchor in ("end", "percent") for key in curve.keys)


def needs_sound(curve: Curve) -> frozenset[DriveKey]:
    """The (source, smooth_seconds) whose loudness the timeline must hold."""
    return frozenset({curve.key}) if isinstance(curve, Drive) else frozenset()


def limits(curve: Curve) -> tuple[float, float]:
    """The least and the greatest value that the curve can have in any clip."""
    if isinstance(curve, Drive):
        return min(curve.low, curve.high), max(curve.low, curve.high)
    values = [key.value for key in curve.keys] if isinstance(curve, Keys) else [curve]
    return min(values), max(values)


def is_constant(curve: Curve) -> bool:
    """Whether the value is the same at all times."""
    return len(set(limits(curve))) == 1


def _said(value: Any) -> str:
    """A value as an error shows it: short, in one line."""
    with suppress(ValueError, RecursionError):  # a whole number of thousands of digits
        return " ".join(_shortened.repr(value).split())
    return f"a value that cannot be shown ({type(value).__name__})"


def _finite(value: Any) -> float | None:
    """The number that a value is, None for any other value, NaN, infinity and what is absurdly large."""
    with suppress(OverflowError):
        if isinstance(value, Real) and not isinstance(value, bool) and abs(float(value)) <= LARGEST:
            return float(value)
    return None


def _number_of(value: Any, name: str, expected: str = "a number up to 1e12") -> float:
    if (number := _finite(value)) is None:
        raise UsageError(f"{name} is {_said(value)}; expected {expected}")
    return number


def _drive_of(value: Mapping[Any, Any], name: str) -> Drive:
    known = f"a drive has {', '.join(DRIVE_ENTRIES)}"
    if unknown := [key for key in value if key not in DRIVE_ENTRIES]:
        raise UsageError(f"{name} has an unknown entry {_said(unknown[0])}; {known}")
    if missing := [key for key in DRIVE_ENTRIES[:3] if key not in value]:
        raise UsageError(f"{name} lacks {' and '.join(missing)}; {known} (only smooth may be left out)")
    source = value["drive"]
    if not isinstance(source, str) or source not in DRIVES:
        raise UsageError(f"{name} has the drive {_said(source)}; known ones are {', '.join(DRIVES)}")
    low, high = (_number_of(value[key], f"{name}'s {key}") for key in ("low", "high"))
    smooth = _number_of(value.get("smooth", SMOOTH_SECONDS), f"{name}'s smooth")
    if not 0 <= smooth <= MOST_SMOOTH_SECONDS:
        raise UsageError(f"{name}'s smooth is {smooth:g}; expected 0 to {MOST_SMOOTH_SECONDS:g} seconds")
    return Drive(source, low, high, smooth)


def _key_of(value: Any, name: str) -> Key:
    if not isinstance(value, list | tuple) or len(value) not in (2, 3):
        raise UsageError(f"{name} has the key {_said(value)}; expected [time, value] or [time, value, how]")
    time, how = _moment_of(value[0], name), value[2] if len(value) == 3 else "linear"
    number = _number_of(value[1], f"{name} at {time}")
    if not isinstance(how, str) or how not in HOWS:
        raise UsageError(f"{name} goes to its key at {time} by {_said(how)}; known ways are {', '.join(HOWS)}")
    return Key(time, number, how)


def _moment_of(value: Any, name: str) -> KeyTime:
    number = _finite(value)
    found = _moment_said(value) if isinstance(value, str) else None if number is None else KeyTime("seconds", number)
    if found is None or (found.anchor == "seconds" and found.amount < 0):
        raise UsageError(f"{name} has a key at {_said(value)}; expected {KNOWN_TIMES}")
    return found


def _moment_said(text: str) -> KeyTime | None:
    """The time that a text names, or None."""
    for anchor, pattern in _TIMES:
        if match := pattern.fullmatch(text.strip()):
            parts = match.groupdict()
            amount, number = float(parts["amount"] or 0), int(parts.get("number") or 1) if anchor == "cut" else 0
            if amount <= (100 if anchor == "percent" else LARGEST) and (number > 0 or anchor != "cut"):
                return KeyTime(anchor, -amount if parts.get("sign") == "-" else amount, number)
    return None


def _interpolated(keys: tuple[Key, ...], timeline: Timeline, name: str) -> Callable[[float], float]:
    times = [key.time.seconds(timeline, name) for key in keys]
    _check_times(keys, times, timeline, name)

    def value(seconds: float) -> float:
        after = bisect_right(times, seconds)
        if after in (0, len(keys)):
            return keys[0 if after == 0 else -1].value
        before, key = keys[after - 1], keys[after]
        share = (seconds - times[after - 1]) / (times[after] - times[after - 1])
        if key.how == "smooth":
            share = share * share * (3 - 2 * share)
        return before.value if key.how == "hold" else _between(before.value, key.value, share)

    return value


def _between(start: float, end: float, share: float) -> float:
    """``start`` for a share of 0 to ``end`` for 1, never outside of both for the sake of rounding."""
    return min(max(start + (end - start) * share, min(start, end)), max(start, end))


def _check_times(keys: tuple[Key, ...], times: list[float], timeline: Timeline, name: str) -> None:
    length = timeline.duration_seconds
    said = [f"{key.time} ({time:g} s)" for key, time in zip(keys, times, strict=True)]
    for one, time in zip(said, times, strict=True):
        if time < -TOLERANCE_SECONDS:
            raise UsageError(f"{name} has a key at {one}, before the clip begins; expected times from 0 s")
        if length is not None and time > length + TOLERANCE_SECONDS:
            raise UsageError(f"{name} has a key at {one}, after the clip's end; expected times from 0 to {length:g} s")
    for i, (earlier, later) in enumerate(pairwise(times)):
        if later <= earlier:
            raise UsageError(f"{name} has keys at {said[i]} and then at {said[i + 1]}; times of keys must increase")
