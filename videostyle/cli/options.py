"""Command line options made from the fields of settings classes: help, choices and defaults stand there, once."""

import argparse
from collections.abc import Callable, Collection
from dataclasses import Field, fields
from typing import Any, TypeVar, get_args, get_type_hints

from videostyle.errors import UsageError
from videostyle.settings import LiveSettings, MediaSettings, RunSettings, Settings, SpreadSettings, TrainSettings
from videostyle.settings.command_line import option_of

TITLES: dict[type, str] = {
    Settings: "style and network",
    MediaSettings: "input and output",
    RunSettings: "stopping and resuming",
    SpreadSettings: "many machines",
    TrainSettings: "training",
    LiveSettings: "time",
}
ADVANCED = "advanced (rarely needed)"
T = TypeVar("T")
N = TypeVar("N", int, float)
_Group = argparse._ArgumentGroup


def add_settings(parser: argparse.ArgumentParser, *classes: type, without: Collection[str] = ()) -> _Group:
    """One option per field of the settings classes; what is not given is left to the class's own default.

    A group for each class, then one for the rare options of all of them, which is returned.
    """
    groups = [parser.add_argument_group(TITLES[cls]) for cls in classes]
    advanced = parser.add_argument_group(ADVANCED)
    for cls, group in zip(classes, groups, strict=True):
        hints = get_type_hints(cls)
        for f in fields(cls):
            if f.name not in without:
                option = option_of(f)
                place = advanced if f.metadata.get("rare") else group
                place.add_argument(option, **_argument(f, option, hints[f.name]))
    return advanced


def _argument(f: Field, option: str, hint: Any) -> dict[str, Any]:
    shown = f.metadata["help"]
    if hint is not bool and f.default is not None and "default" not in shown:
        shown += f" (default: {','.join(f.default) if isinstance(f.default, tuple) else f.default})"
    common = {"dest": f.name, "default": argparse.SUPPRESS, "help": shown}
    if hint is bool:
        return common | {"action": "store_true"}
    if f.metadata.get("choices"):
        return common | {"choices": f.metadata["choices"]}
    kinds = get_args(hint) or (hint,)
    kind: Callable[[str], Any] = str
    if isinstance(f.default, tuple):
        kind = _names
    elif tuple[float, ...] in kinds:
        kind = _numbers(option)
    elif int in kinds:
        kind = whole_number(option)
    elif float in kinds:
        kind = number(option)
    if "const" in f.metadata:  # what the option means without a value
        common |= {"nargs": "?", "const": f.metadata["const"]}
    return common | {"type": kind, "metavar": f.metadata.get("metavar", "N")}


def number(option: str) -> Callable[[str], float]:
    return _read(option, float, "a number")


def whole_number(option: str) -> Callable[[str], int]:
    return _read(option, int, "a whole number")


def _read(option: str, kind: Callable[[str], N], expected: str) -> Callable[[str], N]:
    def parse(text: str) -> N:
        try:
            return kind(text)
        except ValueError:
            raise UsageError(f"{option} is {text!r}; expected {expected}") from None

    return parse


def _numbers(option: str) -> Callable[[str], tuple[float, ...]]:
    """``1.2,3.04`` -> its numbers; an empty text holds none."""
    return lambda text: tuple(number(option)(part) for part in _names(text))


def _names(text: str) -> tuple[str, ...]:
    """``conv1_1,conv2_1`` -> its parts; an empty text names nothing."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def given_settings(arguments: argparse.Namespace, cls: type[T]) -> T:
    """Settings from what was given on the command line, and nothing else."""
    given = {f.name: getattr(arguments, f.name) for f in fields(cls) if hasattr(arguments, f.name)}  # type: ignore[arg-type]
    return cls(**given)
