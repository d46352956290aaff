"""One run at a time: a lock on a file, which the system releases however its holder ends."""

import contextlib
import os
from pathlib import Path


class Lock:
    """Held from construction to `close`; the file's folder is made where there is none.

    Raises BlockingIOError where somebody else holds it, OSError for the disk.
    """

    def __init__(self, path: Path) -> None:
        while True:
            path.parent.mkdir(exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _lock(self._descriptor)
            except BaseException:
                os.close(self._descriptor)
                raise
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(self._descriptor), path.stat()):
                    return
            os.close(self._descriptor)  # the run that held it has removed its folder meanwhile

    def close(self) -> None:
        os.close(self._descriptor)


def _lock(descriptor: int) -> None:
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError as error:
            raise BlockingIOError(*error.args) from error
    except BlockingIOError:
        raise
    except OSError:
        pass  # a file system without locks: better no lock than no run
