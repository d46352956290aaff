"""The server: one folder, one port of this machine, one address with a token in it."""

import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from videostyle.checkpoint.lock import Lock
from videostyle.errors import MissingLibraryError, UsageError

LOCAL, ANY = ("127.0.0.1", "localhost", "[::1]"), ("0.0.0.0", "::")
MISSING = "the studio needs Starlette and uvicorn: pip install 'videostyle[studio]'"


def serve(folder: Path, host: str, port: int, most_upload: int, on_ready: Callable[[str], None]) -> None:
    """Serve the studio of ``folder``, made where it is missing, until Ctrl-C or SIGTERM.

    ``most_upload``: bytes. ``on_ready`` is given the address when it answers. Raises UsageError, MissingLibraryError.
    """
    try:
        import uvicorn

        from videostyle.studio.app import make_app
        from videostyle.studio.guard import Guard
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("uvicorn", "starlette"):
            raise MissingLibraryError(MISSING) from None
        raise
    folder = folder.resolve()
    lock = _locked(folder)
    try:
        listening = _listen(host, port)
        port = listening.getsockname()[1]
        token = _token(folder)
        named = socket.gethostname() if host in ANY else f"[{host}]" if ":" in host else host
        address = f"http://{named}:{port}/{token}/"
        _keep_private(folder / "address", address)
        hosts = None if host in ANY else frozenset(f"{name}:{port}" for name in {*LOCAL, named})
        app = Guard(make_app(folder, most_upload), token, hosts)
        config = uvicorn.Config(
            app, log_level="critical", access_log=False, server_header=False, timeout_graceful_shutdown=1, lifespan="on"
        )
        server = uvicorn.Server(config)
        on_ready(address)  # the socket listens: a browser that is faster than the server waits
        server.run(sockets=[listening])
    finally:
        lock.close()


def _locked(folder: Path) -> Lock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Lock(folder / "lock")
    except BlockingIOError:
        address = folder / "address"
        there = f": {address.read_text(encoding='utf-8').strip()}" if address.is_file() else ""
        raise UsageError(f"another studio works in {folder}{there}; open that one, or name another folder") from None
    except OSError as error:
        raise UsageError(f"{folder} cannot be used ({error.strerror or error}); name another folder") from None


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named asyncio turns Nagle's delay of 40 ms off.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(128)
        return made
    except OSError as error:
        made.close()
        words = error.strerror or str(error)
        raise UsageError(f"{host}:{port} cannot be used ({words}); name another with --port") from None


def _token(folder: Path) -> str:
    """The folder's own, so that a page that is open finds its server again."""
    try:
        token = (folder / "address").read_text(encoding="utf-8").strip().rstrip("/").rpartition("/")[2]
    except OSError:
        token = ""
    return token if len(token) >= 32 else secrets.token_urlsafe(32)


def _keep_private(file: Path, text: str) -> None:
    """Write what nobody else may read."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as made:
        made.write(text + "\n")
