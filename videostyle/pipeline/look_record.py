"""A look in a run record: file names and fingerprints, no paths; and the look of an output, found again."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from videostyle.errors import UsageError
from videostyle.files import fingerprint
from videostyle.media.comment import read_comment
from videostyle.samples import sample, sample_names
from videostyle.settings import AUTO, NAMED_STARTS, Settings
from videostyle.settings.curves import plain
from videostyle.settings.look import ColourLook, Look, StylePicture
from videostyle.settings.look_file import NOT_OF_A_LOOK, from_plain, to_plain

SHA = "sha256"  # 16 hex digits of a file's size and content (`fingerprint`)


def look_entry(look: Look) -> dict[str, Any]:
    """The whole look as plain values, its pictures and masks by name and fingerprint. Raises OSError."""
    named = look.with_paths(lambda path: Path(path).name)
    return to_plain(named) | {SHA: {Path(path).name: fingerprint(Path(path)) for path in look.paths}}


def look_provenance(look: Look) -> dict[str, Any]:
    """What the frames depend on, one value for each thing that may change. Raises OSError."""
    made: dict[str, Any] = {}
    for i, style in enumerate(look.styles, 1):
        made[f"style {i}"] = _words(style)
    for i, region in enumerate(look.regions, 1):
        made[f"mask {i} ({Path(region.mask).name})"] = fingerprint(Path(region.mask))
        where = "" if region.at_seconds is None else f" at {region.at_seconds:g} s"
        painted = ", ".join(map(_words, region.styles)) or "the source"
        made[f"region {i}"] = f"{painted} by {json.dumps(plain(region.weight))}{where}"
    of = look.colours.of if look.colours.picture is None else fingerprint(Path(look.colours.of))
    made["colours"] = f"{of} by {json.dumps(plain(look.colours.share))}"
    for i, frame in enumerate(look.frames, 1):
        made[f"frame {i}"] = f"{Path(frame.picture).name} {fingerprint(Path(frame.picture))} at {frame.at_seconds!r} s"
    if look.regions:
        made["feather"] = look.feather
    return made | {name: json.dumps(plain(curve)) for name, curve in look.changing}


def _words(style: StylePicture) -> str:
    """A style's picture by name and fingerprint, its weight and scale."""
    numbers = (json.dumps(plain(curve)) for curve in (style.weight, style.scale))
    return " ".join((Path(style.picture).name, fingerprint(Path(style.picture)), *numbers))


# --- the look of an output


def look_of_output(path: str | Path, replaced: Collection[str] = ()) -> tuple[Look, dict[str, Any]]:
    """(the look, its settings) of an output or of its run record, the pictures found beside it, here or among the
    samples.

    ``replaced``: parts of the look that the caller has something else for, "styles", "regions", "colours" or "frames";
    their pictures may be missing. Raises UsageError.
    """
    path = Path(path)
    look, fixed, sums = look_as_recorded(path)
    folders = (path.parent, Path.cwd())
    parts = {"regions": (), "colours": ColourLook(), "frames": ()}
    left = look.replace(**{part: without for part, without in parts.items() if part in replaced})
    wanted = {*left.paths} - ({p.picture for p in look.styles} if "styles" in replaced else set())

    def found(name: str) -> str:
        if name not in wanted:
            return name
        for candidate in (*(folder / name for folder in folders), *map(sample, _sample_names(name))):
            if candidate.exists() and sums.get(name) in (None, fingerprint(candidate)):
                return str(candidate)
        raise UsageError(
            f"{name}, which {path.name} was painted with, is neither beside it nor here; put it there, or give another "
            "with --style, --region or --colours"
        )

    starts = {key: fixed[key] for key in ("init", "first_init") if _is_picture(fixed.get(key))}
    wanted |= {*starts.values()}
    starts = {key: found(name) for key, name in starts.items()}
    return look.with_paths(found), fixed | starts


def look_as_recorded(path: Path) -> tuple[Look, dict[str, Any], dict[str, str]]:
    """(the look with names instead of paths, its settings, fingerprints by name). Raises UsageError."""
    record = _record(path)
    entry = dict(record.get("look") or {"style": [{"picture": record["style"]["file"]}]})
    sums = entry.pop(SHA, {})
    settings = {key: value for key, value in record["settings"].items() if key not in NOT_OF_A_LOOK}
    try:
        look, changing = from_plain(entry, path.stem)
        defaults = Settings()
        fixed = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
        fixed = {key: value for key, value in fixed.items() if value != getattr(defaults, key, value)}
        if fixed.get("min_iterations") == defaults.iterations_floor:
            del fixed["min_iterations"]
        Settings.from_mapping(fixed)
    except UsageError as error:
        raise UsageError(f"{path} was painted by another version: {error}") from None
    return look, fixed | changing, sums


def _record(path: Path) -> dict[str, Any]:
    """The heading of a run record, from its file or from an output's comment."""
    try:
        text = path.read_text(encoding="utf-8") if path.suffix.lower() == ".json" else read_comment(path)
        record = json.loads(text or "null")
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({error}); expected a run record or an output") from None
    heading: Any = record.get("videostyle", record) if isinstance(record, dict) else None
    match heading:
        case {"settings": dict(), "style": {"file": str()}}:
            return heading
    raise UsageError(f"{path} does not say how it was painted; expected a run record or an output of videostyle")


def _sample_names(name: str) -> list[str]:
    return [known for known in sample_names() if Path(known).name == name]


def _is_picture(start: object) -> bool:
    return isinstance(start, str) and start not in (*NAMED_STARTS, AUTO)
