"""What stands before every request: the token in the path, Host and Origin, the headers of every answer, errors."""

import json
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
WRONG_ADDRESS = "open the address that videostyle studio printed; it has a token in it"


class Guard:
    """Lets only requests to ``/TOKEN/...`` of a known host through, and none that another site's page makes.

    ``hosts``: the values of Host that are this server's; None where it listens at every address of the machine.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str] | None) -> None:
        self._app, self._hosts, self._token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message.get("headers", ())}
                extra = [header for header in HEADERS if header[0] not in own]
                if message["status"] >= 400 and scope["method"] in ("POST", "PUT"):
                    extra.append((b"connection", b"close"))  # what is still being sent is not waited for
                message = dict(message) | {"headers": [*message.get("headers", ()), *extra]}
            await send(message)

        status, words = self._refusal(scope)
        if not status:
            return await self._app(dict(scope) | {"root_path": f"/{self._token}"}, receive, answer)
        body = json.dumps({"error": " ".join(words.split())}).encode()
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await answer({"type": "http.response.start", "status": status, "headers": head})
        await answer({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Scope) -> tuple[int, str]:
        """(the status and the words of a refusal); status 0: the request is ours."""
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if self._hosts is not None and host not in self._hosts:
            return 421, f"this server is not {host[:80]!r}; {WRONG_ADDRESS}"
        if (origin and origin != f"http://{host}") or headers.get(b"sec-fetch-site") == b"cross-site":
            return 403, "another site's page may not ask this server"
        token = scope["path"].split("/")[1] if scope["path"].count("/") > 1 else ""
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return 403, WRONG_ADDRESS
        return 0, ""
