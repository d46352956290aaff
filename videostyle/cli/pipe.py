"""The command that stands between two other programs. Nothing but the stream goes to standard output."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from videostyle.cli.console import Console
from videostyle.cli.formatting import counted, duration
from videostyle.cli.looks import asked_looks
from videostyle.cli.options import given_settings
from videostyle.cli.painting import painting
from videostyle.errors import MediaError, UsageError
from videostyle.settings import MediaSettings

STDOUT, STDERR = 1, 2
LINE = "ffmpeg -i CLIP -f yuv4mpegpipe - | videostyle pipe --style IMG | ffmpeg -i - OUT"


def pipe(arguments: argparse.Namespace) -> int:
    """Paint a stream: y4m or NUT on standard input, the same on standard output.

    Every frame, as `video` paints it, with its time; a pipe has no sound and is not resumed. A frame is written when
    at most 19 more have come (--keyframes off: three).
    """
    from videostyle.pipeline.pipe import PipeRequest, paint_pipe
    from videostyle.pipeline.request import Callbacks

    console = Console(arguments.quiet, arguments.progress)
    if len(arguments.styles) > 1:
        raise UsageError("a pipe has one output and several --style were given; several in one are --blend A:1 B:1")
    (look,), settings = asked_looks(arguments, arguments.styles)
    media = given_settings(arguments, MediaSettings)
    for name, stream in (("input", sys.stdin), ("output", sys.stdout)):
        if stream.isatty():
            raise UsageError(f"standard {name} is a terminal; expected a pipe: {LINE}")
    with taken_output() as target:
        settings = console.introduce(settings)
        with painting(console) as callbacks:
            result = paint_pipe(PipeRequest(look, settings, media), sys.stdin.buffer, target, Callbacks(**callbacks))
    for notice in result.notices:
        console.note(f"note: {notice}")
    each = f", {duration(result.seconds / result.frames)} a frame" if result.frames else ""
    console.note(f"{counted(result.frames, 'frame')} in {duration(result.seconds)}{each}")
    if result.problem:
        raise MediaError(result.problem)
    return 0


@contextmanager
def taken_output() -> Iterator[IO[bytes]]:
    """Standard output as a file; whatever else is printed meanwhile, by libraries too, goes to standard error."""
    sys.stdout.flush()
    with os.fdopen(os.dup(STDOUT), "wb", buffering=0) as target:
        os.dup2(STDERR, STDOUT)
        try:
            yield target
        finally:
            sys.stdout.flush()
            os.dup2(target.fileno(), STDOUT)
