"""The comment that an output carries: the run record's heading."""

from pathlib import Path

import av
from PIL import Image

from videostyle.media.probe import check_file
from videostyle.media.still import DESCRIPTION, WRITE_FORMATS


def read_comment(path: Path) -> str | None:
    """The text of a clip's or a picture's comment tag, None where it has none. Raises UsageError or MediaError."""
    check_file(path)
    return _of_picture(path) if path.suffix.lower() in WRITE_FORMATS else _of_clip(path)


def _of_picture(path: Path) -> str | None:
    try:
        with Image.open(path, formats=sorted(set(WRITE_FORMATS.values()))) as image:
            found = image.info.get("Comment") or image.info.get("comment") or image.getexif().get(DESCRIPTION)
    except (OSError, ValueError, SyntaxError):
        return None
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else found


def _of_clip(path: Path) -> str | None:
    try:
        with av.open(str(path)) as container:
            tags = {name.lower(): text for name, text in container.metadata.items()}
    except (av.error.FFmpegError, OSError, ValueError):
        return None
    return tags.get("comment")
