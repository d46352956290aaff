"""Looks as plain values, which TOML and JSON have, and as files."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from videostyle.errors import UsageError
from videostyle.settings import Settings
from videostyle.settings.curves import curve_of, plain
from videostyle.settings.look import (
    CHANGING,
    FEATHER,
    STYLE_COLOURS,
    ColourLook,
    Look,
    PaintedFrame,
    RegionLook,
    StylePicture,
)
from videostyle.settings.look_text import colours_of_text, mask_of_text, style_of_text

LOOK_KEYS = ("style", "region", "colours", "feather", "frame")
# Settings of the machine, not of the look.
NOT_OF_A_LOOK = {"weights", "download", "device", "precision", "memory", "network", "flow_weights"}
MOST_BYTES = 1 << 20  # of a look file: a thousand keys take less


def read_look(path: str | Path) -> tuple[Look, dict[str, Any]]:
    """(the look of a TOML file, the settings of it that do not change). Its paths are seen from the file's folder.

    Raises UsageError, which names the file and the key.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path} has more than {MOST_BYTES >> 20} MiB; expected a look (TOML)")
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}); expected a look (TOML)") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        words = " ".join(str(error).split())
        raise UsageError(f"{path} is not TOML ({words}); expected a look, see docs/looks.md") from None
    try:
        look, fixed = from_plain(values, path.stem)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return look.with_paths(lambda name: str(path.parent / name)), fixed


def as_toml(values: Mapping[str, Any]) -> str:
    """Plain values of a look as the text of a file."""
    tables = {key: value for key, value in values.items() if _is_tables(value)}
    lines = [f"{key} = {_inline(value)}" for key, value in values.items() if key not in tables]
    for key, entries in tables.items():
        for entry in entries:
            lines += ["", f"[[{key}]]", *(f"{name} = {_inline(value)}" for name, value in entry.items())]
    return "\n".join(lines).strip() + "\n"


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_inline(part)}" for name, part in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def to_plain(look: Look) -> dict[str, Any]:
    """The look as values that TOML and JSON have; what is as by default is left out."""
    made: dict[str, Any] = {name: plain(curve) for name, curve in look.changing}
    if look.colours != ColourLook():
        made["colours"] = _plain_colours(look.colours)
    if look.feather != FEATHER:
        made["feather"] = look.feather
    made["style"] = [_plain_style(style) for style in look.styles]
    if look.regions:
        made["region"] = [_plain_region(region) for region in look.regions]
    if look.frames:
        made["frame"] = [{"at": frame.at_seconds, "picture": frame.picture} for frame in look.frames]
    return made


def _plain_colours(colours: ColourLook) -> Any:
    if colours.share == 1.0 and ":" not in colours.of:
        return colours.of
    return {"of": colours.of, "share": plain(colours.share)}


def _plain_style(style: StylePicture) -> dict[str, Any]:
    curves = {"weight": style.weight, "scale": style.scale}
    return {"picture": style.picture} | {name: plain(curve) for name, curve in curves.items() if curve != 1.0}


def _plain_region(region: RegionLook) -> dict[str, Any]:
    mask = region.mask if region.at_seconds is None else f"{region.mask}@{region.at_seconds!r}"
    made: dict[str, Any] = {"mask": mask} | ({} if region.weight == 1.0 else {"weight": plain(region.weight)})
    return made | ({"style": [_plain_style(style) for style in region.styles]} if region.styles else {})


def from_plain(values: Mapping[str, Any], name: str = "") -> tuple[Look, dict[str, Any]]:
    """(the look, the settings of it that do not change) from plain values. Raises UsageError."""
    known = {*LOOK_KEYS, *Settings.__dataclass_fields__} - NOT_OF_A_LOOK
    _refuse_unknown(values, known, "the look")
    colours = values.get("colours", STYLE_COLOURS)
    changing, fixed = [], dict[str, Any]()
    for key, value in values.items():
        if key in CHANGING and isinstance(value, list | dict):
            changing.append((key, curve_of(value, key)))
        elif key not in LOOK_KEYS:
            fixed[key] = value
    look = Look(
        _styles(values.get("style", ()), "style"),
        tuple(map(_region, _tables(values.get("region", ()), "region"))),
        _colours(colours) if isinstance(colours, Mapping) else colours_of_text(_text(colours, "colours")),
        curve_number(values.get("feather", FEATHER), "feather"),
        tuple(changing),
        name,
        tuple(map(_frame, _tables(values.get("frame", ()), "frame"))),
    )
    Settings.from_mapping(fixed)
    return look, fixed


def _styles(value: Any, name: str) -> tuple[StylePicture, ...]:
    if isinstance(value, str):
        return (style_of_text(value),)
    return tuple(_style(table) for table in _tables(value, name))


def _style(table: Mapping[str, Any]) -> StylePicture:
    _refuse_unknown(table, {"picture", "weight", "scale"}, "a style")
    curves = {name: curve_of(table[name], f"{name} of a style") for name in ("weight", "scale") if name in table}
    return StylePicture(_text(table.get("picture"), "picture of a style"), **curves)


def _region(table: Mapping[str, Any]) -> RegionLook:
    _refuse_unknown(table, {"mask", "style", "weight"}, "a region")
    mask, at = mask_of_text(_text(table.get("mask"), "mask of a region"))
    weight = curve_of(table.get("weight", 1.0), f"weight of region {mask}")
    return RegionLook(mask, at, _styles(table.get("style", ()), "style of a region"), weight)


def _frame(table: Mapping[str, Any]) -> PaintedFrame:
    _refuse_unknown(table, {"at", "picture"}, "a frame")
    if "at" not in table:
        raise UsageError("a frame has no time; expected at = SECONDS")
    picture = _text(table.get("picture"), "picture of a frame")
    return PaintedFrame(picture, curve_number(table["at"], "at of a frame"))


def _colours(table: Mapping[str, Any]) -> ColourLook:
    _refuse_unknown(table, {"of", "share"}, "colours")
    return ColourLook(_text(table.get("of"), "of in colours"), curve_of(table.get("share", 1.0), "share of colours"))


def curve_number(value: Any, name: str) -> float:
    """A number that does not change."""
    curve = curve_of(value, name)
    if not isinstance(curve, float):
        raise UsageError(f"{name} is {value!r}; expected a number, which does not change over time")
    return curve


def _tables(value: Any, name: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
        raise UsageError(f"{name} is {value!r}; expected tables, each begun with [[{name.split()[0]}]]")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name} is {value!r}; expected a text")
    return value


def _refuse_unknown(values: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(values) - known):
        raise UsageError(f"{where} has {unknown[0]!r}, which is not known; known are {', '.join(sorted(known))}")
