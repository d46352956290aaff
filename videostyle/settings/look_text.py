"""Styles, regions and colours as short texts, for the command line and for look files."""

import math
import re
from pathlib import Path

from videostyle.errors import UsageError
from videostyle.settings.look import ColourLook, PaintedFrame, RegionLook, StylePicture


def style_of_text(text: str) -> StylePicture:
    """``A.jpg``, ``A.jpg:0.7`` or ``A.jpg:0.7:scale=2``."""
    parts, found = _parts(text), dict[str, float]()
    while len(parts) > 1:
        name, _, number = parts[-1].rpartition("=")
        if name not in ("", "scale") or (value := _number(number)) is None:
            break
        found[name or "weight"] = value
        parts.pop()
    if len(parts) != 1 or not parts[0]:
        raise UsageError(f"{text!r} is not a style; expected PICTURE, PICTURE:WEIGHT or PICTURE:WEIGHT:scale=NUMBER")
    return StylePicture(parts[0], **found)


def mask_of_text(text: str) -> tuple[str, float | None]:
    """``MASK`` or ``MASK@SECONDS``: (its path, the time of the frame that it was painted on)."""
    path, at, seconds = text.rpartition("@")
    if not at or (value := _number(seconds)) is None:
        return text, None
    if not 0 <= value < math.inf or not path:
        raise UsageError(f"{text!r} is not a mask; expected MASK or MASK@SECONDS, with a time of at least 0")
    return path, value


def region_of_text(text: str) -> RegionLook:
    """``MASK[@SECONDS][:STYLE[:WEIGHT]]``."""
    parts = _parts(text)
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise UsageError(f"{text!r} is not a region; expected MASK[@SECONDS][:STYLE[:WEIGHT]]")
    mask, at = mask_of_text(parts[0])
    weight = 1.0 if len(parts) < 3 else _number(parts[2])
    if weight is None:
        raise UsageError(f"{text!r} is not a region: its weight is {parts[2]!r}; expected a number")
    return RegionLook(mask, at, tuple(StylePicture(part) for part in parts[1:2]), weight)


def colours_of_text(text: str) -> ColourLook:
    """``style``, ``source``, a picture's path, or one of the last two with ``:SHARE``."""
    parts = _parts(text)
    share = _number(parts[-1]) if len(parts) == 2 else 1.0
    if len(parts) > 2 or share is None or not parts[0]:
        raise UsageError(f"colours is {text!r}; expected style, source, PICTURE, source:SHARE or PICTURE:SHARE")
    return ColourLook(parts[0], share)


# Of a frame's picture: NAME-0002.533s.png, as `videostyle keyframes` calls them.
TIME_IN_NAME = re.compile(r"(?:^|-)(\d+(?:\.\d+)?)s$")
PICTURE_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}


def frames_of_text(text: str) -> tuple[PaintedFrame, ...]:
    """``SECONDS=PICTURE``, or a picture whose name ends in its time (``clip-0002.533s.png``), or a folder of those."""
    before, equals, path = text.partition("=")
    if equals and path and (seconds := _number(before)) is not None:
        return (PaintedFrame(path, seconds),)
    if not Path(text).is_dir():
        return (_named_frame(Path(text)),)
    pictures = sorted(p for p in Path(text).iterdir() if p.suffix.lower() in PICTURE_ENDINGS)
    if not pictures:
        raise UsageError(f"{text} holds no picture; expected frames as videostyle keyframes writes them")
    return tuple(map(_named_frame, pictures))


def _named_frame(path: Path) -> PaintedFrame:
    found = TIME_IN_NAME.search(path.stem)
    if found is None:
        raise UsageError(
            f"{path} does not say which frame it is; expected SECONDS=PICTURE, or a name like clip-0002.533s.png"
        )
    return PaintedFrame(str(path), float(found[1]))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _parts(text: str) -> list[str]:
    """Split at colons, but not behind the letter of a Windows drive."""
    return [part.replace("\0", ":") for part in re.sub(r"(^|:)([A-Za-z]):(?=[\\/])", "\\1\\2\0", text).split(":")]
