"""What a person sees while a command runs: a first line, a progress bar, a last line. Only results go to stdout."""

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videostyle.cli.formatting import counted, duration, memory
from videostyle.cli.progress_display import _Bar, _Json, _Lines
from videostyle.settings import Settings

if TYPE_CHECKING:
    from videostyle.experiments.present import Estimate
    from videostyle.live.request import LiveResult
    from videostyle.pipeline.batch import BatchItemResult
    from videostyle.pipeline.pick_frames import PickedFrame
    from videostyle.pipeline.picture import Preview
    from videostyle.pipeline.progress import Progress
    from videostyle.pipeline.request import Result
    from videostyle.pipeline.train import TrainResult

LONG_SECONDS = 1800.0  # experiments that take longer are told of --quick


class Console:
    """Prints, or keeps quiet. ``progress``: "bar", "lines" or "json"; "auto" is a bar in a terminal, else lines."""

    def __init__(self, quiet: bool, progress: str = "auto") -> None:
        self.quiet = quiet
        self.progress = ("bar" if sys.stderr.isatty() else "lines") if progress == "auto" else progress

    def say(self, line: str) -> None:
        if not self.quiet:
            print(line, flush=True)

    def introduce(self, settings: Settings) -> Settings:
        """Say which network runs where, and why; ``auto`` may download where a terminal shows its bar."""
        from videostyle.device import choose_machine
        from videostyle.stylise.choose_network import choose_backbone
        from videostyle.stylise.memory import memory_bytes

        machine = choose_machine(settings)
        if settings.backbone == "auto" and machine.accelerated and sys.stderr.isatty() and not self.quiet:
            settings = settings.replace(download=True)
        name, why = choose_backbone(settings, machine)
        network = why if name == "auto" else f"{name} ({why})"
        allowed = memory_bytes(settings, machine.device)
        most = "" if allowed is None else f", at most {allowed / 2**30:.0f} GiB"
        self.note(f"{network} on {machine.name}, {machine.precision}{most}")
        return settings

    def note(self, line: str) -> None:
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def shout(self, line: str) -> None:
        """A note from a signal's handler, which may interrupt the printing of another line."""
        if not self.quiet:
            os.write(2, f"{line}\n".encode())

    @contextmanager
    def callbacks(self, announce: bool = True) -> Iterator[dict[str, Any]]:
        """``on_progress`` and ``on_download`` for a function of the library.

        ``announce``: say why a network is trained before the first frame.
        """
        told = not announce

        def show(progress: "Progress") -> None:
            nonlocal told
            if progress.stage == "train" and not told:
                left = duration(progress.seconds_left or 0)
                clip = "" if progress.for_frames is None else f" for a clip of {counted(progress.for_frames)}"
                self.note(f"this style has no network yet: training {left}{clip}; it is kept for the next time")
                told = True
            bar(progress)

        with self.bar() as bar, self.download_bar() as download:
            yield {"on_progress": show, "on_download": download}

    @contextmanager
    def bar(self) -> Iterator[Callable[["Progress"], None]]:
        """A callback for progress, which does nothing when quiet."""
        if self.quiet:
            yield lambda progress: None
        elif self.progress == "bar":
            with closing(_Bar()) as bar:
                yield bar
        else:
            yield _Json() if self.progress == "json" else _Lines()

    @contextmanager
    def download_bar(self) -> Iterator[Callable[[int, int | None], None] | None]:
        """A callback for a download's bytes."""
        from tqdm import tqdm

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
        words = f"{counted(estimate.pictures, 'picture')} of {estimate.size} pixels, {estimate.evaluations} evaluations"
        if estimate.seconds is not None:
            words += f": about {duration(estimate.seconds)} here"
            if estimate.seconds > LONG_SECONDS and not quick:
                words += "; --quick makes the same figures smaller, with a twentieth of the evaluations"
        self.note(words)

    def result(self, result: "Result") -> None:
        """What was noticed, where the output is, and what it cost."""
        for notice in result.notices:
            self.note(f"note: {notice}")
        frames, cost, now = counted(result.frames), duration(result.seconds), result.frames - result.restored
        if result.restored:
            frames += f", {result.restored} of them from before,"
        if now:
            cost += f", {duration(result.seconds / now)} a frame"
        totals = result.record.get("totals", {})
        if totals.get("evaluations"):
            cost += f", {totals['evaluations'] / totals['frames']:.1f} evaluations each"
            cost += f", {memory(totals['peak_rss_bytes'], totals['peak_vram_bytes'])}"
        self.say(f"{result.url or result.output}: {frames} in {cost}")

    def live(self, result: "LiveResult") -> None:
        """What was painted, how fast, and where it is kept."""
        t = result.totals
        words = f"{counted(t['frames'], 'frame')}, {t['frames_per_second']:.1f} a second, {t['latency_ms']:.0f} ms late"
        sizes = ", ".join(t["sizes"])
        words += f", {t['dropped']} dropped, {sizes}"
        self.say(words if result.output is None else f"{result.output}: {words}")
        if result.recording is not None:
            self.say(f"{result.recording}: the recording")

    def trained(self, result: "TrainResult") -> None:
        """Where the network is, and its report card."""
        network, steps = result.network, result.network.training["steps"]
        took = f" in {duration(result.seconds)}" if result.seconds else ", trained before"
        self.say(f"{result.output}: {steps} steps{took}")
        if card := network.card:
            look = (
                f"style {card['style']:.0%} of an optimised picture's, content loss {card['content']:.2f} times its own"
            )
            self.say(f"{look}; warp error {card['warp_error']:.2g}; {card['milliseconds']:.0f} ms a frame of 512x288")

    def preview(self, preview: "Preview") -> None:
        """Where the picture is, and what the whole clip would cost."""
        first = preview.frame
        self.say(f"{preview.output}: {first.evaluations} evaluations in {duration(first.wall_seconds)}")
        whole = "of unknown length" if preview.clip_frames is None else f"of about {preview.clip_frames} frames"
        cost = "" if preview.clip_seconds is None else f", {duration(preview.clip_seconds)} in all"
        self.say(f"the clip {whole}: about {duration(preview.frame_seconds)} a frame{cost}")
        self.say(f"memory: {memory(preview.peak_rss_bytes, preview.peak_vram_bytes)}")

    def picked(self, picked: Sequence["PickedFrame"], clip: str, folder: Path, size: int | None) -> None:
        """Each picture with its time and what it newly shows; then how to give them back."""
        for frame in picked:
            self.say(f"{frame.path}: {int(frame.time_seconds * 1000) / 1000:.3f} s, {frame.newly_shown:.0%} of it new")
        if not picked:
            return self.note("every frame is black: there is nothing to paint")
        words = ["videostyle", "video", clip, *([] if size is None else ["--size", str(size)])]
        self.say(f"paint over them, then: {shlex.join([*words, '--keyframe', f'{folder}/'])}")

    def written(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self.say(str(path))

    def summary(self, outcomes: Sequence["BatchItemResult"]) -> None:
        """What became of several clips; those that failed by name, as errors."""
        failed = [outcome for outcome in outcomes if outcome.problem]
        for outcome in failed:
            print(f"videostyle: {outcome.request.place}: {outcome.problem}", file=sys.stderr, flush=True)
        made = sum(outcome.result is not None for outcome in outcomes)
        self.say(f"{made} made, {len(outcomes) - made - len(failed)} there already, {len(failed)} failed")
