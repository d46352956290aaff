"""A request made ready for workers: whatever a machine would choose by itself is chosen once, for all of them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch

from videostyle.cluster.task import Told
from videostyle.errors import MediaError
from videostyle.networks.style_network_file import TrainedNetwork, save_network
from videostyle.pipeline import run_record
from videostyle.pipeline.job import Job, default_size, open_job, open_stylizer
from videostyle.pipeline.memory_check import planned_bytes
from videostyle.pipeline.request import Callbacks, Request
from videostyle.pipeline.video import provenance_of
from videostyle.settings import AUTO, Settings
from videostyle.settings.look import as_look
from videostyle.stylise.memory import memory_bytes
from videostyle.stylise.stylizer import Stylizer

MOST_KNOWN = 4  # stylizers of other clips that are kept, each with its networks


@dataclass(frozen=True)
class Prepared:
    """A request as it was given, checked, and what its workers and its record need of this process."""

    request: Request
    job: Job
    heading: dict[str, Any]  # of the run record
    provenance: dict[str, dict[str, Any]]  # everything that the frames depend on
    told: Told  # what a record says of the settings before they were fixed
    device: torch.device
    backbone: str
    network: TrainedNetwork | None  # the style's own
    planned_bytes: float  # what painting takes, by estimate
    allowed_bytes: float | None  # what one process could take here

    @classmethod
    def of(cls, request: Request, job: Job, stylizer: Stylizer) -> Self:
        """``stylizer``: of the request; nothing holds on to it."""
        look, device, settings = as_look(request.style), stylizer.machine.device, request.settings
        told = Told(run_record.settings_without_paths(settings), asdict(job.media), {"because": stylizer.choice})
        return cls(
            request,
            job,
            run_record.heading(stylizer, job.media, source=job.info.path.name, look=look),
            provenance_of(job, stylizer, request),
            told,
            device,
            stylizer.backbone.name,
            stylizer.style_network,
            planned_bytes(stylizer, job.size),
            memory_bytes(settings, device),
        )

    def fixed(self, folder: Path) -> Request:
        """The request for workers: absolute paths, the size, the network and the first image as they are here.

        ``folder``: for the style's network. Raises MediaError.
        """
        settings, network = self.request.settings, self.network
        if settings.backbone == AUTO and settings.weights is None:
            settings = settings.replace(backbone=self.backbone)
        if network is not None:
            place = folder / "network.safetensors"
            try:
                save_network(place, network)
            except OSError as error:
                raise MediaError(f"{place} could not be written: {error.strerror or error}; make room") from error
            settings = settings.replace(network=str(place))
        elif settings.first_init == AUTO:
            settings = settings.replace(first_init="palette")  # and no machine looks into a cache of its own
        style = as_look(self.request.style).with_paths(absolute)
        media = self.request.media
        if media.size is None:
            media = media.replace(size=default_size(self.request.settings))
        output = absolute(str(self.request.place)) + ("/" if self.job.output.is_folder else "")
        source = absolute(str(self.request.source))
        own = replace(self.request, source=source, style=style, output=output, media=media)
        return replace(own, settings=_absolute_settings(settings))


class Stylizers:
    """Stylizers of the last clips, for others of the same style and size."""

    def __init__(self) -> None:
        self._known: dict[Any, Stylizer] = {}  # the last used at the end

    def find(self, key: Any, make: Callable[[], Stylizer]) -> Stylizer:
        found = self._known.pop(key, None) or make()
        while len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[key] = found
        return found


def prepare(request: Request, callbacks: Callbacks, known: Stylizers | None = None) -> Prepared:
    """Check a request and train the style's network where it needs one. Raises VideoStyleError.

    ``known``: of other clips with the same settings.
    """
    request = replace(request, settings=request.settings.with_quality())
    job = open_job(request, request.settings.history_size)
    about = job.size, callbacks, job.info, job.media, job.expected_frames
    known = known or Stylizers()
    key = as_look(request.style), job.size
    return Prepared.of(request, job, known.find(key, lambda: open_stylizer(request.style, request.settings, *about)))


def absolute(path: str) -> str:
    """As every machine names it."""
    return str(Path(path).absolute())


def _absolute_settings(settings: Settings) -> Settings:
    named = {name: getattr(settings, name) for name in ("weights", "network", *("init", "first_init"))}
    pictures = settings.start_pictures
    paths = {
        name: absolute(value)
        for name, value in named.items()
        if value is not None and (name in ("weights", "network") or value in pictures)
    }
    return settings.replace(**paths) if paths else settings
