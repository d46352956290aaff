"""The command that opens the studio."""

import argparse
import logging
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from videostyle.cli.console import Console
from videostyle.errors import UsageError


def studio(arguments: argparse.Namespace) -> int:
    """Open a page on which looks are tried, runs are queued, and frames are seen as they are painted.

    The page is served by this machine alone. What is in FOLDER outlives the page and the server: the same command goes
    on from there.
    """
    from videostyle.studio.serve import serve

    console = Console(quiet=False)

    def on_ready(address: str) -> None:
        console.say(f"{address}  (Ctrl-C ends; {arguments.folder} keeps everything)")
        if not arguments.no_browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()  # some wait for their end

    if arguments.host not in ("127.0.0.1", "localhost", "::1"):
        console.note(f"note: other machines can reach {arguments.host}, unencrypted; the token is all that guards it")
    if not 0 <= arguments.port < 65536:
        raise UsageError(f"--port is {arguments.port}; expected 0 to 65535")
    with suppress(KeyboardInterrupt), _log_shown():  # Ctrl-C is the way to end it
        serve(Path(arguments.folder), arguments.host, arguments.port, int(arguments.largest * 2**30), on_ready)
    return 0


@contextmanager
def _log_shown() -> Iterator[None]:
    """What the studio finds amiss, a file that was damaged say, is shown on stderr."""
    log, shown = logging.getLogger("videostyle"), logging.StreamHandler()
    log.addHandler(shown)
    try:
        yield
    finally:
        log.removeHandler(shown)
