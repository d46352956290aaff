"""A checked request: the clip as probing found it, the output's format, the frames' size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import torch

from videostyle.checkpoint.run_directory import directory_of, is_published
from videostyle.device import choose_machine
from videostyle.errors import UsageError
from videostyle.frames import Frame, VideoInfo
from videostyle.media.decode import output_size
from videostyle.media.encode import check_output, check_space
from videostyle.media.formats import OutputFormat
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.pipeline.given_frames import check_frames
from videostyle.pipeline.look import LookDirection
from videostyle.pipeline.progress import Progress
from videostyle.pipeline.region_masks import RegionMask, open_mask
from videostyle.pipeline.request import Callbacks, Request
from videostyle.pipeline.train import network_for, worth_training
from videostyle.settings import MediaSettings, Settings, TrainSettings
from videostyle.settings.look import Look, as_look
from videostyle.stylise.choose_flow import flow_network_of
from videostyle.stylise.style_networks import NetworkKey, find_network, given_network
from videostyle.stylise.stylizer import Stylizer

# The output's longer side by default, in pixels: on a CPU, on an accelerator.
DEFAULT_SIZES, DRAFT_SIZES = (1280, 1920), (512, 960)
STORED_SHARE = 0.8  # bytes of a stored frame by those of its raw pixels: brush strokes are noise to a compressor


@dataclass(frozen=True)
class Job:
    """A clip and a place for its output, both checked."""

    info: VideoInfo
    output: OutputFormat
    size: tuple[int, int]
    expected_frames: int | None

    @property
    def media(self) -> MediaSettings:
        return self.output.settings

    @property
    def depth(self) -> int:
        return self.output.depth(transparent=self.info.has_alpha)

    def cut_after(self, finished: Sequence[Frame]) -> "Job":
        """The same job for these frames alone, with their sound. Raises UsageError where there are none."""
        if not finished:
            raise UsageError(f"no frame of {self.output.path} is finished; leave out --partial to begin")
        *before, last = (frame.time_seconds for frame in finished)
        step = last - before[-1] if before else 1 / (self.info.average_rate or Fraction(25))
        seconds = float(last + step - Fraction(self.media.start_seconds))
        output = replace(self.output, settings=self.media.replace(duration_seconds=seconds))
        return replace(self, output=output, expected_frames=len(finished))


def open_job(request: Request, history: int | None = None, frames: int | None = None) -> Job:
    """Probe the clip and refuse what could not be written, before any work. Raises UsageError or MediaError.

    ``history``: curvature pairs that go into a run directory, None where there is none. ``frames``: how many of the
    clip's will be written, by default all.
    """
    media = request.media
    info = probe(request.source, media.stream)
    output = OutputFormat.of(request.place, media)
    # A run that was killed between its last two steps has published the output: nothing will be written.
    written = history is not None and is_published(output.path)
    check_output(output, info.path, overwrite=written)
    check_record(request.record_to)
    job = Job(info, output, frame_size(info, output, request.settings), expected_frames(info, media))
    frames = frames or job.expected_frames or 0
    beside = 0 if history is None or written else _directory_bytes(job, history, frames)
    check_space(output, info, size=job.size, frames=frames, beside_bytes=beside)
    return job


def _directory_bytes(job: Job, history: int, count: int) -> int:
    """What the run directory will still take, by estimate: the frames, and two states of float32 pictures."""
    picture = 3 * job.size[0] * job.size[1]
    folder = directory_of(job.output.path)
    stored = folder / "frames", *folder.glob("shots/*/frames")
    there = sum(path.stat().st_size for path in stored if path.is_file())
    frames = round(STORED_SHARE * picture * job.depth / 8 * count)
    return max(0, frames - there) + 2 * 4 * picture * (2 * history + 4)


def open_stylizer(
    style: str | Path | Look,
    settings: Settings,
    size: tuple[int, int],
    callbacks: Callbacks | None = None,
    info: VideoInfo | None = None,
    media: MediaSettings | None = None,
    frames: int | None = None,
    *,
    read: Callable[[str], torch.Tensor] = read_picture,
    open_region: Callable[..., RegionMask] = open_mask,
) -> Stylizer:
    """The stylizer for a style picture or a look, with the start pictures and the network that the settings name.

    ``info``: the clip, None for a picture. ``size``: (width, height) of the frames. A network that the settings ask for
    is trained where there is none, on the clip too; one that they allow is trained where so many ``frames`` are worth
    it (`worth_training`). ``read``, ``open_region``: as for `LookDirection`, where a look's names are not files.
    """
    callbacks, look, media = callbacks or Callbacks(), as_look(style), media or MediaSettings()
    check_frames(look.frames, settings, info, media, size)
    if not look.has_network and settings.uses_network:
        raise UsageError(
            "a style's network (--quality, --network) paints one style everywhere in its own colours; leave it out, or "
            "regions, colours and what changes over time"
        )

    def on_mask(done: int, total: int | None) -> None:
        if callbacks.on_progress is not None:
            callbacks.on_progress(Progress("mask", done, total))

    direction = LookDirection(look, settings, info, media, size, on_mask, read, open_region)
    starts = {name: read_picture(name) for name in settings.start_pictures}
    stylizer = Stylizer(
        direction.styles[0].at(0.0),
        settings,
        direction=None if look.has_network else direction,
        starts=starts,
        on_download=callbacks.on_download,
    )
    if info is not None:
        flow_network_of(stylizer)  # missing weights are told before any work
    if not look.has_network:
        return stylizer
    clips = () if info is None else (info.path,)
    learned = min(max(size), TrainSettings.size)  # larger frames are painted in octaves
    if settings.network is not None:
        stylizer.use_network(given_network(settings.network, stylizer.style))
    elif settings.uses_network or (settings.may_use_network and worth_training(stylizer, size, frames)):
        stylizer.use_network(network_for(stylizer, learned, clips, callbacks, frames))
    elif settings.may_use_network:
        found = find_network(NetworkKey.of(stylizer.style, stylizer.settings, learned))
        if found is not None:
            stylizer.use_network(found)
    return stylizer


def frame_size(info: VideoInfo, output: OutputFormat, settings: Settings) -> tuple[int, int]:
    """(width, height) of the stylised frames, in pixels."""
    return output_size(info, output.settings.size or default_size(settings), output.codec.even)


def default_size(settings: Settings) -> int:
    """The output's longer side, in pixels, where the settings have none."""
    sizes = DRAFT_SIZES if settings.quality == "draft" else DEFAULT_SIZES
    return sizes[choose_machine(settings).accelerated]


def expected_frames(info: VideoInfo, media: MediaSettings) -> int | None:
    """How many frames will come, by the container's own account; None where it has none."""
    whole = info.frames
    if whole is None and info.duration_seconds and info.average_rate:
        whole = round(info.duration_seconds * info.average_rate)
    if whole is None or not info.duration_seconds:
        return whole
    left = info.duration_seconds - Fraction(media.start_seconds)
    wanted = left if media.duration_seconds is None else min(left, Fraction(media.duration_seconds))
    return max(1, round(whole * wanted / info.duration_seconds))


def check_record(path: str | Path | None) -> None:
    """Refuse a record without a folder. Raises UsageError."""
    if path is not None and not Path(path).resolve().parent.is_dir():
        raise UsageError(f"the record cannot go to {path}: its folder does not exist; create it first")
