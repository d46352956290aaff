"""A picture that comes through standard input."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from videostyle.errors import UsageError

STANDARD_INPUT = "-"


@contextmanager
def given_picture(named: str) -> Iterator[str]:
    """The file of a picture; for ``-`` one that holds standard input, called ``stdin``. Raises UsageError."""
    if named != STANDARD_INPUT:
        yield named
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("PHOTO is -, and nothing is piped in; try: videostyle image - --style IMG < photo.jpg")
    with tempfile.TemporaryDirectory(prefix="videostyle-") as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield str(path)
