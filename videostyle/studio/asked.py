"""What a request holds, within its limits, and errors as one line of words."""

import json
import math
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from videostyle.errors import UnknownError, UsageError, VideoStyleError
from videostyle.studio.store import TooLargeError

MOST_BYTES = 1 << 20
STATUS = {TooLargeError: 413, UnknownError: 404, UsageError: 400, VideoStyleError: 422}


async def text_of(request: Request) -> str:
    """The body. Raises TooLargeError."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise TooLargeError("the request has more than 1 MiB")
    return body.decode("utf-8", "replace")


async def json_of(request: Request) -> dict[str, Any]:
    """The object in the body. Raises UsageError."""
    try:
        values = json.loads(await text_of(request))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the request is not JSON ({error}); expected an object") from None
    if not isinstance(values, dict):
        raise UsageError("the request is no JSON object; expected one")
    return values


def number(values: Any, name: str, default: float, least: float, most: float) -> float:
    """A number of a request within its limits. Raises UsageError."""
    try:
        value = float(values.get(name, default))
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not least <= value <= most:
        raise UsageError(f"{name} is {str(values.get(name))[:40]!r}; expected a number from {least:g} to {most:g}")
    return value


async def in_words(_request: Request, error: Exception) -> Response:
    """Every error as one line."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": f"{error.detail}; docs/studio-api.md lists what is there"}, error.status_code)
    words = str(error) if isinstance(error, VideoStyleError) else f"{type(error).__name__} (this should not happen)"
    status = next((number for kind, number in STATUS.items() if isinstance(error, kind)), 500)
    return JSONResponse({"error": " ".join(words.split())}, status)
