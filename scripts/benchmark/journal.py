"""What does it cost that nothing is lost? Time and disk of the run directory, against the run's own.

    python scripts/benchmark/journal.py --size 512 --json out/journal.json

The calls that write are timed inside one run of `stylise_video`: two runs, one with a run directory and one without,
differ by more than what is asked for. Then the run is stopped, and what going on costs is timed as well.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import say, write_json

from videostyle import MediaSettings, Progress, RunSettings, Settings, stylise_video
from videostyle.checkpoint.run_directory import RunDirectory, directory_of
from videostyle.samples import sample

LARGEST_SHARE = 0.02


class Clock:
    """Adds up what the calls of some methods take."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def watch(self, cls: type, name: str) -> None:
        method = getattr(cls, name)
        setattr(cls, name, self._timed(method, self.seconds.setdefault(name, [])))

    @staticmethod
    def _timed(method: Callable, seconds: list[float]) -> Callable:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*arguments, **named)
            finally:
                seconds.append(time.perf_counter() - began)

        return timed


def sizes(output: Path) -> dict[str, int]:
    return {entry.name: entry.stat().st_size for entry in directory_of(output).iterdir()}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Time and disk that a run directory costs.")
    parser.add_argument("--size", type=int, default=512, help="longer side in pixels (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of the sample clip (default: all of its four)")
    parser.add_argument("--backbone", default="compact")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file")
    arguments = parser.parse_args(argv)
    settings, media = Settings(backbone=arguments.backbone), MediaSettings(size=arguments.size)
    media = media.replace(duration_seconds=arguments.seconds)
    clip, style = sample("clip.mp4"), sample("styles/brush.jpg")
    clock, seen = Clock(), dict[str, int]()
    for name in ("__init__", "keep", "save", "publishing", "close"):
        clock.watch(RunDirectory, name)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # where a user's output would be: on a disk
        output = Path(folder) / "out.mp4"

        def look(progress: Progress) -> None:
            if progress.stage == "encode":
                seen.update(sizes(output))

        run = stylise_video(clip, style, output, settings, media, RunSettings(keep=True), on_progress=look)
        spent = {name: sum(seconds) for name, seconds in clock.seconds.items()}
        states = len(clock.seconds["save"]) - 1  # the last one is empty: nothing follows
        output.unlink()
        again = stylise_video(clip, style, output, settings, media)
    share = sum(spent.values()) / run.seconds
    results = {
        "frames": run.frames,
        "wall_seconds": run.seconds,
        "journal_seconds": spent,
        "share": share,
        "bytes_per_frame": seen["frames"] / run.frames,
        "journal_bytes_per_frame": seen["journal"] / run.frames,
        "state_bytes": max((size for name, size in seen.items() if name.startswith("state")), default=0),
        "states": states,
        "restored_seconds_per_frame": again.seconds / again.restored,
    }
    say(f"{run.frames} frames in {run.seconds:.1f} s, {states} states of {results['state_bytes'] / 1e6:.1f} MB")
    say(", ".join(f"{name.strip('_')} {seconds:.3f} s" for name, seconds in spent.items()))
    say(f"{share:.2%} of the time (at most {LARGEST_SHARE:.0%} is asked for)")
    say(f"{results['bytes_per_frame'] / 1e3:.0f} kB a frame, {results['journal_bytes_per_frame']:.0f} B of journal")
    say(f"all frames restored, encoded and published again: {again.seconds:.1f} s")
    if arguments.json:
        write_json(arguments.json, "what the run directory costs", {"size": arguments.size}, results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
