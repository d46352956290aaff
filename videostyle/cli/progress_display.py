"""Progress on stderr: a bar in a terminal, lines in a log, or objects for programs."""

import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from videostyle.cli.formatting import duration

if TYPE_CHECKING:
    from tqdm import tqdm

    from videostyle.pipeline.progress import Progress

PLAIN_SECONDS = 15.0  # between lines of progress where there is no terminal to draw a bar in
JSON_SECONDS = 1.0  # between objects about one frame
BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit} [{elapsed}{postfix}]"
BAR_WITHOUT_END = "{desc} {n_fmt} {unit} [{elapsed}{postfix}]"


def unit_of(progress: "Progress") -> str:
    return {"experiments": "pictures", "train": "%", "mask": "masks", "carry back": "frames back"}.get(
        progress.stage, "frames"
    )


class _Bar:
    """Frames finished, the time left, the evaluation and loss of the frame in progress."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.bar: tqdm | None = None

    def __call__(self, progress: "Progress") -> None:
        unit = unit_of(progress)
        if self.bar is not None and (self.bar.unit != unit or progress.frame < self.bar.n):  # something else is counted
            self.bar.close()
            self.bar, self.began = None, time.monotonic()
        if self.bar is None:
            from tqdm import tqdm

            form = BAR if progress.frames else BAR_WITHOUT_END
            self.bar = tqdm(total=progress.frames, bar_format=form, dynamic_ncols=True, unit=unit)
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
    """The same for programs: one object a line, for every frame and stage, and once in JSON_SECONDS."""

    def __init__(self) -> None:
        self.began, self.last, self.stage = time.monotonic(), -JSON_SECONDS, ""

    def __call__(self, progress: "Progress") -> None:
        now = time.monotonic()
        if progress.finished is None and progress.stage == self.stage and now - self.last < JSON_SECONDS:
            return
        self.last, self.stage = now, progress.stage
        told = replace(progress, seconds_left=seconds_left(progress, self.began))
        print(json.dumps(told.plain()), file=sys.stderr, flush=True)


def seconds_left(progress: "Progress", began: float) -> float | None:
    """What the run says, else an estimate from the pace since ``began``; None where there is neither."""
    if progress.seconds_left is not None or not progress.frames or not progress.frame or progress.restored:
        return progress.seconds_left
    return (time.monotonic() - began) / progress.frame * max(0, progress.frames - progress.frame)
