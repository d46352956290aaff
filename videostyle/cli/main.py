"""The command line: parse, make settings, call the library once, print. The only place that sets a status.

Exit status: 0 when the output is whole, 1 when something failed, 2 when the request could not be understood, 130 after
Ctrl-C, 143 after SIGTERM, 141 when nobody reads standard output any more (`videostyle doctor | head -1`).
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence

from videostyle.cli.parser import make_parser
from videostyle.cli.signals import InterruptedRunError
from videostyle.errors import UsageError, VideoStyleError

STATUS_FAILED, STATUS_USAGE, STATUS_INTERRUPTED, STATUS_UNREAD = 1, 2, 130, 141
SIGNALLED = 128  # plus the signal's number


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    _print_any_name()
    try:
        try:
            return _run(argv)
        finally:
            if sys.stdout is not None:  # as in a Windows program without a console
                sys.stdout.flush()
    except BrokenPipeError:
        return _end_unread()


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = make_parser().parse_args(argv)
        return arguments.run(arguments)
    except VideoStyleError as e:
        return _complain(str(e), STATUS_USAGE if isinstance(e, UsageError) else STATUS_FAILED)
    except InterruptedRunError as e:
        return _complain(str(e), SIGNALLED + e.number)
    except KeyboardInterrupt:
        return _complain("interrupted; nothing was written", STATUS_INTERRUPTED)
    except BrokenPipeError:
        raise
    except Exception as e:  # a bug of ours, or a library's: one line, the rest on request
        if os.environ.get("VIDEOSTYLE_DEBUG"):
            traceback.print_exc()
        words = f"{type(e).__name__}: {e}".splitlines()[0]
        return _complain(f"{words} (this should not happen; VIDEOSTYLE_DEBUG=1 shows where)", STATUS_FAILED)


def _print_any_name() -> None:
    """A file's name that standard output's encoding lacks, as on Windows, is shown with escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _end_unread() -> int:
    """End in silence, as programs of Unix do, also when Python flushes standard output at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return STATUS_UNREAD


def _complain(words: str, status: int) -> int:
    print(f"videostyle: {' '.join(words.split())}", file=sys.stderr)
    return status
