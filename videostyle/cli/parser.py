"""The parser: every command and its options. Options of settings are made from their fields (``options.py``)."""

import argparse
from dataclasses import fields
from typing import NoReturn

from videostyle.cli.commands import _demo, _doctor, _experiments, _image, _measure, _video, _webcam, _weights
from videostyle.cli.options import add_settings, number, whole_number
from videostyle.errors import UsageError
from videostyle.settings import MediaSettings, RunSettings, Settings
from videostyle.version import __version__

# What does not make sense for a single picture.
VIDEO_ONLY = {"start_seconds", "duration_seconds", "no_shots", "cuts", "audio", "codec", "crf", "stream"}


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
