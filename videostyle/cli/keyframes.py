"""The command that writes the frames of a clip that are worth painting by hand."""

import argparse
from pathlib import Path

from videostyle.cli.console import Console
from videostyle.cli.options import given_settings
from videostyle.cli.painting import painting
from videostyle.settings import MediaSettings, Settings


def keyframes(arguments: argparse.Namespace) -> int:
    """Write the frames of a clip that are worth painting by hand: few, but together they show nearly all of every shot.

    Their names hold their times, and `video` takes them back.
    """
    from videostyle.pipeline.pick_frames import default_folder, pick_keyframes

    console = Console(arguments.quiet, arguments.progress)
    settings, media = given_settings(arguments, Settings), given_settings(arguments, MediaSettings)
    folder = default_folder(arguments.clip) if arguments.output is None else Path(arguments.output)
    with painting(console, announce=False) as callbacks:
        told = {name: callbacks[name] for name in ("on_progress", "should_stop")}
        picked = pick_keyframes(arguments.clip, folder, settings, media, **told)
    console.picked(picked, arguments.clip, folder, media.size)
    return 0
