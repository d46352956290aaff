"""Painting from the command line: one output or several, by this process or many workers, with progress and stops."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videostyle.cli.console import Console
from videostyle.cli.options import given_settings
from videostyle.cli.signals import Interrupts
from videostyle.errors import UsageError
from videostyle.settings import MediaSettings, RunSettings, Settings, SpreadSettings

if TYPE_CHECKING:
    from videostyle.pipeline.progress import Progress
    from videostyle.settings.look import Look


def run_one(console: Console, *asked: Any, spread: SpreadSettings | None = None) -> int:
    """Run the request of these fields, over many workers where those are asked for, and show its result."""
    from videostyle.pipeline.request import Callbacks, Request
    from videostyle.pipeline.run import run

    with painting(console) as callbacks:
        if spread is not None and spread.is_asked:
            from videostyle.cluster.run import run_spread

            result = run_spread(Request(*asked), spread, Callbacks(**callbacks))
        else:
            result = run(Request(*asked), Callbacks(**callbacks))
    console.result(result)
    return 0


def run_several(
    arguments: argparse.Namespace,
    looks: list["Look"],
    settings: Settings,
    media: MediaSettings,
    run: RunSettings,
    console: Console,
) -> int:
    """Every clip in every style; 1 if one of them failed."""
    from videostyle.pipeline import batch
    from videostyle.pipeline.remote import is_remote
    from videostyle.pipeline.request import Callbacks

    if arguments.record is not None:
        raise UsageError("--record is for one clip in one style; leave it out")
    if named := next(filter(is_remote, (*arguments.clips, *arguments.styles, arguments.output)), None):
        raise UsageError(f"{named} is a URL, which is for one clip in one style; name files for several")
    folder = Path(arguments.output or ".")
    requests = batch.requests_of(arguments.clips, looks, folder, settings, media, run)
    spread = given_settings(arguments, SpreadSettings)
    found: list[batch.BatchItemResult] = []

    def on_item(item: batch.BatchItemResult) -> None:
        if item.result is not None:
            console.result(item.result)
        found.append(item)

    try:
        if spread.is_asked:
            from videostyle.cluster.batch import run_spread_batch

            with painting(console) as callbacks:
                run_spread_batch(requests, spread, on_item, Callbacks(**callbacks))
        for request in () if spread.is_asked else requests:
            with painting(console) as callbacks:
                on_item(batch.run_item(request, Callbacks(**callbacks)))
    finally:
        console.summary(found)
    return int(any(item.problem for item in found))


@contextmanager
def painting(console: Console, announce: bool = True) -> Iterator[dict[str, Any]]:
    """Callbacks for a run that can be stopped after a frame. ``announce``: see `Console.callbacks`."""
    from videostyle.device import keep_freed_memory

    keep_freed_memory()
    words = "stopping after this frame; once more stops at once"
    with Interrupts(lambda: console.shout(words)) as interrupts, console.callbacks(announce) as callbacks:

        def on_progress(progress: "Progress") -> None:
            interrupts.watch(progress.stage)
            callbacks["on_progress"](progress)

        yield callbacks | {"on_progress": on_progress, "should_stop": interrupts.should_stop}


def only_one(arguments: argparse.Namespace, option: str) -> None:
    if len(arguments.clips) > 1 or len(arguments.styles) > 1:
        raise UsageError(f"{option} takes one clip and one style; leave out the others")
