"""What stands before every request: the token in the path, Host and Origin; and the headers of every answer."""

import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
WRONG_ADDRESS = "open the address that videostyle studio printed; it has a token in it"


class Guard:
    """Lets only requests to ``/TOKEN/...`` of a known host through, and none that another site's page makes.

    ``hosts``: the values of Host that are this server's; None where it listens at every address of the machine.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str] | None) -> None:
        self._app, self._hosts, self._token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the server's begin and end
            return await self._app(scope, receive, send)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if message["status"] >= 400 and scope["method"] in ("POST", "PUT"):
                    headers["connection"] = "close"  # what is still being sent is not waited for
            await send(message)

        if refusal := self._refusal(scope["path"], Headers(scope=scope)):
            status, words = refusal
            return await JSONResponse({"error": words}, status)(scope, receive, answer)
        await self._app(dict(scope) | {"root_path": f"/{self._token}"}, receive, answer)

    def _refusal(self, path: str, headers: Headers) -> tuple[int, str] | None:
        """(status, words) for a request that is not ours."""
        host, origin = headers.get("host", "").lower(), headers.get("origin", "").lower()
        if self._hosts is not None and host not in self._hosts:
            return 421, f"this server is not {host[:80]!r}; {WRONG_ADDRESS}"
        if origin not in ("", f"http://{host}") or headers.get("sec-fetch-site") == "cross-site":
            return 403, "another site's page may not ask this server"
        if not secrets.compare_digest(path.encode()[: len(self._token) + 2], f"/{self._token}/".encode()):
            return 403, WRONG_ADDRESS
        return None
