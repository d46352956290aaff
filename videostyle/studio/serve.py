"""The server: one folder, one port of this machine, one address with a token in it."""

import re
import secrets
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from videostyle.checkpoint.lock import Lock
from videostyle.errors import MissingLibraryError, UsageError

LOCAL, ANY = ("127.0.0.1", "localhost", "[::1]"), ("0.0.0.0", "::")
HTTP_PORT = 80
TOKEN = re.compile(r"[\w-]{32,}", re.ASCII)


def serve(folder: Path, host: str, port: int, most_upload: int, on_ready: Callable[[str], None]) -> None:
    """Serve the studio of ``folder``, made where it is missing, until Ctrl-C or SIGTERM.

    ``most_upload``: bytes. ``on_ready`` is given the address when it answers. Raises UsageError, MissingLibraryError.
    """
    try:
        import uvicorn

        from videostyle.studio.app import make_app
        from videostyle.studio.guard import Guard
    except ModuleNotFoundError as error:
        raise MissingLibraryError(f"the studio needs {error.name}: pip install 'videostyle[studio]'") from None
    folder = folder.resolve()
    with closing(_locked(folder)):
        listening = _listen(host, port)
        port = listening.getsockname()[1]
        named = socket.gethostname() if host in ANY else f"[{host}]" if ":" in host else host
        hosts = None if host in ANY else allowed_hosts(named, port)
        token = _token(folder)
        address = f"http://{named}:{port}/{token}/"
        _keep_private(folder / "address", address)
        app = Guard(make_app(folder, most_upload), token, hosts)
        config = uvicorn.Config(
            app, log_level="critical", access_log=False, server_header=False, timeout_graceful_shutdown=1, ws="none"
        )
        on_ready(address)  # the socket listens: a browser that is faster than the server waits
        uvicorn.Server(config).run(sockets=[listening])


def allowed_hosts(named: str, port: int) -> frozenset[str]:
    """The values of Host in lower case; browsers leave HTTP's own port out."""
    names = {name.lower() for name in (*LOCAL, named)}
    return frozenset(f"{name}:{port}" for name in names) | (names if port == HTTP_PORT else frozenset())


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
    try:
        made = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UsageError(f"{error.strerror or error}; name another with --host or --port") from None
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # of every connection: no delay of 40 ms
    return made


def _token(folder: Path) -> str:
    """The folder's own, so that a page that is open finds its server again."""
    address = folder / "address"
    kept = address.read_text(encoding="utf-8", errors="replace") if address.is_file() else ""
    token = kept.strip("/\n").rpartition("/")[2]
    return token if TOKEN.fullmatch(token) else secrets.token_urlsafe(32)


def _keep_private(file: Path, text: str) -> None:
    """Write what nobody else may read."""
    file.unlink(missing_ok=True)
    file.touch(0o600, exist_ok=False)
    file.write_text(text + "\n", encoding="utf-8")
