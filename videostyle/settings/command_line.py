"""A request as the words of the command line that asks for the same."""

from collections.abc import Iterator, Mapping
from dataclasses import Field
from typing import Any

from videostyle.settings import MediaSettings, Settings
from videostyle.settings.look import FEATHER, STYLE_COLOURS, Look, RegionLook, StylePicture


def option_of(field: Field) -> str:
    """The option of a setting: ``--style-weight``."""
    return "--" + field.metadata.get("option", field.name).replace("_", "-")


def command_of(
    kind: str,
    source: str,
    look: Look,
    output: str,
    settings: Mapping[str, Any],
    media: Mapping[str, Any],
    look_file: str | None = None,
) -> list[str]:
    """The words, ``videostyle`` first. ``settings``, ``media``: those that are not as by default.

    ``look_file``: where the look and the settings stand as a file. It is named where options cannot say the look;
    see `needs_file`.
    """
    words = ["videostyle", kind, source]
    if needs_file(look):
        words += ["--look", look_file or "look.toml"]
    else:
        words += [*_look_words(look), *_setting_words(Settings, settings)]
    return [*words, *_setting_words(MediaSettings, media), "-o", output]


def needs_file(look: Look) -> bool:
    """Whether options cannot say a look: something changes over time, or a region has a blend."""
    constant = all(isinstance(curve, float | int) for _, curve in look.curves())
    texts = all(":" not in path for path in look.paths)
    return not (constant and texts and all(map(_is_text, look.regions)))


def _is_text(region: RegionLook) -> bool:
    if not region.styles:
        return region.weight == 1.0 and "@" not in region.mask
    return region.styles == (StylePicture(region.styles[0].picture),) and "@" not in region.mask


def _look_words(look: Look) -> Iterator[str]:
    if look.styles == (StylePicture(look.styles[0].picture),):
        yield from ("--style", look.styles[0].picture)
    else:
        yield "--blend"
        for style in look.styles:
            yield f"{style.picture}:{style.weight!r}" + ("" if style.scale == 1.0 else f":scale={style.scale!r}")
    for region in look.regions:
        at = "" if region.at_seconds is None else f"@{region.at_seconds!r}"
        painted = f":{region.styles[0].picture}" if region.styles else ""
        yield from ("--region", f"{region.mask}{at}{painted}" + ("" if region.weight == 1.0 else f":{region.weight!r}"))
    for frame in look.frames:
        yield from ("--keyframe", f"{frame.at_seconds!r}={frame.picture}")
    if look.feather != FEATHER:
        yield from ("--feather", repr(look.feather))
    if look.colours.of != STYLE_COLOURS:
        share = "" if look.colours.share == 1.0 else f":{look.colours.share!r}"
        yield from ("--colours", f"{look.colours.of}{share}")


def _setting_words(cls: type, given: Mapping[str, Any]) -> Iterator[str]:
    fields = cls.__dataclass_fields__  # type: ignore[attr-defined]
    for name, value in given.items():
        if value is None or value is False:
            continue
        yield option_of(fields[name])
        if value is not True:
            yield ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
