"""The frames of a clip that are worth painting by hand, as pictures in a folder, with their times in their names."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from videostyle.device import encoder_threads
from videostyle.errors import MediaError, StoppedError, UsageError
from videostyle.frames import Frame
from videostyle.media.decode import Decoder
from videostyle.media.formats import OutputFormat
from videostyle.media.probe import probe
from videostyle.media.still import write_picture
from videostyle.pipeline.job import expected_frames, frame_size
from videostyle.pipeline.progress import OnProgress, Reporter
from videostyle.settings import MediaSettings, Settings
from videostyle.temporal.cuts import in_shots
from videostyle.temporal.flow import flow_named
from videostyle.temporal.seen import COMPARED_PX, choose_frames

DIGITS = len("0000.000")  # at least: names sort, in clips of less than 10000 seconds


@dataclass(frozen=True)
class PickedFrame:
    """A frame that was written. ``newly_shown``: share of it, in [0, 1], that none before it in its shot shows."""

    path: Path
    time_seconds: Fraction  # from the clip's beginning
    newly_shown: float


def pick_keyframes(
    clip: str | Path,
    folder: str | Path | None = None,
    settings: Settings | None = None,
    media: MediaSettings | None = None,
    *,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[PickedFrame]:
    """Write the frames of ``clip`` that together show nearly all of every shot, as `choose_frames` has them.

    They are PNGs of 8 bits in ``folder`` (by default `default_folder`), of the size that ``video`` gives its output
    with the same settings. Of the settings only ``flow``, ``flow_size`` and what that size depends on matter. Raises
    UsageError for a folder that holds something, unless ``media.overwrite``; StoppedError after ``should_stop``, when
    the pictures that are there are whole.
    """
    settings, media = settings or Settings(), media or MediaSettings()
    folder = default_folder(clip) if folder is None else Path(folder)
    info = probe(clip, media.stream)
    _check_folder(folder, overwrite=media.overwrite)
    size = frame_size(info, OutputFormat.of("keyframes.mp4", media), settings)
    report = Reporter("choose", expected_frames(info, media), on_progress)
    picked: list[PickedFrame] = []

    def until_stopped(frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if should_stop is not None and should_stop():
                made = f"{len(picked)} of the pictures are in {folder}"
                raise StoppedError(f"stopped; {made}; the same command with --overwrite begins again")
            yield frame
            report.frame(frame)

    with Decoder(
        info,
        size=size,
        start_seconds=media.start_seconds,
        duration_seconds=media.duration_seconds,
        threads=encoder_threads(),
    ) as decoder:
        frames = in_shots(until_stopped(iter(decoder)), media)
        for chosen in choose_frames(frames, flow_named(settings.flow), settings.flow_size or COMPARED_PX):
            path = folder / picture_name(clip, chosen.frame.time_seconds)
            _write(path, chosen.frame, overwrite=media.overwrite)
            picked.append(PickedFrame(path, chosen.frame.time_seconds, chosen.newly_shown))
    return picked


def default_folder(clip: str | Path) -> Path:
    """``CLIP-keyframes`` in the current folder."""
    return Path(f"{Path(clip).stem}-keyframes")


def picture_name(clip: str | Path, time_seconds: Fraction) -> str:
    """``CLIP-0002.533s.png``: the time in seconds, rounded down, so that the frame is the first at or after it."""
    return f"{Path(clip).stem}-{to_milliseconds(time_seconds):0{DIGITS}.3f}s.png"


def to_milliseconds(time_seconds: Fraction) -> float:
    """The time in seconds, rounded down to whole milliseconds."""
    return float(Fraction(int(time_seconds * 1000), 1000))


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a place that pictures could not be written to, before any work. Raises UsageError; changes nothing."""
    if folder.is_dir():
        there = next((entry.name for entry in sorted(folder.iterdir())), None)
        if there is not None and not overwrite:
            raise UsageError(
                f"{folder} holds files already ({there}); choose another folder, or say --overwrite, which "
                "replaces pictures of the same name, painted ones too"
            )
    elif folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is not a folder; choose another name")
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(f"{nearest} cannot be written to; choose another place for {folder.name}")


def _write(path: Path, frame: Frame, *, overwrite: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise MediaError(f"{path.parent} could not be made: {e.strerror or e}; choose another place") from e
    write_picture(path, frame.pixels, overwrite=overwrite)
