"""What surrounds a run of the library that a person may stop: progress on the console, and signals."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from videostyle.cli.console import Console
from videostyle.cli.signals import Interrupts

if TYPE_CHECKING:
    from videostyle.pipeline.progress import Progress


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
