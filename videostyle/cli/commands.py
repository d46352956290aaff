"""What each command does: settings from its arguments, one call of the library, its result on the console.

The docstring of a command is the description in its help.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from videostyle.cli.console import Console
from videostyle.cli.given_picture import given_picture
from videostyle.cli.keyframes import keyframes as keyframes
from videostyle.cli.looks import asked_looks
from videostyle.cli.options import given_settings
from videostyle.cli.painting import only_one, painting, run_one, run_several
from videostyle.cli.pipe import pipe as pipe
from videostyle.cli.studio import studio as studio
from videostyle.errors import MediaError, UsageError
from videostyle.settings import LiveSettings, MediaSettings, RunSettings, Settings, SpreadSettings, TrainSettings

if TYPE_CHECKING:
    from videostyle.settings.look import Look


def video(arguments: argparse.Namespace) -> int:
    """Stylise a clip: every frame, with the source's timestamps and sound.

    After an interruption the same command resumes the run.
    """
    console = Console(arguments.quiet, arguments.progress)
    spread = given_settings(arguments, SpreadSettings)
    if spread.is_asked and (arguments.passthrough or arguments.preview is not None):
        raise UsageError("--workers and --ray paint whole clips; leave them out of --preview and --passthrough")
    if arguments.passthrough:
        only_one(arguments, "--passthrough")
        settings, media = given_settings(arguments, Settings), given_settings(arguments, MediaSettings)
        return run_one(console, "copy", arguments.clips[0], "copy", arguments.output, settings, media)
    looks, settings = asked_looks(arguments, arguments.styles)
    settings = console.introduce(settings)
    if arguments.preview is not None:
        return _preview(arguments, looks, settings, console)
    media, run_settings = given_settings(arguments, MediaSettings), given_settings(arguments, RunSettings)
    if len(arguments.clips) * len(looks) > 1:
        return run_several(arguments, looks, settings, media, run_settings, console)
    (clip,), (look,) = arguments.clips, looks
    asked = "video", clip, look, arguments.output, settings, media, run_settings, arguments.record
    return run_one(console, *asked, spread=spread)


def shot(arguments: argparse.Namespace) -> int:
    """Stylise one shot of a clip, for a cluster that starts commands; videostyle video --workers 1 joins the shots."""
    from videostyle.cluster.one_shot import paint_one, plan_once
    from videostyle.pipeline.request import Callbacks, Request

    if arguments.list == (arguments.number is not None):
        raise UsageError("shot needs a NUMBER or --list; give one of them")
    console = Console(arguments.quiet, arguments.progress)
    (look,), settings = asked_looks(arguments, [arguments.style] if arguments.style else [])
    settings = console.introduce(settings)
    asked = given_settings(arguments, MediaSettings), given_settings(arguments, RunSettings)
    request = Request("video", arguments.clip, look, arguments.output, settings, *asked)
    with painting(console) as callbacks:
        if arguments.list:
            for found in plan_once(request, Callbacks(**callbacks), arguments.longest_shot)[0]:
                print(f"{found.number} {float(found.start_seconds):.3f} {found.frames}")
        else:
            asked_for = request, arguments.number, Callbacks(**callbacks), arguments.longest_shot
            console.say(str(paint_one(*asked_for)))
    return 0


def webcam(arguments: argparse.Namespace) -> int:
    """Record from a camera, keep the recording, and stylise it."""
    from videostyle.pipeline import webcam
    from videostyle.pipeline.request import default_output

    if arguments.list:
        cameras = webcam.list_cameras()
        for camera in cameras:
            print(f"{camera.spec}  {camera.name}".rstrip())
        if not cameras:
            print("no camera was found; anything that FFmpeg reads can be named with --device-spec")
        return 0
    if arguments.seconds is None:
        raise UsageError("webcam needs --seconds N and --style IMG, or --list")
    console = Console(arguments.quiet, arguments.progress)
    (look,), settings = asked_looks(arguments, [arguments.style] if arguments.style else [])
    settings = console.introduce(settings)
    with painting(console) as callbacks:
        result = webcam.stylise_webcam(
            look,
            arguments.output or default_output("webcam", look, ".mp4"),
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


def _preview(arguments: argparse.Namespace, looks: list["Look"], settings: Settings, console: Console) -> int:
    from videostyle.pipeline.picture import preview_video

    only_one(arguments, "--preview")
    media = given_settings(arguments, MediaSettings)
    (clip,), (look,), at = arguments.clips, looks, arguments.preview
    with console.callbacks() as callbacks:
        console.preview(preview_video(clip, look, arguments.output, settings, media, at_seconds=at, **callbacks))
    return 0


def image(arguments: argparse.Namespace) -> int:
    """Stylise a single picture."""
    console = Console(arguments.quiet)
    (look,), settings = asked_looks(arguments, [arguments.style] if arguments.style else [])
    settings, media = console.introduce(settings), given_settings(arguments, MediaSettings)
    with given_picture(arguments.photo) as photo:
        return run_one(
            console, "image", photo, look, arguments.output, settings, media, RunSettings(), arguments.record
        )


def look(arguments: argparse.Namespace) -> int:
    """Print how an output was painted, as a look file: for --look, to be changed and used again."""
    from videostyle.pipeline.look_record import look_as_recorded
    from videostyle.settings.look_file import as_toml, to_plain

    found, settings, _ = look_as_recorded(Path(arguments.output))
    print(as_toml(settings | to_plain(found)), end="")
    return 0


def experiments(arguments: argparse.Namespace) -> int:
    """Make the figures of the presentation and a page that shows them. Finished pictures are reused."""
    from videostyle.experiments.inputs import given_inputs
    from videostyle.experiments.present import Presentation, PresentationRequest
    from videostyle.experiments.recipes import load_recipes

    if arguments.list:
        for recipe in load_recipes(tuple(arguments.names)):
            print(f"{recipe.name:18} {recipe.title}")
        return 0
    console = Console(arguments.quiet)
    settings = console.introduce(given_settings(arguments, Settings))
    request = PresentationRequest(
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


def demo(arguments: argparse.Namespace) -> int:
    """Make the video that ends the presentation, from your own clip and pictures or from the samples."""
    from videostyle.experiments.demo.film import make_demo

    console = Console(arguments.quiet)
    asked = Path(arguments.output), arguments.clip, tuple(arguments.style)
    settings = console.introduce(given_settings(arguments, Settings))
    with console.callbacks() as callbacks:
        console.written(make_demo(*asked, settings, size=arguments.size, quick=arguments.quick, **callbacks))
    return 0


def live(arguments: argparse.Namespace) -> int:
    """Paint a camera, a pipe or a clip while it runs, in a window, into a file, or for other programs.

    The frame rate is held by smaller frames, never by frames that come later and later.
    """
    from videostyle.live.request import LiveRequest
    from videostyle.live.session import live as run
    from videostyle.pipeline.request import Callbacks

    console = Console(arguments.quiet, arguments.progress)
    request = LiveRequest(
        tuple(arguments.styles),
        tuple(arguments.models),
        arguments.input,
        arguments.device_spec,
        arguments.microphone,
        arguments.output,
        False if arguments.no_window else None,
        arguments.virtual_camera,
        given_settings(arguments, Settings),
        given_settings(arguments, MediaSettings),
        given_settings(arguments, LiveSettings),
        arguments.record,
    )
    with painting(console) as callbacks:
        result = run(request, Callbacks(**callbacks))
    console.live(result)
    if result.problem:
        raise MediaError(result.problem)
    return 0


def train(arguments: argparse.Namespace) -> int:
    """Train a network that paints in the style of a picture. It is kept, and `video` and `image` find it.

    It starts frames (--quality standard or best) or paints them alone (--quality draft). After an interruption the same
    command resumes the training.
    """
    from videostyle.pipeline.request import Callbacks
    from videostyle.pipeline.train import TrainRequest
    from videostyle.pipeline.train import train as run

    console = Console(arguments.quiet, arguments.progress)
    settings = console.introduce(given_settings(arguments, Settings))
    training = given_settings(arguments, TrainSettings)
    request = TrainRequest(arguments.style, arguments.output, settings, training, arguments.export)
    with painting(console, announce=False) as callbacks:
        console.trained(run(request, Callbacks(**callbacks)))
    return 0


def measure(arguments: argparse.Namespace) -> int:
    """Print style and content distance, warp error, flicker and drift of a stylised clip."""
    from videostyle.measure import report

    pictures = arguments.source, arguments.stylised, arguments.style
    found = report.measure_files(*pictures, weights=arguments.weights, flow=arguments.flow)
    print(*report.table(found), sep="\n")
    if arguments.json:
        report.write_json(arguments.json, found)
    if arguments.plot:
        report.plot(found, arguments.plot)
    return 0


def doctor(_arguments: argparse.Namespace) -> int:
    """Show versions, FFmpeg, devices and weights of this machine, and the defaults that follow from them."""
    from videostyle.cli.doctor import report

    for line in report():
        print(line)
    return 0


def weights(arguments: argparse.Namespace) -> int:
    """List, download and check the weights of the networks."""
    from videostyle.cli import doctor

    if arguments.action == "fetch":
        with Console(quiet=False).download_bar() as download:
            print(doctor.fetch_weights(arguments.what or "vgg19", download))
    elif arguments.action == "check":
        for line in doctor.check_weights(arguments.what):  # those before one that is damaged are printed too
            print(line)
    else:
        print(*doctor.list_weights(), sep="\n")
    return 0
