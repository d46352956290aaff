"""What a request asks for, checked: its body, numbers, looks with ids; and errors as one line of words."""

import json
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from videostyle.errors import NoRoomError, TooLargeError, UnknownError, UsageError, VideoStyleError
from videostyle.pipeline.media_store import Store
from videostyle.settings import AUTO, NAMED_STARTS, MediaSettings
from videostyle.settings.form import OF_MEDIA
from videostyle.settings.look_file import from_plain, to_plain

MOST_BYTES = 1 << 20  # of a body that is no upload
STATUS = {TooLargeError: 413, UnknownError: 404, UsageError: 400, NoRoomError: 507, VideoStyleError: 422}


async def text_of(request: Request) -> str:
    """The body. Raises TooLargeError."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise TooLargeError("the request has more than 1 MiB")
    return body.decode("utf-8", "replace")


async def json_of(request: Request) -> dict[str, Any]:
    """The object in the body. Raises UsageError, also for what JSON and UTF-8 cannot say again."""
    try:
        values = {**json.loads(await text_of(request))}
        json.dumps(values, ensure_ascii=False, allow_nan=False).encode()  # no NaN or infinity, no half of a character
        return values
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"the request is not JSON ({error}); expected an object") from None


def number(values: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    """A number of a request within its limits. Raises UsageError."""
    given = values.get(name, default)
    with suppress(TypeError, ValueError, OverflowError):
        if least <= float(given) <= most:
            return float(given)
    raise UsageError(f"{name} is {str(given)[:40]!r}; expected a number from {least:g} to {most:g}")


def media_settings(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of what is read and written; those that are None are left out. Raises UsageError."""
    if not isinstance(values := asked.get("media") or {}, Mapping):
        raise UsageError("media is no object; expected settings by name")
    given = {name: value for name, value in values.items() if value is not None}
    if unknown := sorted(set(given) - set(OF_MEDIA)):
        raise UsageError(f"unknown setting {unknown[0]!r}; known ones are {', '.join(OF_MEDIA)}")
    MediaSettings.from_mapping(given)
    return given


def look_with_paths(asked: Mapping[str, Any], store: Store) -> dict[str, Any]:
    """The look with paths in the place of its pictures' ids. Raises UsageError; a path is never taken."""
    made = _look_with(asked.get("look"), lambda name: str(store.path(name)))
    for name in ("init", "first_init"):
        if made.get(name, AUTO) not in (*NAMED_STARTS, AUTO):
            raise UsageError(f"{name} is {made[name]!r}; it can be {', '.join(NAMED_STARTS)} or {AUTO}")
    return made


def spoken(asked: Mapping[str, Any], store: Store) -> dict[str, str]:
    """What is said in the place of the paths of a request's pictures. Raises UsageError."""
    names = [str(asked.get("source"))]

    def note(name: str) -> str:
        names.append(name)
        return name

    _look_with(asked.get("look"), note)
    return {str(store.path(name)): store.known(name)["name"] for name in names}


def look_with_names(asked: Mapping[str, Any], store: Store) -> dict[str, Any]:
    """The look with names in the place of its pictures' ids. Raises UsageError."""
    return _look_with(asked.get("look"), lambda name: store.known(name)["name"])


def look_of_file(text: str, store: Store) -> dict[str, Any]:
    """The look of a file, with ids: its pictures must be here by their names. Raises UsageError."""
    try:
        return _look_with(tomllib.loads(text), store.called)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"the file is not TOML ({' '.join(str(error).split())}); expected a look") from None


def _look_with(values: Any, name: Callable[[str], str]) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise UsageError("the look is missing; expected an object, as in a look file")
    look, settings = from_plain(values)
    return settings | to_plain(look.with_paths(name))


async def in_words(_request: Request, error: Exception) -> Response:
    """Every error as one line."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": f"{error.detail}; docs/studio-api.md lists what is there"}, error.status_code)
    words = str(error) if isinstance(error, VideoStyleError) else f"{type(error).__name__} (this should not happen)"
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
    return JSONResponse({"error": " ".join(words.split())}, status)
