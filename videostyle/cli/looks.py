"""The looks that the command line asks for: from a file, from another output, from styles, regions and colours."""

import argparse

from videostyle.cli.options import number
from videostyle.errors import UsageError
from videostyle.settings import Settings
from videostyle.settings.look import Look, PaintedFrame, as_look
from videostyle.settings.look_file import read_look
from videostyle.settings.look_text import colours_of_text, frames_of_text, region_of_text, style_of_text


def add_look(parser: argparse.ArgumentParser, *, keyframe: bool = False) -> None:
    """The options of a look, beside ``--style``. ``keyframe``: with those of a clip that is there."""
    group = parser.add_argument_group("look (docs/looks.md has examples)")
    shown = "several pictures in one style, by weight; A.jpg:1:scale=2 for broader strokes"
    group.add_argument("--blend", nargs="+", metavar="IMG:WEIGHT", help=shown)
    shown = "a part in a style of its own, or as the source; MASK: a picture that is white there, a video or "
    shown += "folder of them, or PICTURE@SECONDS, followed from there"
    group.add_argument("--region", dest="regions", action="append", metavar="MASK[:IMG[:WEIGHT]]", help=shown)
    shown = "width of a region's soft edge in pixels (default: 8)"
    group.add_argument("--feather", type=number("--feather"), metavar="PX", help=shown)
    shown = "style (default), source (the clip's own), a picture, or a share of them: source:0.6"
    group.add_argument("--colours", metavar="WHOSE[:SHARE]", help=shown)
    shown = "styles, regions, colours and settings, also over time, from a file; options given beside it win"
    group.add_argument("--look", metavar="LOOK.toml", help=shown)
    shown = "a frame that you have painted, whose paint the others take; repeat for more, or name a folder of them"
    if keyframe:
        group.add_argument("--keyframe", action="append", metavar="SECONDS=IMG|FOLDER", help=shown)
    parser.set_defaults(keyframe=None)
    group.add_argument("--like", metavar="CLIP|RUN.json", help="the look of an output, or of its --record")


def asked_looks(arguments: argparse.Namespace, styles: list[str]) -> tuple[list[Look], Settings]:
    """(a look for every output's style, the settings). Raises UsageError."""
    given = {name: getattr(arguments, name) for name in Settings.__dataclass_fields__ if hasattr(arguments, name)}
    if arguments.look and arguments.like:
        raise UsageError("--look and --like were given; leave one of them out")
    if styles and arguments.blend:
        raise UsageError("--style and --blend were given; leave one of them out")
    base, fixed = _from_file(arguments, styles)
    chosen = [as_look(style) for style in styles]
    if arguments.blend:
        chosen = [Look(tuple(map(style_of_text, arguments.blend)))]
    if arguments.keyframe and not chosen and base is None:
        chosen = [Look(frames=_painted_frames(arguments))]
    if not chosen and base is None:
        raise UsageError("no style was given; name a picture with --style IMG, or a look with --look FILE")
    settings = Settings(**fixed | given)
    if base is not None:
        chosen = [base.replace(styles=look.styles, name=look.name) for look in chosen] or [base]
    return [_with_options(look, arguments, given) for look in chosen], settings


def _from_file(arguments: argparse.Namespace, styles: list[str]) -> tuple[Look | None, dict]:
    if arguments.look:
        return read_look(arguments.look)
    if arguments.like:
        from videostyle.pipeline.look_record import look_of_output

        given = {"styles": styles or arguments.blend, "regions": arguments.regions, "colours": arguments.colours}
        given["frames"] = arguments.keyframe
        look, fixed = look_of_output(arguments.like, [part for part, value in given.items() if value])
        return look.replace(name=""), fixed
    return None, {}


def _painted_frames(arguments: argparse.Namespace) -> tuple[PaintedFrame, ...]:
    return tuple(frame for text in arguments.keyframe for frame in frames_of_text(text))


def _with_options(look: Look, arguments: argparse.Namespace, given: dict) -> Look:
    """The look with what was given on the command line in place of its own."""
    changes: dict = {"changing": tuple((name, curve) for name, curve in look.changing if name not in given)}
    if arguments.regions is not None:
        changes["regions"] = tuple(map(region_of_text, arguments.regions))
    if arguments.colours is not None:
        changes["colours"] = colours_of_text(arguments.colours)
    if arguments.keyframe:
        changes["frames"] = _painted_frames(arguments)
    if arguments.feather is not None:
        changes["feather"] = arguments.feather
    return look.replace(**changes)
