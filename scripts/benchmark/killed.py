"""Is anything lost when a run is killed? SIGKILL at random moments of `videostyle video`, each followed by a resume.

    python scripts/benchmark/killed.py --kills 50 --json out/killed.json

A short clip with sound is generated and painted once without interruption. Then it is painted again and again: each run
is killed outright, half of them at a random moment, the others in a stage that is over so soon that chance would miss
it, and the same command is given once more. The frames that come out must be those of the first run to the bit; the
output must never be there before it is whole. ``--look``: painted by a look with ten keys, a second style, and a region
whose mask is carried. ``--given``: two frames of the clip are given, at 0.28 and 0.68 s.
``--keyframes``: as of `videostyle video`. ``--quality``: painted with a network of the style, for which a training
is killed as often as runs are, one after the other, each time going on.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import torch
from common import say, write_json
from memory import ffmpeg_binary

import videostyle.pipeline.video  # noqa: F401 (loaded for the processes to come)
from videostyle.cli.main import main as run_command

# What chance would miss; each gets one kill in twelve.
STAGES = ("starting", "restore", "state", "encode", "verify", "publish")
TRIES = 50  # to catch a run in its stage
TRAINING_SECONDS = 20.0  # of a training between two kills, at most; it saves every ten


@dataclass(frozen=True)
class Kill:
    """One killed run and the one after it.

    ``stage``: what it was doing, ``frames``: how many were finished, ``redone``: how many of them were painted again,
    ``seconds_lost``: of painting, by the first run's frames; ``same``: whether all frames came out as they should.
    """

    aim: str
    stage: str
    frames: int
    redone: int
    seconds_lost: float
    same: bool


def generate(folder: Path, size: int, frames: int) -> tuple[Path, Path]:
    """A clip with sound and a picture."""
    clip, style = folder / "clip.mp4", folder / "style.png"
    seconds = frames / 25
    sources = ["-f", "lavfi", "-i", f"testsrc2=size={size}x{size * 3 // 8 * 2}:rate=25:duration={seconds}"]
    sources += ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]
    picture = ["-f", "lavfi", "-i", "mandelbrot=size=96x96", "-frames:v", "1", str(style)]
    for command in ([*sources, str(clip)], picture):
        subprocess.run([ffmpeg_binary(), "-v", "error", "-y", *command], check=True, stdin=subprocess.DEVNULL)
    return clip, style


class Run:
    """`videostyle video` or another subcommand in a process of its own, with its progress as it is told.

    It is forked from this one, which has loaded every library: that would be most of the time of so short a run.
    """

    def __init__(self, command: Sequence[str], output: Path, subcommand: str = "video") -> None:
        self.began = time.monotonic()
        self.directory = output.with_name(output.name + ".videostyle")
        self.told = self.ended = 0.0
        self.lines: list[dict] = []
        self.other: list[str] = []
        self.status: int | None = None
        reading, writing = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            os.dup2(writing, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os._exit(run_command([subcommand, *command, "-o", str(output), "--progress", "json"]))
        os.close(writing)
        self._reader = threading.Thread(target=self._read, args=(os.fdopen(reading),))
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                if line.startswith("{"):
                    self.told = self.told or time.monotonic()
                    self.lines.append(json.loads(line))
                else:
                    self.other.append(line.strip())

    @property
    def stage(self) -> str:
        return self.lines[-1]["stage"] if self.lines else "starting"

    @property
    def frame(self) -> int:
        """How many frames of the output were finished."""
        return self.of_output[-1]["frame"] if self.of_output else 0

    @property
    def of_output(self) -> list[dict]:
        """The lines about frames of the output, not about those that are painted before it."""
        return [line for line in self.lines if line["stage"] != "carry back"]

    @property
    def said(self) -> str:
        """What it said beside its progress."""
        return " / ".join(self.other)

    @property
    def starting(self) -> float:
        return self.told - self.began

    @property
    def painting(self) -> float:
        return self.ended - self.told

    def writes_a_state(self) -> bool:
        return any(True for pattern in (".state-*.part", ".tmp*") for _ in self.directory.glob(pattern))

    def runs(self) -> bool:
        if self.status is None:
            process, status = os.waitpid(self.process, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if process else None
        return self.status is None

    def wait(self) -> int:
        while self.runs():
            time.sleep(0.001)
        self._reader.join()
        self.ended = time.monotonic()
        assert self.status is not None
        return self.status

    def kill_when(self, reached: Callable[["Run"], bool], after: float = 0.0) -> bool:
        """Kill it ``after`` seconds after ``reached`` holds; False if it ended before."""
        while self.runs() and not reached(self):
            time.sleep(0.001)
        time.sleep(after)
        if self.runs():
            os.kill(self.process, signal.SIGKILL)
        return self.wait() == -signal.SIGKILL


REACHED: dict[str, Callable[[Run], bool]] = {
    "any time": lambda run: bool(run.lines),
    "starting": lambda run: True,
    "restore": lambda run: run.stage == "restore",
    "state": Run.writes_a_state,
    "encode": lambda run: run.stage == "encode",
    "verify": lambda run: run.stage == "verify",
    "publish": lambda run: run.stage == "publish",
}


def frame_hashes(path: Path) -> list[str]:
    """Of every decoded frame, and of the sound."""
    command = [ffmpeg_binary(), "-v", "error", "-i", str(path), "-f", "framemd5", "-"]
    out = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    return [line for line in out.splitlines() if not line.startswith("#")]


def whole_run(command: Sequence[str], output: Path) -> Run:
    run = Run(command, output)
    if run.wait() != 0:
        raise SystemExit(f"a run failed: {run.said}")
    return run


def killed_run(
    command: Sequence[str], folder: Path, aim: str, frame: int, after: float, frame_seconds: float, wanted: list[str]
) -> Kill | None:
    """Kill one run, not before ``frame``, and give its command again; None where it had ended before it was killed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    output = folder / "out.mp4"
    if aim == "restore":  # of a run that has something to restore
        Run(command, output).kill_when(lambda run: run.frame > 9)
    run = Run(command, output)
    if not run.kill_when(lambda run: run.frame >= frame and REACHED[aim](run), after):
        return None
    stage = "state" if run.writes_a_state() else run.stage
    finished = run.frame
    if output.exists() and frame_hashes(output) != wanted:
        raise SystemExit(f"something that is not whole was published: killed in {stage}")
    again = Run(command, output)
    nothing_left = again.wait() != 0 and output.exists() and "exists already" in again.said
    if again.status != 0 and not nothing_left:
        raise SystemExit(f"a run failed: {again.said}")
    restored = again.of_output[0]["restored"] if again.of_output else finished  # no line: it had been published
    redone = max(0, finished - restored)
    same = frame_hashes(output) == wanted and (nothing_left or os.listdir(folder) == [output.name])
    return Kill(aim, stage, finished, redone, redone * frame_seconds, same)


def kills(command: Sequence[str], folder: Path, count: int, seed: int) -> list[Kill]:
    """``count`` killed runs, one line each."""
    chance = random.Random(seed)
    reference = folder / "reference.mp4"
    first = whole_run(command, reference)
    wanted, frames = frame_hashes(reference), first.frame
    made: list[Kill] = []
    say(f"uninterrupted: {first.starting:.1f} s to start, {first.painting:.1f} s for {frames} frames and the rest")
    # How long after its beginning a stage is left alone: a moment, where it is short.
    longest = {"any time": first.painting, "starting": first.starting, "state": 0.002}
    for aim in ["any time"] * (count - count // 2) + [STAGES[i % len(STAGES)] for i in range(count // 2)]:
        # Every second run at a random moment writes a state once a second, all others after every frame: a run that is
        # over within a second would otherwise have no state to be caught at.
        seldom = aim == "any time" and len(made) % 2 == 1
        often = [*command, "--state-seconds", "1" if seldom else "0"]
        for _ in range(TRIES):
            frame = chance.randrange(frames // 2) if aim == "state" else 0
            after = chance.uniform(0, longest.get(aim, 0.02))
            kill = killed_run(often, folder / "killed", aim, frame, after, first.painting / frames, wanted)
            if kill is not None:
                break
        else:
            raise SystemExit(f"{TRIES} runs ended before they could be killed: {aim}")
        made.append(kill)
        say(f"{len(made):4} {aim:9} killed in {kill.stage:9} at frame {kill.frames:3}, {kill.redone:2} painted again, "
            f"{'the same' if kill.same else 'NOT THE SAME'}")  # fmt: skip
    return made


def killed_training(style: Path, output: Path, size: int, count: int, seed: int) -> list[float]:
    """Kill the training of ``style``'s network ``count`` times, each time at a random moment of its next
    ``TRAINING_SECONDS``, then let it end; the share that was done when each but the first went on."""
    chance, shares = random.Random(seed), list[float]()
    minutes = str(TRAINING_SECONDS * (count / 2 + 1) / 60)
    command = [str(style), "--minutes", minutes, "--size", str(max(192, size)), "--no-card"]
    for number in range(count):
        run = Run(command, output, "train")
        if not run.kill_when(lambda run: bool(run.lines), chance.uniform(0, TRAINING_SECONDS)):
            raise SystemExit(f"the training ended, status {run.status}, before it was killed: {run.said}")
        shares += [run.lines[0]["frame"] / 100] * bool(number)
        if output.exists():
            raise SystemExit("a network that is not whole was published")
    whole = Run(command, output, "train")
    if whole.wait() != 0 or not output.exists():
        raise SystemExit(f"the training failed: {whole.said}")
    say(f"a training killed {count} times went on at {', '.join(f'{share:.0%}' for share in shares)}, then ended")
    return shares


def changing_look(folder: Path, style: Path) -> Path:
    """A look with ten keys, two styles and a region with a mask painted on the first frame."""
    mask, look = folder / "mask.png", folder / "look.toml"
    drawn = ["-f", "lavfi", "-i", "color=black:size=64x48,drawbox=x=8:y=8:w=24:h=24:color=white:t=fill"]
    subprocess.run([ffmpeg_binary(), "-v", "error", "-y", *drawn, "-frames:v", "1", str(mask)], check=True)
    other = folder / "other.png"
    negative = ["-i", str(style), "-vf", "negate", "-frames:v", "1", str(other)]
    subprocess.run([ffmpeg_binary(), "-v", "error", "-y", *negative], check=True)
    look.write_text(
        f"""strength = [[0, 0.3], [0.2, 0.6, "smooth"], ["50%", 0.4], ["end", 0.7, "smooth"]]
colours = {{ of = "source", share = [[0, 0], ["end", 1]] }}

[[style]]
picture = "{style.name}"
weight = [[0.1, 1], [0.8, 0]]

[[style]]
picture = "{other.name}"
weight = [[0.1, 0], [0.8, 1]]

[[region]]
mask = "{mask.name}@0"
style = "{other.name}"
"""
    )
    return look


def given_frames(folder: Path, clip: Path) -> list[str]:
    """Options that give two frames, each its own negative."""
    words: list[str] = []
    for seconds in ("0.28", "0.68"):
        picture = folder / f"{seconds}.png"
        negative = ["-ss", seconds, "-i", str(clip), "-vf", "negate", "-frames:v", "1", str(picture)]
        subprocess.run([ffmpeg_binary(), "-v", "error", "-y", *negative], check=True, stdin=subprocess.DEVNULL)
        words += ["--keyframe", f"{seconds}={picture}"]
    return words


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Kill runs at random moments and give the same command again.")
    parser.add_argument("--kills", type=int, default=50, help="how many (default: %(default)s)")
    parser.add_argument("--size", type=int, default=64, help="longer side in pixels (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=24, help="of the clip (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--look", action="store_true", help="paint by a look that changes over time")
    parser.add_argument("--given", action="store_true", help="give two frames of the clip")
    parser.add_argument("--keyframes", default="auto", help="auto, a number or off (default: auto)")
    parser.add_argument("--quality", choices=("draft", "standard", "best"), help="paint with a network of the style")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip, style = generate(folder, arguments.size, arguments.frames)
        wanted = ["--look", str(changing_look(folder, style))] if arguments.look else ["--style", str(style)]
        command = [str(clip), *wanted, "--size", str(arguments.size), "--iterations", "8"]
        command += ["--keyframes", arguments.keyframes, *(given_frames(folder, clip) if arguments.given else [])]
        shares = list[float]()
        if arguments.quality:
            torch.hub.set_dir(str(folder / "hub"))
            network = folder / "style.safetensors"
            shares = killed_training(style, network, arguments.size, arguments.kills, arguments.seed)
            command += ["--quality", arguments.quality, "--network", str(network)]
        made = kills(command, folder, arguments.kills, arguments.seed)
    same, redone = sum(kill.same for kill in made), [kill.redone for kill in made]
    say(f"{same} of {len(made)} came out as the uninterrupted run")
    say(f"killed in: {', '.join(f'{stage} {n}' for stage, n in sorted(Counter(k.stage for k in made).items()))}")
    say(f"frames painted twice: {sum(redone)} in all, {max(redone)} at most after one kill")
    say(
        f"seconds lost: {sum(k.seconds_lost for k in made):.1f} in all, {max(k.seconds_lost for k in made):.2f} at most"
    )
    if arguments.json:
        settings = {name: str(value) for name, value in vars(arguments).items()}
        write_json(
            arguments.json,
            "runs that were killed",
            settings,
            {"kills": [asdict(kill) for kill in made], "training": shares},
        )
    return 0 if same == len(made) else 1


if __name__ == "__main__":
    raise SystemExit(main())
