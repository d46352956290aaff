"""Processes on Linux, macOS and Windows: how a child is begun and ended, and whether another one lives."""

import os
import signal
import subprocess
from contextlib import suppress
from typing import Any

NEW_PROCESS_GROUP = 0x200  # of Windows; subprocess has the name there alone


def detached(system: str) -> dict[str, Any]:
    """Popen's options for a child of its own group on ``system`` (as os.name says it). It does not get the terminal's
    Ctrl-C: its parent decides when it ends."""
    return {"start_new_session": True} if system == "posix" else {"creationflags": NEW_PROCESS_GROUP}


DETACHED = detached(os.name)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that was begun detached, and on POSIX what it has begun; elsewhere that ends with its pipes."""
    if os.name != "posix":
        process.kill()
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def is_running(process: int) -> bool:
    """Whether a process of this machine lives; where that cannot be asked, it does."""
    if os.name != "posix":  # there `os.kill` would end it
        try:
            import psutil
        except ImportError:
            return True
        return bool(psutil.pid_exists(process))
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True
