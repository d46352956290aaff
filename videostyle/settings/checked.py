"""Settings that check themselves: types, choices and ranges from their fields, unknown names refused."""

import math
import operator
from collections.abc import Mapping
from dataclasses import field, fields, replace
from functools import partial
from numbers import Integral, Real
from types import NoneType
from typing import Any, Self, get_args, get_origin, get_type_hints

from videostyle.errors import UsageError


def setting(default: Any, help: str, **metadata: Any) -> Any:
    """A dataclass field with its help text; ``choices``, ``minimum``, ``above`` and ``maximum`` are checked."""
    return field(default=default, metadata={"help": help, **metadata})


# For an option that few people need: the command line lists it in a group of its own.
rare_setting = partial(setting, rare=True)


# Values as people write them, in a recipe or in Python: a whole number is a number too, and so is a fraction.
KINDS: dict[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (Integral,)),
    float: ("a number", (Real,)),
    str: ("a text", (str,)),
    NoneType: ("nothing", (NoneType,)),
}
LIMITS = {"minimum": (operator.ge, "at least"), "above": (operator.gt, "above"), "maximum": (operator.le, "at most")}


def _expected(annotation: Any) -> list[Any]:
    """The alternatives of a type: ``int | None`` -> [int, NoneType]."""
    return list(get_args(annotation)) if get_origin(annotation) not in (None, tuple) else [annotation]


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_fits(v, get_args(kind)[0]) for v in value)
    return isinstance(value, KINDS[kind][1]) and (kind is bool or not isinstance(value, bool))


def _word(kind: Any) -> str:
    return f"a list, each {KINDS[get_args(kind)[0]][0]}" if get_origin(kind) is tuple else KINDS[kind][0]


class CheckedSettings:
    """Checks types, choices and ranges on construction, and unknown names in ``from_mapping``."""

    def __post_init__(self) -> None:
        types = get_type_hints(type(self))
        for f in fields(self):  # type: ignore[arg-type]
            self._check(f.name, getattr(self, f.name), f.metadata, _expected(types[f.name]))

    @staticmethod
    def _check(name: str, value: Any, rule: Mapping[str, Any], kinds: list[Any]) -> None:
        option = name.replace("_", "-")
        if not any(_fits(value, kind) for kind in kinds):
            raise UsageError(f"{option} is {value!r}; expected {' or '.join(map(_word, kinds))}")
        if value is None:
            return
        if "choices" in rule and value not in rule["choices"]:
            raise UsageError(f"{option} is {value!r}; it can be {', '.join(map(str, rule['choices']))}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{option} is not a finite number")
        for limit, (keeps, words) in LIMITS.items():
            if limit in rule and not keeps(value, rule[limit]):
                raise UsageError(f"{option} is {value}; it must be {words} {rule[limit]}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Settings from plain values (a recipe, a record); an unknown name is refused, lists become tuples."""
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        if unknown := sorted(set(values) - known):
            raise UsageError(f"unknown setting {', '.join(unknown)}; known ones are {', '.join(sorted(known))}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def replace(self, **changes: Any) -> Self:
        """The same settings with some changed."""
        return replace(self, **changes)  # type: ignore[type-var]
