"""The parser: every command and its options. Options of settings are made from their fields (``options.py``)."""

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import NoReturn

from videostyle.cli import commands
from videostyle.cli.completion import SHELLS, PrintCompletion
from videostyle.cli.looks import add_look
from videostyle.cli.options import add_settings, number, whole_number
from videostyle.errors import UsageError
from videostyle.settings import (
    LEARNED,
    LiveSettings,
    MediaSettings,
    RunSettings,
    Settings,
    SpreadSettings,
    TrainSettings,
)
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
    shown = "print what a shell completes; see docs/install.md"
    parser.add_argument("--print-completion", choices=SHELLS, action=PrintCompletion, help=shown)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    for name, (help, add_options) in COMMANDS.items():
        run = getattr(commands, name)
        command = subparsers.add_parser(name, help=help, description=" ".join((run.__doc__ or "").split()))
        command.set_defaults(run=run)
        if add_options:
            add_options(command)
    return parser


def _add_video(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clips", metavar="CLIP", nargs="+", help="any video that FFmpeg reads; several are allowed")
    shown = "picture that gives the style; repeat the option for several styles"
    parser.add_argument("--style", dest="styles", action="append", default=[], metavar="IMG", help=shown)
    add_look(parser, keyframe=True)
    kinds = "; .mp4, .mov, .mkv, .webm, .gif, or a folder of PNGs with / at the end"
    _add_output(parser, "CLIP-STYLE.mp4", f"{kinds}; for several clips or styles: the folder for all of them")
    _add_progress(parser)
    shown = "stylise only the frame at this time (0 if none is given), write it as a PNG, estimate the whole clip"
    parser.add_argument("--preview", nargs="?", type=number("--preview"), const=0.0, metavar="SECONDS", help=shown)
    advanced = add_settings(parser, Settings, MediaSettings, RunSettings, SpreadSettings)
    shown = "copy the clip through the whole pipeline without stylising it"
    advanced.add_argument("--passthrough", action="store_true", help=shown)
    parser.usage = "%(prog)s CLIP [CLIP ...] --style IMG [options]"


def _add_shot(parser: argparse.ArgumentParser) -> None:
    shown = "number of the shot, from 0"
    parser.add_argument("number", metavar="NUMBER", nargs="?", type=whole_number("NUMBER"), help=shown)
    parser.add_argument("clip", metavar="CLIP", help="the clip, as videostyle video will be given it")
    shown = "print every shot: its number, when it begins in seconds, how many frames it has"
    parser.add_argument("--list", action="store_true", help=shown)
    parser.add_argument("--style", metavar="IMG", help="picture that gives the style")
    add_look(parser, keyframe=True)
    parser.add_argument("-o", "--output", metavar="OUT", help="output of videostyle video (default: CLIP-STYLE.mp4)")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    _add_progress(parser)
    advanced = add_settings(parser, Settings, MediaSettings, RunSettings, without={"partial", "keep", "restart"})
    shown = "as for videostyle video"
    advanced.add_argument("--longest-shot", type=number("--longest-shot"), metavar="SECONDS", help=shown)
    parser.usage = "%(prog)s NUMBER CLIP --style IMG [options]"


def _add_webcam(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", action="store_true", help="list the cameras and exit")
    shown = "length of the recording in seconds; Ctrl-C ends it earlier"
    parser.add_argument("--seconds", type=number("--seconds"), metavar="N", help=shown)
    parser.add_argument("--style", metavar="IMG", help="picture that gives the style")
    add_look(parser)
    parser.add_argument("--device-spec", metavar="FORMAT:DEVICE", help="camera to record from (default: the first one)")
    parser.add_argument("--microphone", metavar="FORMAT:DEVICE", help="record sound too, e.g. from pulse:default")
    _add_output(parser, "webcam-STYLE.mp4", "; the recording is kept beside it as webcam-STYLE-recording.mkv")
    _add_progress(parser)
    add_settings(parser, Settings, MediaSettings, RunSettings, without={"partial", "resume_anyway", "stream"})
    parser.usage = "%(prog)s --seconds N --style IMG [options]"


def _add_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", metavar="PHOTO", help="picture to stylise, or - for standard input")
    parser.add_argument("--style", metavar="IMG", help="picture that gives the style")
    add_look(parser)
    _add_output(parser, "PHOTO-STYLE.png", "; .png, .jpg, .webp or .tif")
    add_settings(parser, Settings, MediaSettings, without=VIDEO_ONLY)
    parser.usage = "%(prog)s PHOTO --style IMG [options]"


def _add_keyframes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", metavar="CLIP", help="any video that FFmpeg reads")
    shown = "folder for the pictures, made if it is missing (default: CLIP-keyframes/)"
    parser.add_argument("-o", "--output", metavar="FOLDER/", help=shown)
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    _add_progress(parser)
    kept = {*("size", "start_seconds", "duration_seconds", "stream", "no_shots", "cuts", "overwrite"), "flow"}
    without = {f.name for cls in (MediaSettings, Settings) for f in fields(cls)} - kept
    add_settings(parser, MediaSettings, Settings, without=without)
    parser.usage = "%(prog)s CLIP -o FOLDER/ [options]"


def _add_look_of(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", metavar="OUTPUT", help="output of videostyle, or its --record")


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("style", metavar="PAINTING", help="picture that gives the style")
    shown = "file of the network (default: kept in the cache alone, where every command finds it)"
    parser.add_argument("-o", "--output", metavar="OUT.safetensors", help=shown)
    shown = "also write the network for other programs; alone, one that is in the cache is not trained again"
    parser.add_argument("--export", metavar="FILE.onnx", help=shown)
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    _add_progress(parser)
    kept = {*LEARNED, "backbone", "weights", "download", "device", "precision", "seed"}
    add_settings(parser, TrainSettings, Settings, without={f.name for f in fields(Settings)} - kept)
    parser.usage = "%(prog)s PAINTING [options]"


def _add_live(parser: argparse.ArgumentParser) -> None:
    shown = "picture that gives the style, whose network is trained first where there is none; several are allowed"
    parser.add_argument("--style", dest="styles", action="append", default=[], metavar="PAINTING", help=shown)
    shown = "network made by videostyle train; several are allowed: keys 1 to 9 choose one, n the next, q ends"
    parser.add_argument("--model", dest="models", action="append", default=[], metavar="FILE", help=shown)
    parser.add_argument("--input", metavar="CLIP", help="clip, or - for a pipe (default: the camera)")
    parser.add_argument("--device-spec", metavar="FORMAT:DEVICE", help="camera (default: the first one)")
    parser.add_argument("--microphone", metavar="FORMAT:DEVICE", help="record sound too, e.g. from pulse:default")
    shown = "painted clip; of --input every frame, as fast as may be; a camera's recording is kept beside it"
    parser.add_argument("-o", "--output", metavar="OUT", help=shown)
    parser.add_argument("--no-window", action="store_true", help="show no window")
    parser.add_argument("--virtual-camera", action="store_true", help="be a camera for other programs (pyvirtualcam)")
    shown = "write what was measured: frames a second, latency, drops"
    parser.add_argument("--record", metavar="FILE.json", help=shown)
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    _add_progress(parser)
    kept = {*LEARNED, "backbone", "weights", "download", "flow", "flow_weights", "flow_size", "device", "precision"}
    reading = {"no_shots", "cuts"}
    without = {f.name for f in fields(Settings)} - kept | reading
    add_settings(parser, LiveSettings, MediaSettings, Settings, without=without)
    parser.usage = "%(prog)s --style PAINTING [options]"


def _add_pipe(parser: argparse.ArgumentParser) -> None:
    shown = "picture that gives the style (several in one: --blend)"
    parser.add_argument("--style", dest="styles", action="append", default=[], metavar="IMG", help=shown)
    add_look(parser)
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    _add_progress(parser)
    without = {f.name for f in fields(MediaSettings)} - {"size", "no_shots", "cuts"}
    add_settings(parser, Settings, MediaSettings, without=without)
    parser.usage = "ffmpeg -i CLIP -f yuv4mpegpipe - | %(prog)s --style IMG [options] | ffmpeg -i - OUT"


PICTURES = {
    "content": "content picture (default: the sample)",
    "style": "style picture (default: the sample)",
    "dark": "content picture that is dark (default: the sample)",
    "reference": "photograph that gives the style of the photo-realistic figure (default: the sample)",
    "pathological": "initial image that is far from any picture (default: a saturated checkerboard)",
}


def _add_studio(parser: argparse.ArgumentParser) -> None:
    shown = "folder of the studio's clips, queue and results (default: %(default)s)"
    parser.add_argument("folder", nargs="?", metavar="FOLDER", default="studio", help=shown)
    shown = "port of this machine; 0: any that is free (default: %(default)s)"
    parser.add_argument("--port", type=whole_number("--port"), default=8760, metavar="N", help=shown)
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    shown = "address to listen at; other than 127.0.0.1, other machines can reach it (default: %(default)s)"
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help=shown)
    shown = "largest upload, in GiB (default: %(default)s)"
    parser.add_argument("--largest", type=number("--largest"), default=8.0, metavar="GIB", help=shown)


def _add_experiments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make (default: all; see --list)")
    parser.add_argument("--list", action="store_true", help="list the figures and exit")
    for name, shown in PICTURES.items():
        parser.add_argument(f"--{name}", metavar="IMG", help=shown)
    parser.add_argument("--clip", metavar="CLIP", help="clip of the video figure (default: the sample)")
    parser.add_argument("--size", type=whole_number("--size"), metavar="N", help="longer side in pixels (default: 512)")
    parser.add_argument("--quick", action="store_true", help="256 pixels and a twentieth of the evaluations")
    shown = "evaluations of a picture for which the slides use 3000, others in proportion"
    shown += " (default: 3000, with --quick 150)"
    parser.add_argument("--evaluations", type=whole_number("--evaluations"), metavar="N", help=shown)
    _add_folder_and_machine(parser, "experiments")


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clip", metavar="CLIP", help="clip to stylise (default: the sample)")
    shown = "style pictures, the main one first (default: samples)"
    parser.add_argument("--style", nargs="+", metavar="IMG", default=(), help=shown)
    shown = "longer side of the stylised clips in pixels"
    parser.add_argument("--size", type=whole_number("--size"), metavar="N", help=shown)
    parser.add_argument("--quick", action="store_true", help="smaller clips and fewer evaluations per frame")
    _add_folder_and_machine(parser, "demo")


def _add_folder_and_machine(parser: argparse.ArgumentParser, folder: str) -> None:
    parser.add_argument("-o", "--output", metavar="DIR", default=folder, help="output folder (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    machine = {"backbone", "weights", "download", "device", "precision"}
    add_settings(parser, Settings, without={f.name for f in fields(Settings)} - machine)


def _add_measure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="original clip")
    parser.add_argument("stylised", metavar="STYLISED", help="stylised clip")
    parser.add_argument("--style", metavar="IMG", required=True, help="style picture that was used")
    shown = "weights of the network that measures (default: VGG-19's if present)"
    parser.add_argument("--weights", metavar="FILE", help=shown)
    shown = "folder of known flow: files *N.npz from frame N (counted from 0) to N-1"
    parser.add_argument("--flow", metavar="DIR", help=shown)
    parser.add_argument("--json", metavar="FILE", help="write every number with its definition")
    parser.add_argument("--plot", metavar="FILE", help="write a plot over time (.png, .svg or .pdf)")


def _add_weights(parser: argparse.ArgumentParser) -> None:
    shown = "list: show what is present; fetch: download; check: verify (default: %(default)s)"
    parser.add_argument("action", nargs="?", default="list", choices=("list", "fetch", "check"), help=shown)
    parser.add_argument(
        "what", nargs="?", metavar="NAME|FILE", help="fetch: vgg19 or raft; check: a name or a weights file"
    )


def _add_output(parser: argparse.ArgumentParser, default: str, kinds: str) -> None:
    parser.add_argument("-o", "--output", metavar="OUT", help=f"output (default: {default}{kinds})")
    shown = "write how the output was made: settings, versions, frames"
    parser.add_argument("--record", metavar="FILE.json", help=shown)
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def _add_progress(parser: argparse.ArgumentParser) -> None:
    shown = "progress on stderr; auto: a bar in a terminal, else lines; json: one object per line (default: auto)"
    parser.add_argument("--progress", choices=("auto", "bar", "lines", "json"), default="auto", help=shown)


# name, also of the function in `commands` whose docstring describes it -> help in the list, function that adds options
COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None] | None]] = {
    "video": ("stylise a clip", _add_video),
    "shot": ("stylise one shot of a clip, as a task of a cluster", _add_shot),
    "image": ("stylise a picture", _add_image),
    "keyframes": ("write the frames of a clip that are worth painting by hand", _add_keyframes),
    "look": ("print how an output was painted", _add_look_of),
    "webcam": ("record from a camera and stylise the recording", _add_webcam),
    "pipe": ("paint a stream between two other programs", _add_pipe),
    "studio": ("open a page to try looks on, and to queue runs", _add_studio),
    "live": ("paint what a camera sees, while it happens", _add_live),
    "train": ("train a network that paints in the style of a picture", _add_train),
    "measure": ("measure a stylised clip against its source", _add_measure),
    "experiments": ("make the figures of the presentation", _add_experiments),
    "demo": ("make the video of the presentation", _add_demo),
    "doctor": ("show what this machine offers and what would be used", None),
    "weights": ("list, download and check weights of the networks", _add_weights),
}
