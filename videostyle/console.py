"""What a person sees while the command runs: a first line, a progress bar, a last line. Only results go to stdout."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm import tqdm

from videostyle.settings import Settings

if TYPE_CHECKING:
    from videostyle.experiments.present import Estimate
    from videostyle.pipeline import Progress, Result

LONG_SECONDS = 1800.0  # what is offered a quicker way
PLAIN_SECONDS = 15.0  # between lines of progress where there is no terminal to draw a bar in

BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit} [{elapsed}<{remaining}{postfix}]"
BAR_WITHOUT_END = "{desc} {n_fmt} {unit} [{elapsed}{postfix}]"


class Console:
    """Prints, or keeps quiet."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def say(self, line: str) -> None:
        if not self.quiet:
            print(line, flush=True)

    def introduce(self, settings: Settings) -> Settings:
        """Say which network runs where, and why. Where there is a terminal for its bar, ``auto`` may download."""
        from videostyle.machine import choose_machine
        from videostyle.painter import choose_backbone

        machine = choose_machine(settings)
        if settings.backbone == "auto" and machine.accelerated and sys.stderr.isatty() and not self.quiet:
            settings = settings.but(download=True)
        name, why = choose_backbone(settings, machine)
        network = why if name == "auto" else f"{name} ({why})"
        self._note(f"{network} on {machine.name}, {machine.precision}")
        return settings

    def _note(self, line: str) -> None:
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    @contextmanager
    def bar(self, unit: str = "frames") -> Iterator[Callable[["Progress"], None]]:
        """A callback for progress: a bar in a terminal, now and then a line elsewhere, nothing when quiet."""
        if self.quiet:
            yield lambda progress: None
        elif sys.stderr.isatty():
            bar = _Bar(unit)
            try:
                yield bar
            finally:
                bar.close()
        else:
            yield _Lines(unit)

    @contextmanager
    def download_bar(self) -> Iterator[Callable[[int, int | None], None] | None]:
        """A callback for a download's bytes."""
        bar: tqdm | None = None

        def show(done: int, total: int | None) -> None:
            nonlocal bar
            if bar is None:
                bar = tqdm(desc="VGG-19's weights", total=total, unit="B", unit_scale=True, unit_divisor=1024)
            bar.update(done - bar.n)

        try:
            yield None if self.quiet else show
        finally:
            if bar is not None:
                bar.close()

    def estimate(self, estimate: "Estimate", quick: bool) -> None:
        """What the experiments are about to cost; where that is long, how to have them sooner."""
        if estimate.pictures == 0:
            return self._note("every picture is there already")
        pictures = "1 picture" if estimate.pictures == 1 else f"{estimate.pictures} pictures"
        words = f"{pictures} of {estimate.size} pixels, {estimate.evaluations} evaluations"
        if estimate.seconds is not None:
            words += f": about {duration(estimate.seconds)} here"
            if estimate.seconds > LONG_SECONDS and not quick:
                words += "; --quick makes the same figures smaller, with a twentieth of the evaluations"
        self._note(words)

    def result(self, result: "Result") -> None:
        """What was noticed, where the output is, and what it cost."""
        for notice in result.notices:
            self._note(f"note: {notice}")
        frames = "1 frame" if result.frames == 1 else f"{result.frames} frames"
        cost = f"{duration(result.seconds)}, {duration(result.seconds / max(1, result.frames))} a frame"
        totals = result.record.get("totals", {})
        if totals.get("evaluations"):
            cost += f", {totals['evaluations'] / totals['frames']:.1f} evaluations each"
            cost += f", {memory(totals['peak_rss_bytes'], totals['peak_vram_bytes'])}"
        self.say(f"{result.output}: {frames} in {cost}")


class _Bar:
    """Frames finished, the evaluation and loss of the one in progress, and the time left."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.bar: tqdm | None = None

    def __call__(self, progress: "Progress") -> None:
        if self.bar is None:
            form = BAR if progress.frames else BAR_WITHOUT_END
            self.bar = tqdm(
                desc=progress.stage, total=progress.frames, bar_format=form, dynamic_ncols=True, unit=self.unit
            )
        if progress.frames and progress.frame > progress.frames:
            self.bar.total = None  # the container promised fewer
        if progress.evaluation:
            self.bar.set_postfix_str(f"evaluation {progress.evaluation}, loss {progress.loss:.3g}", refresh=False)
        self.bar.update(progress.frame - self.bar.n)
        self.bar.refresh()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class _Lines:
    """The same as lines of text, for a log."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.began = self.last = time.monotonic()

    def __call__(self, progress: "Progress") -> None:
        now = time.monotonic()
        if now - self.last < PLAIN_SECONDS:
            return
        self.last = now
        whole = f" of {progress.frames}" if progress.frames else ""
        left = ""
        if progress.frames and 0 < progress.frame < progress.frames:
            left = f", about {duration((now - self.began) / progress.frame * (progress.frames - progress.frame))} left"
        print(f"{progress.stage}: {progress.frame}{whole} {self.unit}{left}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds in words: 0.42 s, 12 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def memory(resident: int, on_device: int) -> str:
    """Peaks in words."""
    words = f"{resident / 2**30:.1f} GiB of memory"
    return f"{words}, {on_device / 2**30:.1f} GiB on the GPU" if on_device else words
