"""The two files of states, the last and the one before: what the next frame needs of those before it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import safetensors.torch
import torch

from videostyle.checkpoint.state_codec import Tensors, from_plain, to_plain
from videostyle.files import checksum, replacing

State = TypeVar("State")


@dataclass(frozen=True)
class StateKind(Generic[State]):
    """What a state is: the classes it is made of, where its tensors live, and what it is at a shot's first frame."""

    classes: Sequence[type]
    device: torch.device
    beginning: Callable[[int, int], State]  # of the frame's index and the number of the shot before it


class StateStore(Generic[State]):
    """Writes to one of its files while the other stays whole. ``folder``: where they lie."""

    def __init__(self, folder: Path, kind: StateKind[State]) -> None:
        self.folder, self.kind = folder, kind

    def read(self, entry: Mapping[str, Any]) -> State | None:
        """The state of a journal's ``entry``; None where its file is not whole."""
        try:
            path = self._path(int(entry["number"]))
            if checksum(path) != entry["checksum"]:
                return None
            with safetensors.safe_open(path, framework="pt") as file:
                # Copied, to be aligned like any other tensor: the order of sums depends on it
                device, names = self.kind.device, list(file.keys())
                tensors = {name: file.get_tensor(name).to(device, copy=True) for name in names}
            return from_plain(entry["value"], self.kind.classes, tensors)
        except (OSError, KeyError, TypeError, ValueError, safetensors.SafetensorError):
            return None

    def write(self, state: State, frames: int, before: Mapping[str, Any] | None) -> dict[str, Any]:
        """Store the state after ``frames``, not over ``before``; returns its entry. Raises OSError, SafetensorError."""
        number = 0 if before is None else 1 - before["number"]
        tensors: Tensors = {}
        value = to_plain(state, self.kind.classes, tensors)
        with replacing(self._path(number), durable=True) as part:
            safetensors.torch.save_file(distinct(tensors), part)
            found = checksum(part)
        return {"number": number, "frames": frames, "checksum": found, "value": value}

    def _path(self, number: int) -> Path:
        return self.folder / f"state-{number}.safetensors"


def distinct(tensors: Tensors) -> Tensors:
    """The same tensors, no two of which share memory: safetensors refuses those that do."""
    first = {tensor.data_ptr(): name for name, tensor in reversed(tensors.items())}
    return {name: t if first[t.data_ptr()] == name else t.clone() for name, t in tensors.items()}
