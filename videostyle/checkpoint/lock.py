"""One run at a time: a lock on a file, which the system releases however its holder ends."""

import contextlib
import os
from pathlib import Path


class Lock:
    """Held from construction to `close`; the file's folder is made where there is none.

    Raises BlockingIOError where somebody else holds it, OSError for the disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
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

    def close(self, *, remove: bool = False) -> None:
        """Let go of it. ``remove``: the file too, and its folder if that is empty; under the lock, where an open file
        can be removed."""
        if remove and os.name == "posix":
            self._remove()
        os.close(self._descriptor)
        if remove and os.name != "posix":
            self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
            self._path.parent.rmdir()


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
