"""The command line: parse, make settings, call the library once, print. The only place that prints or sets a status.

Exit status: 0 when the output is whole, 1 when something failed, 2 when the request could not be understood, 130 after
Ctrl-C, 143 after SIGTERM. Options are made from the fields of the settings classes (``options.py``).
"""

import argparse
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from videostyle.console import Console
from videostyle.errors import UsageError, VideoStyleError
from videostyle.interrupts import InterruptedRunError, Interrupts
from videostyle.options import add_settings, given_settings, number, whole_number
from videostyle.settings import MediaSettings, RunSettings, Settings
from videostyle.version import __version__

if TYPE_CHECKING:
    from videostyle.pipeline import Progress

STATUS_FAILED, STATUS_USAGE, STATUS_INTERRUPTED = 1, 2, 130
SIGNALLED = 128  # and the signal's number

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
    except InterruptedRunError as e:
        _complain(str(e))
        return SIGNALLED + e.number
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


VIDEO_HELP = (
    "Write CLIP in the style of a picture: every frame, its time, its sound. A run that was stopped, however it was, "
    "goes on where it stood when the same command is given again."
)
WEBCAM_HELP = "Record from the camera, keep the recording, and write it in the style of a picture."
IMAGE_HELP = "Write PHOTO in the style of a picture."
EXPERIMENTS_HELP = "Make the figures of the presentation, and a page that shows them; what is there already is kept."
DEMO_HELP = "Make the video that ends the presentation, from your own clip and pictures or from the samples."

MEASURE_HELP = "Style and content distance, warp error, flicker and drift of a stylised clip, against its source."


def _add_video(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clips", metavar="CLIP", nargs="+", help="any video that FFmpeg reads, or several")
    parser.add_argument(
        "--style",
        dest="styles",
        action="append",
        default=[],
        metavar="IMG",
        help="the picture whose style is taken; may be given again",
    )
    kinds = "; .mp4, .mov, .mkv, .webm, .gif, or a folder of PNGs with / at the end"
    _add_output(parser, "CLIP-STYLE.mp4", f"{kinds}; for several clips or styles the folder for all of them")
    _add_progress(parser)
    parser.add_argument(
        "--preview",
        nargs="?",
        type=number("--preview"),
        const=0.0,
        metavar="SECONDS",
        help="only one stylised frame, at this time, as a PNG, and what the whole clip would cost",
    )
    parser.add_argument("--passthrough", action="store_true", help="everything but the stylisation; needs no style")
    add_settings(parser, RunSettings)
    add_settings(parser, MediaSettings)
    add_settings(parser, Settings)
    parser.set_defaults(run=_video)


def _add_webcam(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", action="store_true", help="name the cameras")
    parser.add_argument("--seconds", type=number("--seconds"), metavar="N", help="how long; Ctrl-C ends it earlier")
    parser.add_argument("--style", metavar="IMG", help="the picture whose style is taken")
    parser.add_argument("--device-spec", metavar="FORMAT:DEVICE", help="the camera (default: the first one)")
    parser.add_argument("--microphone", metavar="FORMAT:DEVICE", help="record sound too, e.g. from pulse:default")
    _add_output(parser, "webcam-STYLE.mp4", "; the recording is kept beside it as webcam-STYLE-recording.mkv")
    _add_progress(parser)
    add_settings(parser, RunSettings, without={"partial", "resume_anyway"})
    add_settings(parser, MediaSettings, without={"stream"})
    add_settings(parser, Settings)
    parser.set_defaults(run=_webcam)


def _add_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", metavar="PHOTO", help="the picture to paint")
    parser.add_argument("--style", metavar="IMG", required=True, help="the picture whose style is taken")
    _add_output(parser, "PHOTO-STYLE.png", "; .png, .jpg, .webp or .tif")
    add_settings(parser, MediaSettings, without=VIDEO_ONLY)
    add_settings(parser, Settings)
    parser.set_defaults(run=_image)


MACHINE = ("backbone", "weights", "download", "device", "precision")


def _add_experiments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make (default: all; see --list)")
    parser.add_argument("--list", action="store_true", help="name the figures and what they show")
    for name in ("content", "style", "dark", "reference", "pathological", "clip"):
        parser.add_argument(f"--{name}", metavar="IMG" if name != "clip" else "CLIP", help="instead of the sample")
    parser.add_argument("--size", type=whole_number("--size"), metavar="N", help="longer side in pixels (default: 512)")
    parser.add_argument("--quick", action="store_true", help="256 pixels and a twentieth of the evaluations")
    parser.add_argument(
        "--evaluations",
        type=whole_number("--evaluations"),
        metavar="N",
        help="where the slides make 3000, others in proportion (default: 3000, with --quick 150)",
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", default="experiments", help="where they go (default: %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_settings(parser, Settings, without={f.name for f in fields(Settings)} - set(MACHINE))
    parser.set_defaults(run=_experiments)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clip", metavar="CLIP", help="the clip to paint (default: the sample)")
    parser.add_argument("--style", nargs="+", metavar="IMG", default=(), help="pictures, the main one first")
    parser.add_argument(
        "--size", type=whole_number("--size"), metavar="N", help="what is painted, longer side in pixels"
    )
    parser.add_argument("--quick", action="store_true", help="smaller, with fewer evaluations a frame")
    parser.add_argument("-o", "--output", metavar="DIR", default="demo", help="where it goes (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_settings(parser, Settings, without={f.name for f in fields(Settings)} - set(MACHINE))
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


def _add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--progress",
        choices=("auto", "bar", "lines", "json"),
        default="auto",
        help="how progress is shown on stderr: a bar in a terminal, else lines; json: an object a line, for programs",
    )


def _video(arguments: argparse.Namespace) -> int:
    from videostyle import pipeline

    console = Console(arguments.quiet, arguments.progress)
    if arguments.passthrough:
        return _passthrough(arguments, console)
    if not arguments.styles:
        raise UsageError("no style was given; name a picture with --style IMG")
    settings = console.introduce(given_settings(arguments, Settings))
    if arguments.preview is not None:
        return _preview(_only_one(arguments, "--preview"), settings, console)
    if len(arguments.clips) * len(arguments.styles) > 1:
        return _videos(arguments, settings, console)
    with _painting(console) as callbacks:
        result = pipeline.stylise_video(
            arguments.clips[0],
            arguments.styles[0],
            arguments.output,
            settings,
            given_settings(arguments, MediaSettings),
            given_settings(arguments, RunSettings),
            record_to=arguments.record,
            **callbacks,
        )
    console.result(result)
    return 0


def _videos(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Every clip in every style; 1 if one of them failed."""
    from videostyle import batch

    if arguments.record is not None:
        raise UsageError("--record is for one clip in one style; leave it out")
    media, run = given_settings(arguments, MediaSettings), given_settings(arguments, RunSettings)
    pairs = batch.pairs_of(arguments.clips, arguments.styles, Path(arguments.output or "."))
    outcomes: list[batch.Outcome] = []
    try:
        for pair in pairs:
            with _painting(console) as callbacks:
                outcome = batch.stylise_pair(pair, media, settings=settings, run=run, **callbacks)
            if outcome.result is not None:
                console.result(outcome.result)
            outcomes.append(outcome)
    finally:
        console.summary(outcomes)
    return STATUS_FAILED if any(outcome.problem for outcome in outcomes) else 0


@contextmanager
def _painting(console: Console) -> Iterator[dict[str, Any]]:
    """Callbacks for a run that can be stopped after a frame."""
    from videostyle.machine import keep_freed_memory

    keep_freed_memory()
    words = "stopping after this frame; once more stops at once"
    with Interrupts(lambda: console.shout(words)) as interrupts, console.callbacks() as callbacks:
        show = callbacks["on_progress"]

        def on_progress(progress: "Progress") -> None:
            interrupts.watch(progress.stage)
            show(progress)

        yield callbacks | {"on_progress": on_progress, "should_stop": interrupts.should_stop}


def _only_one(arguments: argparse.Namespace, option: str) -> argparse.Namespace:
    if len(arguments.clips) > 1 or len(arguments.styles) > 1:
        raise UsageError(f"{option} takes one clip and one style; leave out the others")
    return arguments


def _passthrough(arguments: argparse.Namespace, console: Console) -> int:
    from videostyle import pipeline

    (clip,) = _only_one(arguments, "--passthrough").clips
    settings, media = given_settings(arguments, Settings), given_settings(arguments, MediaSettings)
    output = arguments.output or pipeline.default_output(clip, "copy", ".mp4")
    with console.bar() as bar:
        result = pipeline.copy_video(clip, output, settings, media, on_progress=bar)
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
    console = Console(arguments.quiet, arguments.progress)
    settings = console.introduce(given_settings(arguments, Settings))
    with _painting(console) as callbacks:
        result = webcam.stylise_webcam(
            arguments.style,
            arguments.output or pipeline.default_output("webcam", arguments.style, ".mp4"),
            arguments.seconds,
            settings,
            given_settings(arguments, MediaSettings),
            device=arguments.device_spec,
            microphone=arguments.microphone,
            on_start=lambda camera, _: console.say(f"recording {arguments.seconds:g} s from {camera.spec}"),
            on_recorded=lambda recording: console.say(f"{recording}: the recording"),
            run=given_settings(arguments, RunSettings),
            record_to=arguments.record,
            **callbacks,
        )
    console.result(result)
    return 0


def _preview(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    from videostyle import pipeline

    media = given_settings(arguments, MediaSettings)
    (clip,), (style,) = arguments.clips, arguments.styles
    with console.callbacks() as callbacks:
        preview = pipeline.preview_video(
            clip, style, arguments.output, settings, media, at_seconds=arguments.preview, **callbacks
        )
    console.preview(preview)
    return 0


def _image(arguments: argparse.Namespace) -> int:
    from videostyle import pipeline

    console = Console(arguments.quiet)
    settings, media = console.introduce(given_settings(arguments, Settings)), given_settings(arguments, MediaSettings)
    with console.callbacks() as callbacks:
        result = pipeline.stylise_image(
            arguments.photo, arguments.style, arguments.output, settings, media, record_to=arguments.record, **callbacks
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
    settings = console.introduce(given_settings(arguments, Settings))
    request = Request(
        Path(arguments.output),
        tuple(arguments.names),
        given_inputs(vars(arguments)),
        size=arguments.size,
        quick=arguments.quick,
        evaluations=arguments.evaluations,
        settings=settings,
    )
    with console.callbacks() as callbacks:
        presentation = Presentation(request, **callbacks)
        console.estimate(presentation.estimate(), arguments.quick)
        console.written(presentation.make())
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from videostyle.experiments.demo import make_demo

    console = Console(arguments.quiet)
    settings = console.introduce(given_settings(arguments, Settings))
    folder, styles = Path(arguments.output), tuple(arguments.style)
    with console.callbacks() as callbacks:
        size, quick = arguments.size, arguments.quick
        console.written(make_demo(folder, arguments.clip, styles, settings, size=size, quick=quick, **callbacks))
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
