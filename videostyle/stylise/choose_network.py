"""Which network the settings mean on this machine."""

from videostyle.device import Machine
from videostyle.networks import compact
from videostyle.networks.backbone import Backbone
from videostyle.networks.download import DownloadProgress
from videostyle.networks.weights import load_backbone, weights_are_here
from videostyle.settings import Settings


def choose_backbone(settings: Settings, machine: Machine) -> tuple[str, str]:
    """(network, why): what ``auto`` means here, for the first line and the record."""
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
    return load_backbone(name, settings.weights, download=settings.download, on_progress=on_download)


def finer_backbone(backbone: Backbone, settings: Settings) -> Backbone:
    """The network of the octaves that are finished from a painted one: the embedded one, where it has what is asked
    for. VGG-19 takes seven times as long there, and large forms, where it sees more, are decided by then."""
    if backbone.embedded:
        return backbone
    embedded = compact.load()
    layers = {*settings.content_layers, *settings.style_layers}
    has_all = layers <= embedded.references.keys() and settings.pooling in embedded.poolings
    return embedded if has_all else backbone
