"""Nested values taken apart into plain JSON and named tensors, and put together again, to the bit.

A value is a tensor, a number, a text, None, a tuple or a dict of values, or an object of one of the classes that the
caller names. Reading makes nothing else and executes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]


def to_plain(value: Any, classes: Sequence[type], tensors: Tensors, name: str = "") -> Any:
    """JSON for ``value``; its tensors are added to ``tensors``, by names that begin with ``name``."""

    def inner(part: Any, key: object) -> Any:
        return to_plain(part, classes, tensors, f"{name}.{key}" if name else str(key))

    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach().cpu().contiguous()
        return {"tensor": name}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return {"tuple": [inner(part, i) for i, part in enumerate(value)]}
    if isinstance(value, dict):
        return {"dict": {key: inner(part, key) for key, part in value.items()}}
    if type(value) not in classes:
        raise TypeError(f"{name} is a {type(value).__name__}, which cannot be kept")
    kept = {key: part for key, part in vars(value).items() if not key.startswith("_")}  # the others are made again
    return {"class": type(value).__name__, "fields": {key: inner(part, key) for key, part in kept.items()}}


def from_plain(plain: Any, classes: Sequence[type], tensors: Mapping[str, torch.Tensor]) -> Any:
    """`to_plain` undone. Raises KeyError, TypeError or ValueError for what it cannot have written."""

    def inner(part: Any) -> Any:
        return from_plain(part, classes, tensors)

    match plain:
        case {"tensor": str(name)}:
            return tensors[name]
        case {"tuple": list(parts)}:
            return tuple(inner(part) for part in parts)
        case {"dict": dict(parts)}:
            return {key: inner(part) for key, part in parts.items()}
        case {"class": str(name), "fields": dict(parts)}:
            (cls,) = (c for c in classes if c.__name__ == name)
            made: Any = object.__new__(cls)  # without its constructor, which may do work
            vars(made).update({key: inner(part) for key, part in parts.items()})
            return made
        case None | bool() | int() | float() | str():
            return plain
    raise ValueError("not a value that was kept")
