"""What is not the same between what a run was made from and what is asked for now."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(group, what was and what is) for every value that is not the same."""
    for group in dict.fromkeys((*before, *now)):
        old, new = before.get(group), now.get(group)
        if isinstance(old, dict) and isinstance(new, dict):
            for name in dict.fromkeys((*old, *new)):
                if old.get(name) != new.get(name):
                    yield group, f"{group} {name} was {old.get(name)}, is {new.get(name)}"
        elif old != new:
            yield group, f"{group} was {old}, is {new}"


def shortened(words: Sequence[str], most: int = 4) -> str:
    """The first few of them."""
    more = f", and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def plain(values: Any) -> Any:
    """As JSON would give it back."""
    if isinstance(values, Mapping):
        return {key: plain(value) for key, value in values.items()}
    return [plain(value) for value in values] if isinstance(values, tuple | list) else values
