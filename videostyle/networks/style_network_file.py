"""A trained style network as a file: safetensors, with what it was trained for beside the weights.

Nothing in a file is executed. Its checksum is in its metadata, so that a damaged file is refused.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save as save_tensors

from videostyle.errors import WeightsError
from videostyle.files import replacing
from videostyle.networks.style_network import Shape, StyleNetwork

FORMAT = 2
ENDING = ".safetensors"
MOST_BYTES = 3_000_000


@dataclass(frozen=True)
class TrainedNetwork:
    """A style network and what is known of it, as plain values.

    ``style``: hash of the style pictures (`stylise.style_images.fingerprint`). ``settings``: those of the objective.
    ``size``: the longer side, in pixels, of pictures whose strokes it learned. ``training``: steps, seconds, material.
    ``card``: the report card. ``sha256``: of the weights.
    """

    network: StyleNetwork
    style: str
    settings: Mapping[str, Any]
    size: int
    training: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        return _checksum(_stored(self.network), {})


def save_network(path: Path, trained: TrainedNetwork) -> None:
    """Write the file whole or not at all, weights in float16. Raises OSError."""
    tensors = _stored(trained.network)
    told = {
        "format": FORMAT,
        "shape": asdict(trained.network.shape),
        "style": trained.style,
        "settings": dict(trained.settings),
        "size": trained.size,
        "training": dict(trained.training),
        "card": dict(trained.card),
    }
    data = save_tensors(tensors, {"videostyle": json.dumps(told | {"sha256": _checksum(tensors, told)})})
    assert len(data) <= MOST_BYTES, "the shape is too large for a file"
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def load_network(path: str | Path) -> TrainedNetwork:
    """The network of a file that `save_network` wrote. Raises WeightsError for any other."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no style network {path}; make one with: videostyle train PAINTING -o {path.name}")
    try:
        tensors, told = _read(path)
        network = StyleNetwork(Shape(**told["shape"]))
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        fields = {name: told[name] for name in ("style", "settings", "size", "training", "card")}
    except MemoryError:
        raise
    except Exception as e:  # the library's, JSON's and ours for whatever is wrong with it
        words = (str(e).strip() or type(e).__name__).splitlines()[0][:200]
        raise WeightsError(f"{path.name} is no style network: {words}; train it again") from e
    return TrainedNetwork(network.eval(), **fields)


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and description, checked against each other. Raises ValueError and whatever the libraries do."""
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has {path.stat().st_size} bytes, at most {MOST_BYTES} are expected")
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no iterator)
        metadata = file.metadata() or {}
    if "videostyle" not in metadata:
        raise ValueError("it does not say what it was trained for")
    told = json.loads(metadata["videostyle"])
    if told["format"] != FORMAT:
        raise ValueError(f"it has format {told['format']}, this version reads {FORMAT}")
    if told.pop("sha256") != _checksum(tensors, told):
        raise ValueError("it is damaged")
    return tensors, told


def _stored(network: StyleNetwork) -> dict[str, torch.Tensor]:
    """The weights as they are kept: what is loaded paints as what was saved."""
    return {name: t.detach().cpu().half().contiguous() for name, t in network.state_dict().items()}


def _checksum(tensors: Mapping[str, torch.Tensor], told: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}\n".encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()
