"""A request made ready for workers: whatever a machine would choose by itself is chosen once, for all of them."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from videostyle.cluster.task import Told
from videostyle.errors import MediaError
from videostyle.networks.style_network_file import save_network
from videostyle.pipeline import run_record
from videostyle.pipeline.job import Job, default_size, open_job, open_stylizer
from videostyle.pipeline.memory_check import planned_bytes
from videostyle.pipeline.request import Callbacks, Request
from videostyle.pipeline.video import provenance_of
from videostyle.settings import AUTO, Settings
from videostyle.settings.look import as_look
from videostyle.stylise.stylizer import Stylizer


@dataclass(frozen=True)
class Prepared:
    """A request as it was given, checked, and what its workers need of this process."""

    request: Request
    job: Job
    stylizer: Stylizer

    @property
    def heading(self) -> dict[str, Any]:
        """Of the run record."""
        source, look = self.job.info.path.name, as_look(self.request.style)
        return run_record.heading(self.stylizer, self.job.media, source=source, look=look)

    @property
    def told(self) -> Told:
        """What a record says of the settings before they were fixed."""
        settings = run_record.settings_without_paths(self.request.settings)
        return Told(settings, asdict(self.job.media), {"because": self.stylizer.choice})

    @property
    def provenance(self) -> dict[str, dict[str, Any]]:
        """Everything that the frames depend on."""
        return provenance_of(self.job, self.stylizer, self.request)

    @property
    def memory_bytes(self) -> float:
        """What painting takes, by estimate."""
        return planned_bytes(self.stylizer, self.job.size)

    def fixed(self, folder: Path) -> Request:
        """The request for workers: absolute paths, the size, the network and the first image as they are here.

        ``folder``: for the style's network. Raises MediaError.
        """
        settings, network = self.request.settings, self.stylizer.style_network
        if settings.backbone == AUTO and settings.weights is None:
            settings = settings.replace(backbone=self.stylizer.backbone.name)
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


def prepare(request: Request, callbacks: Callbacks, known: dict[Any, Stylizer] | None = None) -> Prepared:
    """Check a request and train the style's network where it needs one. Raises VideoStyleError.

    ``known``: stylizers of other clips, used for this one where style and size are the same.
    """
    request = replace(request, settings=request.settings.with_quality())
    job = open_job(request, request.settings.history_size)
    key = (as_look(request.style), job.size)
    stylizer = None if known is None else known.get(key)
    if stylizer is None:
        about = callbacks, job.info, job.media, job.expected_frames
        stylizer = open_stylizer(request.style, request.settings, job.size, *about)
        if known is not None:
            known[key] = stylizer
    return Prepared(request, job, stylizer)


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
