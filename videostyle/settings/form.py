"""The settings of painting as plain values that a form is made from, as the command line's options are."""

from dataclasses import Field, fields
from typing import Any, get_args, get_type_hints

from videostyle.settings import AUTO, NAMED_STARTS, MediaSettings, Settings
from videostyle.settings.look_file import NOT_OF_A_LOOK

# Settings of what is read and written that do not name a place.
OF_MEDIA = ("size", "start_seconds", "duration_seconds", "no_shots", "cuts", "audio", "codec", "crf")
GROUPS = {Settings: "look", MediaSettings: "media"}
KINDS = {bool: "switch", int: "whole", float: "number"}
LIMITS = ("choices", "minimum", "maximum", "above")


def form() -> list[dict[str, Any]]:
    """Every setting of a look and of `OF_MEDIA`: ``name``, ``group``, ``kind`` (switch, whole, number, text, names or
    numbers), ``default``, ``help``, whether it is ``rare``, and its limits."""
    made = []
    for cls, group in GROUPS.items():
        hints = get_type_hints(cls)
        for f in fields(cls):
            if f.name in (OF_MEDIA if group == "media" else set(hints) - NOT_OF_A_LOOK):
                about = {"name": f.name, "group": group, "kind": _kind(f, hints[f.name]), "default": f.default}
                shown = {"help": f.metadata["help"], "rare": bool(f.metadata.get("rare"))}
                made.append(about | shown | _limits(f))
    return made


def _kind(field: Field, hint: Any) -> str:
    kinds = get_args(hint) or (hint,)
    if tuple[float, ...] in kinds:
        return "numbers"
    return "names" if isinstance(field.default, tuple) else next((KINDS[k] for k in KINDS if k in kinds), "text")


def _limits(field: Field) -> dict[str, Any]:
    found = {name: field.metadata[name] for name in LIMITS if name in field.metadata}
    if field.name in ("init", "first_init"):  # a picture is a path, which a form does not take
        found["choices"] = (*NAMED_STARTS, *((AUTO,) if field.name == "first_init" else ()))
    return found
