"""What the tests of many workers share: a clip of five shots, and the file that one process makes of it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from videostyle.pipeline.progress import Progress
from videostyle.pipeline.request import Request
from videostyle.samples import sample
from videostyle.settings import MediaSettings, RunSettings, Settings

CUTS = (0.1, 0.3, 0.35, 0.6)
# The same as options of the command line, without the output.
OPTIONS = ["video", str(sample("clip.mp4")), "--style", str(sample("styles/brush.jpg")), "--iterations", "3"]
OPTIONS += ["--history-size", "2", "--size", "48", "--duration", "0.8", "--cuts", ",".join(map(str, CUTS))]
OPTIONS += ["--state-seconds", "0", "--keyframes", "off"]  # every frame takes its time: some are killed in mid-shot


def five_shots(folder: Path, name: str = "out.mp4", **media) -> Request:
    """A request of five shots, of 48 pixels and three evaluations a frame."""
    asked = MediaSettings(**{"size": 48, "duration_seconds": 0.8, "cuts": CUTS} | media)
    settings = Settings(iterations=3, history_size=2, keyframes="off")
    clip, style = sample("clip.mp4"), sample("styles/brush.jpg")
    return Request("video", clip, style, folder / name, settings, asked, RunSettings(state_seconds=0.0))


def in_one_process(folder: Path, *more: str) -> bytes:
    """The file that a process with one thread makes of it. ``more``: options."""
    command = [sys.executable, "-m", "videostyle", *OPTIONS, *more, "--quiet", "-o", str(folder / "out.mp4")]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return (folder / "out.mp4").read_bytes()


def at_frame(number: int, action: Callable[[], None]) -> Callable[[Progress], None]:
    """A callback that acts once, when so many frames are painted."""
    left = [action]

    def told(progress: Progress) -> None:
        if progress.stage == "stylise" and progress.frame >= number and left:
            left.pop()()

    return told
