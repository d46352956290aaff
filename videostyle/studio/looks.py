"""Looks as the page sends them: plain values whose pictures are ids."""

import tomllib
from collections.abc import Mapping
from typing import Any

from videostyle.errors import UsageError
from videostyle.settings import AUTO, NAMED_STARTS, MediaSettings
from videostyle.settings.form import OF_MEDIA
from videostyle.settings.look import Look
from videostyle.settings.look_file import as_toml, from_plain, to_plain
from videostyle.studio.store import Store

Asked = tuple[Look, dict[str, Any]]  # a look that names paths, and its settings that do not change


def asked_look(values: Any, store: Store) -> Asked:
    """A look with paths from one with ids. Raises UsageError; a path is never taken."""
    look, settings = _look_of(values)
    for name in ("init", "first_init"):
        if settings.get(name, AUTO) not in (*NAMED_STARTS, AUTO):
            raise UsageError(f"{name} is {settings[name]!r}; it can be {', '.join(NAMED_STARTS)} or {AUTO}")
    return look.with_paths(lambda name: str(store.path(name))), settings


def _look_of(values: Any) -> Asked:
    if not isinstance(values, Mapping):
        raise UsageError("the look is missing; expected an object, as in a look file")
    return from_plain(values)


def plain_look(asked: Asked) -> dict[str, Any]:
    """The plain values of both."""
    return asked[1] | to_plain(asked[0])


def asked_media(values: Any) -> dict[str, Any]:
    """Settings of what is read and written, checked; those that are None are left out. Raises UsageError."""
    if not isinstance(values or {}, Mapping):
        raise UsageError("media is no object; expected settings by name")
    given = {name: value for name, value in (values or {}).items() if value is not None}
    if unknown := sorted(set(given) - set(OF_MEDIA)):
        raise UsageError(f"unknown setting {unknown[0]!r}; known ones are {', '.join(OF_MEDIA)}")
    MediaSettings.from_mapping(given)
    return given


def look_file(values: Any, store: Store) -> str:
    """A look with ids as the text of a look file, with the names of its pictures."""
    look, settings = _look_of(values)
    return as_toml(settings | to_plain(look.with_paths(lambda name: store.known(name)["name"])))


def read_look_file(text: str, store: Store) -> dict[str, Any]:
    """A look with ids from the text of a look file, whose pictures must be here by their names. Raises UsageError."""
    try:
        look, settings = from_plain(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"the file is not TOML ({' '.join(str(error).split())}); expected a look") from None

    def found(name: str) -> str:
        if (made := store.called(name.replace("\\", "/").rpartition("/")[2])) is None:
            raise UsageError(f"the look names {name[-80:]}, which is not here; upload it first, then the look")
        return made

    return settings | to_plain(look.with_paths(found))
