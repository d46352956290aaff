"""Which network the settings mean on this machine."""

from videostyle.device import Machine
from videostyle.networks.backbone import Backbone
from videostyle.networks.download import DownloadProgress
from videostyle.networks.weights import load_backbone, weights_are_here
from videostyle.settings import Settings


def choose_backbone(settings: Settings, machine: Machine) -> tuple[str, str]:
    """(network, why): what ``auto`` means here, for the first line and the record."""
    if settings.polish:
        return "compact", f"with {settings.polish} evaluations of VGG-19 for each shot's first frame"
    if settings.backbone != "auto":
        return settings.backbone, "asked for"
    if settings.weights is not None:
        return "auto", f"the network of {settings.weights}"
    if not machine.accelerated:
        return "compact", "made for CPUs"
    if weights_are_here("vgg19") or settings.download:
        return "vgg19", "the reference network, fast enough on this device"
    return "compact", "VGG-19's weights are not here; --download fetches them"


def load_chosen(settings: Settings, machine: Machine, on_download: DownloadProgress | None = None) -> Backbone:
    """The network that the settings mean on this machine."""
    name, _ = choose_backbone(settings, machine)
    weights = None if settings.polish else settings.weights  # they are VGG-19's then
    return load_backbone(name, weights, download=settings.download, on_progress=on_download)
