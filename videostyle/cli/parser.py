"""The parser: every command and its options. Options of settings are made from their fields (``options.py``)."""

import argparse
from dataclasses import fields
from typing import NoReturn

from videostyle.cli import commands
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


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(prog="videostyle", description="Turn a clip into the same clip painted in the style of a picture.")
    parser.add_argument("--version", action="version", version=f"videostyle {__version__}", help="print the version")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    for name, (help, description, add) in COMMANDS.items():
        add(subparsers.add_parser(name, help=help, description=description))
    return parser


def _add_video(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clips", metavar="CLIP", nargs="+", help="any video that FFmpeg reads; several are allowed")
    parser.add_argument(
        "--style",
        dest="styles",
        action="append",
        default=[],
        metavar="IMG",
        help="picture that gives the style; repeat the option for several styles",
    )
    kinds = "; .mp4, .mov, .mkv, .webm, .gif, or a folder of PNGs with / at the end"
    _add_output(parser, "CLIP-STYLE.mp4", f"{kinds}; for several clips or styles: the folder for all of them")
    _add_progress(parser)
    parser.add_argument(
        "--preview",
        nargs="?",
        type=number("--preview"),
        const=0.0,
        metavar="SECONDS",
        help="stylise only the frame at this time (0 if none is given), write it as a PNG, estimate the whole clip",
    )
    advanced = add_settings(parser, Settings, MediaSettings, RunSettings)
    advanced.add_argument(
        "--passthrough", action="store_true", help="copy the clip through the whole pipeline without stylising it"
    )
    parser.usage = "%(prog)s CLIP [CLIP ...] --style IMG [options]"
    parser.set_defaults(run=commands.video)


def _add_webcam(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", action="store_true", help="list the cameras and exit")
    parser.add_argument(
        "--seconds",
        type=number("--seconds"),
        metavar="N",
        help="length of the recording in seconds; Ctrl-C ends it earlier",
    )
    parser.add_argument("--style", metavar="IMG", help="picture that gives the style")
    parser.add_argument("--device-spec", metavar="FORMAT:DEVICE", help="camera to record from (default: the first one)")
    parser.add_argument("--microphone", metavar="FORMAT:DEVICE", help="record sound too, e.g. from pulse:default")
    _add_output(parser, "webcam-STYLE.mp4", "; the recording is kept beside it as webcam-STYLE-recording.mkv")
    _add_progress(parser)
    add_settings(parser, Settings, MediaSettings, RunSettings, without={"partial", "resume_anyway", "stream"})
    parser.usage = "%(prog)s --seconds N --style IMG [options]"
    parser.set_defaults(run=commands.webcam)


def _add_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", metavar="PHOTO", help="picture to stylise")
    parser.add_argument("--style", metavar="IMG", required=True, help="picture that gives the style")
    _add_output(parser, "PHOTO-STYLE.png", "; .png, .jpg, .webp or .tif")
    add_settings(parser, Settings, MediaSettings, without=VIDEO_ONLY)
    parser.usage = "%(prog)s PHOTO --style IMG [options]"
    parser.set_defaults(run=commands.image)


MACHINE = ("backbone", "weights", "download", "device", "precision")


PICTURES = {
    "content": "content picture (default: the sample)",
    "style": "style picture (default: the sample)",
    "dark": "content picture that is dark (default: the sample)",
    "reference": "photograph that gives the style of the photo-realistic figure (default: the sample)",
    "pathological": "initial image that is far from any picture (default: a saturated checkerboard)",
}


def _add_experiments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make (default: all; see --list)")
    parser.add_argument("--list", action="store_true", help="list the figures and exit")
    for name, shown in PICTURES.items():
        parser.add_argument(f"--{name}", metavar="IMG", help=shown)
    parser.add_argument("--clip", metavar="CLIP", help="clip of the video figure (default: the sample)")
    parser.add_argument("--size", type=whole_number("--size"), metavar="N", help="longer side in pixels (default: 512)")
    parser.add_argument("--quick", action="store_true", help="256 pixels and a twentieth of the evaluations")
    parser.add_argument(
        "--evaluations",
        type=whole_number("--evaluations"),
        metavar="N",
        help="evaluations of a picture for which the slides use 3000, others in proportion "
        "(default: 3000, with --quick 150)",
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", default="experiments", help="output folder (default: %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    add_settings(parser, Settings, without={f.name for f in fields(Settings)} - set(MACHINE))
    parser.set_defaults(run=commands.experiments)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clip", metavar="CLIP", help="clip to stylise (default: the sample)")
    parser.add_argument(
        "--style", nargs="+", metavar="IMG", default=(), help="style pictures, the main one first (default: samples)"
    )
    parser.add_argument(
        "--size", type=whole_number("--size"), metavar="N", help="longer side of the stylised clips in pixels"
    )
    parser.add_argument("--quick", action="store_true", help="smaller clips and fewer evaluations per frame")
    parser.add_argument("-o", "--output", metavar="DIR", default="demo", help="output folder (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    add_settings(parser, Settings, without={f.name for f in fields(Settings)} - set(MACHINE))
    parser.set_defaults(run=commands.demo)


def _add_measure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="original clip")
    parser.add_argument("stylised", metavar="STYLISED", help="stylised clip")
    parser.add_argument("--style", metavar="IMG", required=True, help="style picture that was used")
    parser.add_argument(
        "--weights", metavar="FILE", help="weights of the network that measures (default: VGG-19's if present)"
    )
    parser.add_argument(
        "--flow", metavar="DIR", help="folder of known flow: files *N.npz from frame N (counted from 0) to N-1"
    )
    parser.add_argument("--json", metavar="FILE", help="write every number with its definition")
    parser.add_argument("--plot", metavar="FILE", help="write a plot over time (.png, .svg or .pdf)")
    parser.set_defaults(run=commands.measure)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=commands.doctor)


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=("list", "fetch", "check"),
        help="list: show what is present; fetch: download; check: verify (default: %(default)s)",
    )
    parser.add_argument("what", nargs="?", metavar="NAME|FILE", help="fetch: vgg19; check: a name or a weights file")
    parser.set_defaults(run=commands.weights)


def _add_output(parser: argparse.ArgumentParser, default: str, kinds: str) -> None:
    parser.add_argument("-o", "--output", metavar="OUT", help=f"output (default: {default}{kinds})")
    parser.add_argument(
        "--record", metavar="FILE.json", help="write how the output was made: settings, versions, frames"
    )
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def _add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--progress",
        choices=("auto", "bar", "lines", "json"),
        default="auto",
        help="progress on stderr; auto: a bar in a terminal, else lines; json: one object per line (default: auto)",
    )


# name -> help in the list of commands, description, function that adds its options
COMMANDS = {
    "video": (
        "stylise a clip",
        "Stylise a clip: every frame, with the source's timestamps and sound. "
        "After an interruption the same command resumes the run.",
        _add_video,
    ),
    "image": ("stylise a picture", "Stylise a single picture.", _add_image),
    "webcam": (
        "record from a camera and stylise the recording",
        "Record from a camera, keep the recording, and stylise it.",
        _add_webcam,
    ),
    "measure": (
        "measure a stylised clip against its source",
        "Print style and content distance, warp error, flicker and drift of a stylised clip.",
        _add_measure,
    ),
    "experiments": (
        "make the figures of the presentation",
        "Make the figures of the presentation and a page that shows them. Finished pictures are reused.",
        _add_experiments,
    ),
    "demo": (
        "make the video of the presentation",
        "Make the video that ends the presentation, from your own clip and pictures or from the samples.",
        _add_demo,
    ),
    "doctor": (
        "show what this machine offers and what would be used",
        "Show versions, FFmpeg, devices and weights of this machine, and the defaults that follow from them.",
        _add_doctor,
    ),
    "weights": (
        "list, download and check weights of the networks",
        "List, download and check the weights of the networks.",
        _add_weights,
    ),
}
