"""The nodes' widgets, made from the settings' own metadata, and the settings that they stand for."""

import tomllib
from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from videostyle import MediaSettings, Settings, VideoStyleError
from videostyle.settings.form import form

OF_MEDIA = ("size", "start_seconds", "duration_seconds", "audio")  # what a video node has beside the look
MORE = "more_settings"
NOTHING = "none"  # of choices: the setting is left out
LARGEST = 1_000_000
STEP = 0.01


def shown(*, media: bool) -> list[dict[str, Any]]:
    """The settings that have a widget: those that people use, of what is painted and of the file."""
    return [s for s in form() if (s["group"] == "look" and not s["rare"]) or (media and s["name"] in OF_MEDIA)]


def widgets(*, media: bool) -> list[io.Input]:
    """One for each of `shown`, and a text for all the others."""
    about = "other settings, one a line, by their names of the command line: grain_weight = 0"
    return [_widget(s) for s in shown(media=media)] + [io.String.Input(MORE, multiline=True, default="", tooltip=about)]


def _widget(setting: Mapping[str, Any]) -> io.Input:
    name, kind, default = setting["name"], setting["kind"], setting["default"]
    known = {"tooltip": setting["help"], "default": default}
    if "choices" in setting:
        options = [*((NOTHING,) if default is None else ()), *setting["choices"]]
        return io.Combo.Input(name, options=options, tooltip=setting["help"], default=default or NOTHING)
    if kind == "switch":
        return io.Boolean.Input(name, **known)
    if kind not in ("whole", "number"):
        return io.String.Input(name, **known)
    most = setting.get("maximum", LARGEST)
    least = setting.get("minimum", STEP if kind == "number" else 0)
    if default is None:  # 0 stands for it
        known, least = {"tooltip": f"{setting['help']}; 0: the default", "default": 0}, 0
    if kind == "whole":
        return io.Int.Input(name, min=int(least), max=int(most), **known)
    return io.Float.Input(name, min=float(least), max=float(most), step=STEP, **known)


def settings_of(values: Mapping[str, Any], device: str) -> tuple[Settings, MediaSettings]:
    """What the widgets' ``values`` ask for. ``device``: where ComfyUI computes. Raises VideoStyleError."""
    try:
        asked = tomllib.loads(values.get(MORE) or "")
    except tomllib.TOMLDecodeError as error:
        raise VideoStyleError(f"{MORE}: {error}; expected lines such as grain_weight = 0") from None
    given = {s["name"]: values[s["name"]] for s in form() if s["name"] in values and not _is_left_out(s, values)}
    of_media = {name: given.pop(name) for name in OF_MEDIA if name in given}
    return Settings.from_mapping({"device": device} | given | asked), MediaSettings.from_mapping(of_media)


def _is_left_out(setting: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return setting["default"] is None and values[setting["name"]] in (0, NOTHING)
