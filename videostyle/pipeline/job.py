"""A checked request: the clip as probing found it, the output, its size, and what a run returns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from videostyle.checkpoint.run_directory import directory_of, is_published
from videostyle.device import choose_machine
from videostyle.errors import UsageError
from videostyle.frames import Frame, VideoInfo
from videostyle.media.decode import output_size
from videostyle.media.encode import check_output, check_space
from videostyle.media.formats import depth_of, needs_even
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.networks.download import DownloadProgress
from videostyle.settings import NAMED_STARTS, MediaSettings, Settings
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.shots import cut_at, find_shots

DEFAULT_SIZE_CPU, DEFAULT_SIZE_ACCELERATED = 512, 960

# What a stored frame takes of its raw pixels: brush strokes are noise to a compressor.
STORED_SHARE = 0.8


@dataclass(frozen=True)
class Result:
    """What a run made. ``notices``: what a careful user wants to know. ``record``: the run record.

    ``restored``: how many of the ``frames`` an earlier run had finished, ``redone``: how many it had finished that had
    to be painted again. ``seconds``: of this run.
    """

    output: Path
    frames: int
    seconds: float
    notices: tuple[str, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)
    restored: int = 0
    redone: int = 0


@dataclass(frozen=True)
class _Job:
    """A clip and a place for its output, both checked."""

    info: VideoInfo
    output: str | Path
    size: tuple[int, int]
    media: MediaSettings
    expected_frames: int | None

    @property
    def depth(self) -> int:
        return depth_of(self.output, self.media, transparent=self.info.has_alpha)

    def cut_after(self, finished: Sequence[Frame]) -> "_Job":
        """The same for these frames alone, sound and all. Raises UsageError where there are none."""
        if not finished:
            raise UsageError(f"no frame of {self.output} is finished; leave out --partial to begin")
        *before, last = (frame.time_seconds for frame in finished)
        step = last - before[-1] if before else 1 / (self.info.average_rate or Fraction(25))
        seconds = float(last + step - Fraction(self.media.start_seconds))
        return replace(self, media=self.media.replace(duration_seconds=seconds), expected_frames=len(finished))


def _open(
    clip: str | Path,
    output: str | Path,
    settings: Settings,
    media: MediaSettings,
    record_to: str | Path | None,
    kept: int | None = None,
) -> _Job:
    """Probe the clip and refuse what could not be written, before any work.

    ``kept``: how many pictures of the optimiser's history go into a run directory, None where there is none.
    """
    info = probe(clip, media.stream)
    # Where a run was killed between its last two steps, the output is there and nothing will be written.
    written = kept is not None and is_published(output)
    check_output(output, media.replace(overwrite=media.overwrite or written), info.path)
    _check_record(record_to)
    job = _Job(info, output, _frame_size(info, output, settings, media), media, _expected_frames(info, media))
    beside = 0 if kept is None or written else _directory_bytes(job, kept)
    check_space(output, info, size=job.size, settings=media, frames=job.expected_frames or 0, beside_bytes=beside)
    return job


def _directory_bytes(job: _Job, history: int) -> int:
    """What the run directory will still take, by estimate: the frames, and two states of float32 pictures."""
    picture = 3 * job.size[0] * job.size[1]
    stored = directory_of(job.output) / "frames"
    there = stored.stat().st_size if stored.is_file() else 0
    frames = round(STORED_SHARE * picture * job.depth / 8 * (job.expected_frames or 0))
    return max(0, frames - there) + 2 * 4 * picture * (2 * history + 4)


def in_shots(frames: Iterator[Frame], media: MediaSettings) -> Iterator[Frame]:
    """The frames with cuts marked: those found, those given, or none."""
    if media.cuts is not None:
        return cut_at(frames, media.cuts)
    return frames if media.no_shots else find_shots(frames)


def _painter(style: str | Path, settings: Settings, on_download: DownloadProgress | None) -> Stylizer:
    """The painter for a style picture, with the start pictures that the settings name."""
    pictures = {name: read_picture(name) for name in {settings.init, settings.first_init} if name not in NAMED_STARTS}
    return Stylizer(read_picture(style), settings, starts=pictures, on_download=on_download)


def _frame_size(info: VideoInfo, output: str | Path, settings: Settings, media: MediaSettings) -> tuple[int, int]:
    return output_size(info, media.size or default_size(settings), needs_even(output, media))


def default_size(settings: Settings) -> int:
    """The output's longer side, in pixels, where nobody said: what a device of this kind does in bearable time."""
    return DEFAULT_SIZE_ACCELERATED if choose_machine(settings).accelerated else DEFAULT_SIZE_CPU


def _expected_frames(info: VideoInfo, media: MediaSettings) -> int | None:
    """How many frames will come, from what the container says of itself; None where it says nothing."""
    whole = info.frames
    if whole is None and info.duration_seconds and info.average_rate:
        whole = round(info.duration_seconds * info.average_rate)
    if whole is None or not info.duration_seconds:
        return whole
    left = info.duration_seconds - Fraction(media.start_seconds)
    wanted = left if media.duration_seconds is None else min(left, Fraction(media.duration_seconds))
    return max(1, round(whole * wanted / info.duration_seconds))


def default_output(source: str | Path, style: str | Path, ending: str) -> Path:
    """``SOURCE-STYLE`` with this ending, in the current folder."""
    return Path(f"{Path(source).stem}-{Path(style).stem}{ending}")


def _check_record(path: str | Path | None) -> None:
    if path is not None and not Path(path).resolve().parent.is_dir():
        raise UsageError(f"the record cannot go to {path}: its folder does not exist; create it first")
