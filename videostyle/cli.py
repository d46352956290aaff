"""The command line: parse, make settings, call the library once, print. The only place that prints or sets a status.

Exit status: 0 when the output is whole, 1 when something failed, 2 when the request could not be understood, 130 after
Ctrl-C. Options are made from the fields of ``Settings`` and ``MediaSettings``: help, choices and defaults stand there.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

from videostyle.console import Console, duration, memory
from videostyle.errors import UsageError, VideoStyleError
from videostyle.settings import MediaSettings, Settings
from videostyle.version import __version__

STATUS_FAILED, STATUS_USAGE, STATUS_INTERRUPTED = 1, 2, 130

# What does not make sense for a single picture.
VIDEO_ONLY = {"start_seconds", "duration_seconds", "no_shots", "cuts", "audio", "codec", "crf", "stream"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    try:
        arguments = _parser().parse_args(argv)
        return arguments.run(arguments)
    except VideoStyleError as e:
        _complain(str(e))
        return STATUS_USAGE if isinstance(e, UsageError) else STATUS_FAILED
    except KeyboardInterrupt:
        _complain("interrupted; nothing was written")
        return STATUS_INTERRUPTED
    except Exception as e:  # a bug of ours, or a library's: one line, the rest on request
        if os.environ.get("VIDEOSTYLE_DEBUG"):
            traceback.print_exc()
        words = f"{type(e).__name__}: {e}".splitlines()[0]
        _complain(f"{words} (this should not happen; VIDEOSTYLE_DEBUG=1 shows where)")
        return STATUS_FAILED


def _complain(words: str) -> None:
    print(f"videostyle: {' '.join(words.split())}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are this package's: one line, status 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="videostyle", description="Turn a clip into the same clip painted in the style of a picture.")
    parser.add_argument("--version", action="version", version=f"videostyle {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    _add_video(commands.add_parser("video", help="stylise a clip", description=VIDEO_HELP))
    _add_webcam(commands.add_parser("webcam", help="record from a camera and stylise that", description=WEBCAM_HELP))
    _add_image(commands.add_parser("image", help="stylise a picture", description=IMAGE_HELP))
    _add_experiments(
        commands.add_parser("experiments", help="the presentation's figures", description=EXPERIMENTS_HELP)
    )
    _add_demo(commands.add_parser("demo", help="the presentation's video", description=DEMO_HELP))
    _add_measure(commands.add_parser("measure", help="how good a stylised clip is", description=MEASURE_HELP))
    _add_doctor(commands.add_parser("doctor", help="what this machine offers, and what would be used"))
    _add_weights(commands.add_parser("weights", help="list, fetch and check networks' weights"))
    return parser


VIDEO_HELP = "Write CLIP in the style of a picture: every frame, its time, its sound."
WEBCAM_HELP = "Record from the camera, keep the recording, and write it in the style of a picture."
IMAGE_HELP = "Write PHOTO in the style of a picture."
EXPERIMENTS_HELP = "Make the figures of the presentation, and a page that shows them; what is there already is kept."
DEMO_HELP = "Make the video that ends the presentation, from your own clip and pictures or from the samples."

MEASURE_HELP = "Style and content distance, warp error, flicker and drift of a stylised clip, against its source."


def _add_video(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", metavar="CLIP", help="any video that FFmpeg reads")
    parser.add_argument("--style", metavar="IMG", help="the picture whose style is taken")
    _add_output(parser, "CLIP-STYLE.mp4", "; .mp4, .mov, .mkv, .webm, .gif, or a folder of PNGs with / at the end")
    parser.add_argument(
        "--preview",
        nargs="?",
        type=_number("--preview"),
        const=0.0,
        metavar="SECONDS",
        help="only one stylised frame, at this time, as a PNG, and what the whole clip would cost",
    )
    parser.add_argument("--passthrough", action="store_true", help="everything but the stylisation; needs no style")
    _add_settings(parser, MediaSettings)
    _add_settings(parser, Settings)
    parser.set_defaults(run=_video)


def _add_webcam(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", action="store_true", help="name the cameras")
    parser.add_argument("--seconds", type=_number("--seconds"), metavar="N", help="how long; Ctrl-C ends it earlier")
    parser.add_argument("--style", metavar="IMG", help="the picture whose style is taken")
    parser.add_argument("--device-spec", metavar="FORMAT:DEVICE", help="the camera (default: the first one)")
    parser.add_argument("--microphone", metavar="FORMAT:DEVICE", help="record sound too, e.g. from pulse:default")
    _add_output(parser, "webcam-STYLE.mp4", "; the recording is kept beside it as webcam-STYLE-recording.mkv")
    _add_settings(parser, MediaSettings, without={"stream"})
    _add_settings(parser, Settings)
    parser.set_defaults(run=_webcam)


def _add_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", metavar="PHOTO", help="the picture to paint")
    parser.add_argument("--style", metavar="IMG", required=True, help="the picture whose style is taken")
    _add_output(parser, "PHOTO-STYLE.png", "; .png, .jpg, .webp or .tif")
    _add_settings(parser, MediaSettings, without=VIDEO_ONLY)
    _add_settings(parser, Settings)
    parser.set_defaults(run=_image)


MACHINE = ("backbone", "weights", "download", "device", "precision")


def _add_experiments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make (default: all; see --list)")
    parser.add_argument("--list", action="store_true", help="name the figures and what they show")
    for name in ("content", "style", "dark", "reference", "pathological", "clip"):
        parser.add_argument(f"--{name}", metavar="IMG" if name != "clip" else "CLIP", help="instead of the sample")
    parser.add_argument(
        "--size", type=_whole_number("--size"), metavar="N", help="longer side in pixels (default: 512)"
    )
    parser.add_argument("--quick", action="store_true", help="256 pixels and a twentieth of the evaluations")
    parser.add_argument(
        "--evaluations",
        type=_whole_number("--evaluations"),
        metavar="N",
        help="where the slides make 3000, others in proportion (default: 3000, with --quick 150)",
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", default="experiments", help="where they go (default: %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    _add_settings(parser, Settings, without={f.name for f in fields(Settings)} - set(MACHINE))
    parser.set_defaults(run=_experiments)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clip", metavar="CLIP", help="the clip to paint (default: the sample)")
    parser.add_argument("--style", nargs="+", metavar="IMG", default=(), help="pictures, the main one first")
    parser.add_argument(
        "--size", type=_whole_number("--size"), metavar="N", help="what is painted, longer side in pixels"
    )
    parser.add_argument("--quick", action="store_true", help="smaller, with fewer evaluations a frame")
    parser.add_argument("-o", "--output", metavar="DIR", default="demo", help="where it goes (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    _add_settings(parser, Settings, without={f.name for f in fields(Settings)} - set(MACHINE))
    parser.set_defaults(run=_demo)


def _add_measure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="the clip that was stylised")
    parser.add_argument("stylised", metavar="STYLISED", help="what came out")
    parser.add_argument("--style", metavar="IMG", required=True, help="the picture whose style was taken")
    parser.add_argument("--weights", metavar="FILE", help="the judging network's weights (default: VGG-19's if here)")
    parser.add_argument("--flow", metavar="DIR", help="known flow: files *N.npz from frame N (counted from 0) to N-1")
    parser.add_argument("--json", metavar="FILE", help="write every number, with its definition")
    parser.add_argument("--plot", metavar="FILE", help="write a plot over time (.png, .svg, .pdf)")
    parser.set_defaults(run=_measure)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_doctor)


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", default="list", choices=("list", "fetch", "check"))
    parser.add_argument("what", nargs="?", metavar="NAME|FILE", help="fetch: vgg19; check: a name or a weights file")
    parser.set_defaults(run=_weights)


def _add_output(parser: argparse.ArgumentParser, default: str, kinds: str) -> None:
    parser.add_argument("-o", "--output", metavar="OUT", help=f"where it goes (default: {default}{kinds})")
    parser.add_argument("--record", metavar="FILE.json", help="write how the output was made, frame by frame")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _add_settings(parser: argparse.ArgumentParser, cls: type, without: Sequence[str] | set[str] = ()) -> None:
    """One option per field of a settings class; what is not given is left to the class's own default."""
    group = parser.add_argument_group("painting" if cls is Settings else "reading and writing")
    hints = get_type_hints(cls)
    for f in fields(cls):
        if f.name not in without:
            group.add_argument(_option(f), **_argument(f, hints[f.name]))


def _option(f: Field) -> str:
    return "--" + f.metadata.get("option", f.name).replace("_", "-")


def _argument(f: Field, hint: Any) -> dict[str, Any]:
    common = {"dest": f.name, "default": argparse.SUPPRESS}
    shown = f.metadata["help"]
    if hint is bool:
        return common | {"action": "store_true", "help": shown}
    if f.default is not None and "default" not in shown:
        shown += f" (default: {','.join(f.default) if isinstance(f.default, tuple) else f.default})"
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not type(None)]
    kind: Callable[[str], Any] = str
    if f.metadata.get("choices"):
        return common | {"choices": f.metadata["choices"], "help": shown}
    if isinstance(f.default, tuple):
        kind = _names
    elif tuple[float, ...] in kinds:
        kind = _numbers(_option(f))
    elif int in kinds:
        kind = _whole_number(_option(f))
    elif float in kinds:
        kind = _number(_option(f))
    return common | {"type": kind, "help": shown, "metavar": f.metadata.get("metavar", "N")}


def _number(option: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise UsageError(f"{option} is {text!r}; expected a number") from None

    return parse


def _whole_number(option: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            return int(text)
        except ValueError:
            raise UsageError(f"{option} is {text!r}; expected a whole number") from None

    return parse


def _numbers(option: str) -> Callable[[str], tuple[float, ...]]:
    """``1.2,3.04`` -> its numbers; an empty text holds none."""
    return lambda text: tuple(_number(option)(part) for part in _names(text))


def _names(text: str) -> tuple[str, ...]:
    """``conv1_1,conv2_1`` -> its parts; an empty text names nothing."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _settings(arguments: argparse.Namespace, cls: type) -> Any:
    """Settings from what was given on the command line, and nothing else."""
    given = {f.name: getattr(arguments, f.name) for f in fields(cls) if hasattr(arguments, f.name)}
    return cls(**given)


def _video(arguments: argparse.Namespace) -> int:
    from videostyle import pipeline
    from videostyle.machine import keep_freed_memory

    keep_freed_memory()
    settings, media = _settings(arguments, Settings), _settings(arguments, MediaSettings)
    console = Console(arguments.quiet)
    if arguments.passthrough:
        output = arguments.output or pipeline.default_output(arguments.clip, "copy", ".mp4")
        with console.bar() as bar:
            result = pipeline.copy_video(arguments.clip, output, settings, media, on_progress=bar)
        console.result(result)
        return 0
    if arguments.style is None:
        raise UsageError("no style was given; name a picture with --style IMG")
    settings = console.introduce(settings)
    if arguments.preview is not None:
        return _preview(arguments, settings, media, console)
    with console.bar() as bar, console.download_bar() as download:
        result = pipeline.stylise_video(
            arguments.clip,
            arguments.style,
            arguments.output,
            settings,
            media,
            record_to=arguments.record,
            on_progress=bar,
            on_download=download,
        )
    console.result(result)
    return 0


def _webcam(arguments: argparse.Namespace) -> int:
    from videostyle import pipeline, webcam

    if arguments.list:
        cameras = webcam.list_cameras()
        for camera in cameras:
            print(f"{camera.spec}  {camera.name}".rstrip())
        if not cameras:
            print("no camera was found; anything that FFmpeg reads can be named with --device-spec")
        return 0
    if arguments.seconds is None or arguments.style is None:
        raise UsageError("webcam needs --seconds N and --style IMG, or --list")
    console = Console(arguments.quiet)
    settings = console.introduce(_settings(arguments, Settings))
    with console.bar() as bar, console.download_bar() as download:
        result = webcam.stylise_webcam(
            arguments.style,
            arguments.output or pipeline.default_output("webcam", arguments.style, ".mp4"),
            arguments.seconds,
            settings,
            _settings(arguments, MediaSettings),
            device=arguments.device_spec,
            microphone=arguments.microphone,
            on_start=lambda camera, _: console.say(f"recording {arguments.seconds:g} s from {camera.spec}"),
            on_recorded=lambda recording: console.say(f"{recording}: the recording"),
            record_to=arguments.record,
            on_progress=bar,
            on_download=download,
        )
    console.result(result)
    return 0


def _preview(arguments: argparse.Namespace, settings: Settings, media: MediaSettings, console: Console) -> int:
    from videostyle import pipeline

    with console.bar() as bar, console.download_bar() as download:
        preview = pipeline.preview_video(
            arguments.clip,
            arguments.style,
            arguments.output,
            settings,
            media,
            at_seconds=arguments.preview,
            on_progress=bar,
            on_download=download,
        )
    first = preview.frame
    console.say(f"{preview.output}: {first.evaluations} evaluations in {duration(first.wall_seconds)}")
    whole = "of unknown length" if preview.clip_frames is None else f"of about {preview.clip_frames} frames"
    cost = "" if preview.clip_seconds is None else f", {duration(preview.clip_seconds)} in all"
    console.say(f"the clip {whole}: about {duration(preview.frame_seconds)} a frame{cost}")
    console.say(f"memory: {memory(preview.peak_rss_bytes, preview.peak_vram_bytes)}")
    return 0


def _image(arguments: argparse.Namespace) -> int:
    from videostyle import pipeline

    console = Console(arguments.quiet)
    settings = console.introduce(_settings(arguments, Settings))
    with console.bar() as bar, console.download_bar() as download:
        result = pipeline.stylise_image(
            arguments.photo,
            arguments.style,
            arguments.output,
            settings,
            _settings(arguments, MediaSettings),
            record_to=arguments.record,
            on_progress=bar,
            on_download=download,
        )
    console.result(result)
    return 0


def _experiments(arguments: argparse.Namespace) -> int:
    from videostyle.experiments.inputs import given_inputs
    from videostyle.experiments.present import Presentation, Request
    from videostyle.experiments.recipes import load_recipes

    if arguments.list:
        for recipe in load_recipes(tuple(arguments.names)):
            print(f"{recipe.name:18} {recipe.title}")
        return 0
    console = Console(arguments.quiet)
    settings = console.introduce(_settings(arguments, Settings))
    folder, given = Path(arguments.output), given_inputs(vars(arguments))
    request = Request(
        folder,
        tuple(arguments.names),
        given,
        size=arguments.size,
        quick=arguments.quick,
        evaluations=arguments.evaluations,
        settings=settings,
    )
    with console.bar("pictures") as bar, console.download_bar() as download:
        presentation = Presentation(request, bar, download)
        console.estimate(presentation.estimate(), arguments.quick)
        written = presentation.make()
    for path in written:
        console.say(str(path))
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from videostyle.experiments.demo import make_demo

    console = Console(arguments.quiet)
    settings = console.introduce(_settings(arguments, Settings))
    with console.bar() as bar, console.download_bar() as download:
        written = make_demo(
            Path(arguments.output),
            arguments.clip,
            tuple(arguments.style),
            settings,
            size=arguments.size,
            quick=arguments.quick,
            on_progress=bar,
            on_download=download,
        )
    for path in written:
        console.say(str(path))
    return 0


def _measure(arguments: argparse.Namespace) -> int:
    from videostyle import judge

    found = judge.measure_files(
        arguments.source, arguments.stylised, arguments.style, weights=arguments.weights, flow=arguments.flow
    )
    for line in judge.table(found):
        print(line)
    if arguments.json:
        judge.write_json(arguments.json, found)
    if arguments.plot:
        judge.plot(found, arguments.plot)
    return 0


def _doctor(_arguments: argparse.Namespace) -> int:
    from videostyle.doctor import report

    for line in report():
        print(line)
    return 0


def _weights(arguments: argparse.Namespace) -> int:
    from videostyle import doctor

    if arguments.action == "fetch":
        with Console(quiet=False).download_bar() as download:
            print(doctor.fetch_weights(arguments.what or "vgg19", download))
    elif arguments.action == "check":
        for line in doctor.check_weights(arguments.what):
            print(line)
    else:
        for line in doctor.list_weights():
            print(line)
    return 0
