"""What ``videostyle doctor`` and ``videostyle weights`` say, as lines of text."""

import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from videostyle.device import available_devices, choose_machine
from videostyle.errors import UsageError, VideoStyleError, WeightsError
from videostyle.files import sha256_of
from videostyle.media.advisories import CHECKED, known_faults
from videostyle.media.ffmpeg import find_ffmpeg
from videostyle.media.survey import av_ffmpeg_version
from videostyle.networks import compact
from videostyle.networks.backbone import Backbone
from videostyle.networks.download import DownloadProgress, fetch, torchvision_url
from videostyle.networks.raft import RAFT_SMALL, raft_url
from videostyle.networks.weights import KNOWN, from_file, load_backbone, weights_are_here
from videostyle.pipeline.job import default_size
from videostyle.settings import Settings
from videostyle.stylise.choose_network import choose_backbone
from videostyle.version import __version__

LIBRARIES = ("torch", "torchvision", "av", "numpy", "Pillow", "safetensors", "scenedetect", "imageio-ffmpeg")


def report() -> Iterator[str]:
    """What the machine offers, and what would be used."""
    yield f"videostyle {__version__}, Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "libraries: " + ", ".join(f"{name} {_version(name)}" for name in LIBRARIES) + f", {_opencv()}"
    yield from _ffmpeg()
    yield from _faults(f"PyAV's FFmpeg {av_ffmpeg_version()}", av_ffmpeg_version())
    yield f"devices: {', '.join(available_devices())}"
    settings = Settings()
    machine = choose_machine(settings)
    name, why = choose_backbone(settings, machine)
    yield f"would run on: {machine.name}, {machine.precision}"
    yield f"would use: {name} ({why}), {default_size(settings)} pixels on the longer side"
    yield from list_weights()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _opencv() -> str:
    try:
        from videostyle.temporal.flow import OPENCV_VERSION
    except VideoStyleError as e:
        return str(e)
    return f"opencv {OPENCV_VERSION}"


def _ffmpeg() -> Iterator[str]:
    try:
        found = find_ffmpeg()
    except VideoStyleError as e:
        yield f"ffmpeg: {e}"
        return
    yield f"ffmpeg: {found.version} at {found.path}"
    yield from _faults("this ffmpeg", found.version)


def _faults(name: str, version: str) -> Iterator[str]:
    """A line where a build is known to have faults that a crafted file can use; SECURITY.md says what to do."""
    if faults := known_faults(version):
        told = "; ".join(f"{fault.number}, {fault.what}" for fault in faults)
        yield f"warning: unless its maker has mended it, {name} has {told} (known on {CHECKED}; see SECURITY.md)"


def list_weights() -> Iterator[str]:
    """Every network: whether it is here, and where."""
    for name, known in KNOWN.items():
        place = f"here, {known.path}" if weights_are_here(name) else f"not here (would be {known.path})"
        yield f"weights of {name}: {place}; {known.origin}"
    place = f"here, {RAFT_SMALL.path}" if RAFT_SMALL.path.is_file() else f"not here (would be {RAFT_SMALL.path})"
    yield f"weights of raft (--flow raft): {place}; {RAFT_SMALL.origin}"
    there = "in the package" if compact.is_here() else "missing from the package"
    yield f"weights of compact: {there}"


def fetch_weights(name: str, on_progress: DownloadProgress | None = None) -> str:
    """Fetch VGG-19's or RAFT's weights into torch's cache unless they are there; the line that says so."""
    if name not in ("vgg19", "raft"):
        raise UsageError(f"{name} cannot be fetched; only vgg19 and raft can")
    known, url = (KNOWN[name], torchvision_url) if name == "vgg19" else (RAFT_SMALL, raft_url)
    path = known.path
    if path.is_file():
        return f"{name}: already here, {path}"
    fetch(url(), path, known.hash_prefix, on_progress)
    return f"{name}: fetched to {path}"


def check_weights(what: str | None) -> Iterator[str]:
    """Check one file, one network, or all networks that are here. Raises WeightsError for what is wrong."""
    if what is not None and what not in KNOWN and what != "compact":
        yield _describe(from_file(Path(what)))
        return
    for name in [what] if what else [name for name in (*KNOWN, "compact") if weights_are_here(name)]:
        known = KNOWN.get(name)
        if known is not None and known.path.is_file() and not sha256_of(known.path).startswith(known.hash_prefix):
            problem = f"its sha256 is not {known.hash_prefix}..."
            raise WeightsError(f"{known.path} is damaged: {problem}; remove it, fetch it again")
        yield _describe(load_backbone(name))


def _describe(backbone: Backbone) -> str:
    layers = list(backbone.references)
    span = f"{len(layers)} layers from {layers[0]} to {layers[-1]}"
    return f"{backbone.name}: sound, {span}, sha256 {backbone.sha256[:16]}..."
