"""What a person sees while the command runs: a first line, a progress bar, a last line. Only results go to stdout."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from videostyle.settings import Settings

if TYPE_CHECKING:
    from videostyle.batch import Outcome
    from videostyle.experiments.present import Estimate
    from videostyle.pipeline import Preview, Progress, Result

LONG_SECONDS = 1800.0  # what is offered a quicker way
PLAIN_SECONDS = 15.0  # between lines of progress where there is no terminal to draw a bar in
JSON_SECONDS = 1.0  # between objects about one frame

BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit} [{elapsed}{postfix}]"
BAR_WITHOUT_END = "{desc} {n_fmt} {unit} [{elapsed}{postfix}]"


class Console:
    """Prints, or keeps quiet. ``progress``: "bar", "lines" or "json"; "auto" is a bar in a terminal, else lines."""

    def __init__(self, quiet: bool, progress: str = "auto") -> None:
        self.quiet = quiet
        self.progress = ("bar" if sys.stderr.isatty() else "lines") if progress == "auto" else progress

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
        self.note(f"{network} on {machine.name}, {machine.precision}")
        return settings

    def note(self, line: str) -> None:
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def shout(self, line: str) -> None:
        """A note from a signal's handler, which may have come in the middle of another line's printing."""
        if not self.quiet:
            os.write(2, f"{line}\n".encode())

    @contextmanager
    def callbacks(self) -> Iterator[dict[str, Any]]:
        """``on_progress`` and ``on_download`` for a function of the library."""
        with self.bar() as bar, self.download_bar() as download:
            yield {"on_progress": bar, "on_download": download}

    @contextmanager
    def bar(self) -> Iterator[Callable[["Progress"], None]]:
        """A callback for progress: what was asked for, nothing when quiet."""
        if self.quiet:
            yield lambda progress: None
        elif self.progress == "bar":
            bar = _Bar()
            try:
                yield bar
            finally:
                bar.close()
        else:
            yield _Json() if self.progress == "json" else _Lines()

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
            yield None if self.quiet or self.progress == "json" else show
        finally:
            if bar is not None:
                bar.close()

    def estimate(self, estimate: "Estimate", quick: bool) -> None:
        """What the experiments are about to cost; where that is long, how to have them sooner."""
        if estimate.pictures == 0:
            return self.note("every picture is there already")
        pictures = "1 picture" if estimate.pictures == 1 else f"{estimate.pictures} pictures"
        words = f"{pictures} of {estimate.size} pixels, {estimate.evaluations} evaluations"
        if estimate.seconds is not None:
            words += f": about {duration(estimate.seconds)} here"
            if estimate.seconds > LONG_SECONDS and not quick:
                words += "; --quick makes the same figures smaller, with a twentieth of the evaluations"
        self.note(words)

    def result(self, result: "Result") -> None:
        """What was noticed, where the output is, and what it cost."""
        for notice in result.notices:
            self.note(f"note: {notice}")
        frames, now = counted(result.frames), result.frames - result.restored
        if result.restored:
            frames += f", {result.restored} of them from before,"
        cost = duration(result.seconds)
        if now:
            cost += f", {duration(result.seconds / now)} a frame"
        totals = result.record.get("totals", {})
        if totals.get("evaluations"):
            cost += f", {totals['evaluations'] / totals['frames']:.1f} evaluations each"
            cost += f", {memory(totals['peak_rss_bytes'], totals['peak_vram_bytes'])}"
        self.say(f"{result.output}: {frames} in {cost}")

    def preview(self, preview: "Preview") -> None:
        """Where the picture is, and what the whole clip would cost."""
        first = preview.frame
        self.say(f"{preview.output}: {first.evaluations} evaluations in {duration(first.wall_seconds)}")
        whole = "of unknown length" if preview.clip_frames is None else f"of about {preview.clip_frames} frames"
        cost = "" if preview.clip_seconds is None else f", {duration(preview.clip_seconds)} in all"
        self.say(f"the clip {whole}: about {duration(preview.frame_seconds)} a frame{cost}")
        self.say(f"memory: {memory(preview.peak_rss_bytes, preview.peak_vram_bytes)}")

    def written(self, paths: Iterable[Path]) -> None:
        """Files that were made."""
        for path in paths:
            self.say(str(path))

    def summary(self, outcomes: Sequence["Outcome"]) -> None:
        """What became of several clips; those that failed by name, as errors."""
        failed = [outcome for outcome in outcomes if outcome.problem]
        for outcome in failed:
            print(f"videostyle: {outcome.pair.output}: {outcome.problem}", file=sys.stderr, flush=True)
        made = sum(outcome.result is not None for outcome in outcomes)
        self.say(f"{made} made, {len(outcomes) - made - len(failed)} there already, {len(failed)} failed")


def unit_of(progress: "Progress") -> str:
    """What is counted."""
    return "pictures" if progress.stage == "experiments" else "frames"


class _Bar:
    """Frames finished, the time left, the evaluation and loss of the frame in progress."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.bar: tqdm | None = None

    def __call__(self, progress: "Progress") -> None:
        unit = unit_of(progress)
        if self.bar is None or self.bar.unit != unit:
            self.bar = self._begin(progress, unit)
        if progress.frames and progress.frame > progress.frames:
            self.bar.total = None  # the container promised fewer
        left = seconds_left(progress, self.began)
        words = [] if left is None else [f"about {duration(left)} left"]
        if progress.evaluation:
            words.append(f"evaluation {progress.evaluation}, loss {progress.loss:.3g}")
        self.bar.set_description_str(progress.stage, refresh=False)
        self.bar.set_postfix_str(", ".join(words), refresh=False)
        self.bar.update(progress.frame - self.bar.n)
        self.bar.refresh()

    def _begin(self, progress: "Progress", unit: str) -> tqdm:
        if self.bar is not None:  # something else is counted from here on
            self.bar.close()
            self.began = time.monotonic()
        form = BAR if progress.frames else BAR_WITHOUT_END
        return tqdm(total=progress.frames, bar_format=form, dynamic_ncols=True, unit=unit)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class _Lines:
    """The same as lines of text, for a log."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()
        self.unit = ""

    def __call__(self, progress: "Progress") -> None:
        now, unit = time.monotonic(), unit_of(progress)
        if self.unit not in ("", unit):
            self.began = now
        self.unit = unit
        if now - self.last < PLAIN_SECONDS:
            return
        self.last = now
        whole = f" of {progress.frames}" if progress.frames else ""
        left = seconds_left(progress, self.began)
        words = f", about {duration(left)} left" if left else ""
        print(f"{progress.stage}: {progress.frame}{whole} {unit}{words}", file=sys.stderr, flush=True)


class _Json:
    """The same for programs: one object a line, for every frame and now and then in between."""

    def __init__(self) -> None:
        self.began, self.last, self.stage = time.monotonic(), -JSON_SECONDS, ""

    def __call__(self, progress: "Progress") -> None:
        now = time.monotonic()
        if progress.finished is None and progress.stage == self.stage and now - self.last < JSON_SECONDS:
            return
        self.last, self.stage = now, progress.stage
        left = seconds_left(progress, self.began)
        content = {
            "stage": progress.stage,
            "frame": progress.frame,
            "frames": progress.frames,
            "restored": progress.restored,
            "evaluation": progress.evaluation,
            "loss": progress.loss or None,
            "seconds_left": None if left is None else round(left, 1),
        }
        print(json.dumps(content), file=sys.stderr, flush=True)


def seconds_left(progress: "Progress", began: float) -> float | None:
    """What the run says itself, else by the pace since ``began``; None where that cannot be told."""
    if progress.seconds_left is not None or not progress.frames or not progress.frame or progress.restored:
        return progress.seconds_left
    return (time.monotonic() - began) / progress.frame * max(0, progress.frames - progress.frame)


def counted(frames: int) -> str:
    return "1 frame" if frames == 1 else f"{frames} frames"


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
