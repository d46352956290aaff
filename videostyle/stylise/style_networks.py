"""Which style network belongs to a style: its key, the user's cache, the networks that are shipped."""

import hashlib
import json
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from videostyle.errors import UsageError, WeightsError
from videostyle.networks.style_network import StyleNetwork
from videostyle.networks.style_network_file import ENDING, TrainedNetwork, load_network
from videostyle.settings import LEARNED, Settings
from videostyle.stylise.style_images import Style

START = "start" + ENDING


@dataclass(frozen=True)
class NetworkKey:
    """What a network is trained for. ``size``: longer side, in pixels, of the pictures whose strokes it learns."""

    style: str
    settings: dict[str, Any]
    size: int

    @classmethod
    def of(cls, style: Style, settings: Settings, longest: int) -> "NetworkKey":
        """For pictures whose longer side has ``longest`` pixels, rounded to a power of sqrt 2."""
        learned = {name: getattr(settings, name) for name in LEARNED}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in learned.items()}
        return cls(fingerprint(style), plain, round(2 ** (round(2 * math.log2(longest)) / 2)))

    @property
    def path(self) -> Path:
        """Its place in the user's cache."""
        told = json.dumps([self.style, self.settings, self.size], sort_keys=True)
        return cache_folder() / (hashlib.sha256(told.encode()).hexdigest()[:32] + ENDING)

    def fits(self, trained: TrainedNetwork) -> bool:
        """Whether a network was trained for the same."""
        return (trained.style, dict(trained.settings), trained.size) == (self.style, self.settings, self.size)


def fingerprint(style: Style) -> str:
    """Hash of a style's pictures, weights and scales."""
    digest = hashlib.sha256()
    for image in style:
        picture = image.picture.mul(255).round().to(torch.uint8)
        digest.update(f"{tuple(picture.shape)} {image.weight:.6g} {image.scale:.6g}".encode())
        digest.update(picture.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def cache_folder() -> Path:
    """Where trained networks are kept, beside the weights that torch's hub keeps."""
    return Path(torch.hub.get_dir()) / "videostyle" / "networks"


def find_network(key: NetworkKey) -> TrainedNetwork | None:
    """The network for this key: of the user's cache, else a shipped one; a damaged file counts as none."""
    for path in (key.path, *_shipped()):
        if path.is_file():
            try:
                found = load_network(path)
            except WeightsError:
                continue
            if key.fits(found):
                return found
    return None


def given_network(path: str | Path, style: Style) -> TrainedNetwork:
    """The network of a file, for this style. Raises WeightsError, and UsageError for one of another style."""
    found = load_network(path)
    if found.style != fingerprint(style):
        raise UsageError(f"{path} was trained for another picture than the style; leave --network out, or train one")
    return found


def first_network() -> StyleNetwork:
    """What a training begins with: the shipped start, which has met many styles."""
    path = _folder() / START
    return load_network(path).network if path.is_file() else StyleNetwork()


def _folder() -> Path:
    return Path(str(resources.files("videostyle.networks") / "styles"))


def _shipped() -> list[Path]:
    return sorted(path for path in _folder().glob(f"*{ENDING}") if path.name != START)
