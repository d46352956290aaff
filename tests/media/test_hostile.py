"""Damaged and malicious files: frames or one line, and never a hang, a crash or a child left behind."""

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from media_tools import PICTURES, MakeClip, running_ffmpegs
from test_still import mutated

from videostyle.errors import VideoStyleError
from videostyle.media import ffmpeg, survey
from videostyle.media.decode import Decoder
from videostyle.media.probe import probe

KINDS = {
    "mp4": ("-c:v", "libx264"), "mkv": ("-c:v", "ffv1"), "webm": ("-c:v", "libvpx", "-deadline", "realtime"),
    "avi": ("-c:v", "mpeg4"), "ts": ("-c:v", "mpeg2video"), "mov": ("-c:v", "prores_ks"), "gif": (),
    "flv": ("-c:v", "flv"),
}  # fmt: skip


EACH = 175  # mutations of every kind of clip; with the pictures of test_still.py more than 2,000 in all

# The survey of `survey.py` for one file after the other, in one process: what a mutation costs is not Python's start.
SERVER = """
import json, runpy, sys
survey = runpy.run_path(sys.argv[1])
for line in sys.stdin:
    try:
        answer = survey["survey_clip"](line[:-1])
    except Exception as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""


class Surveyor:
    """Stands in for `read_survey`; a process that a file crashed is replaced, as every file's own would have been."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def __call__(self, path: Path, *_: str, seconds: float) -> dict[str, Any]:
        if self.process is None:
            arguments = [sys.executable, "-P", "-c", SERVER, survey.__file__]
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        watchdog = threading.Timer(seconds, self.process.kill)
        watchdog.start()
        answer = self.process.stdout.readline()
        watchdog.cancel()
        if answer:
            found: dict[str, Any] = json.loads(answer)
            return found
        return {"error": f"the reader stopped with status {self.close()}"}

    def close(self) -> int:
        if self.process is None:
            return 0
        process, self.process = self.process, None
        assert process.stdin and process.stdout
        process.stdin.close()
        process.stdout.close()
        return process.wait(60)


def children() -> set[str]:
    """The processes that this one has started and that still run."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.add(stat.parent.name)
    return found


def read_all(path: Path) -> int | None:
    """Frames of the clip, None if it is refused; the refusal is one line."""
    try:
        with Decoder(probe(path), size=(32, 24), threads=1) as decoder:
            return sum(1 for _ in decoder)
    except VideoStyleError as error:
        assert "\n" not in str(error)
        return None


def read_mutated(clip: Path, folder: Path, count: int) -> list[int | None]:
    """Every mutation of a clip, from a fixed seed."""
    content, generator = clip.read_bytes(), random.Random(clip.name)
    outcomes = []
    for _ in range(count):
        path = folder / f"mutated{clip.suffix}"
        path.write_bytes(mutated(content, generator))
        outcomes.append(read_all(path))
        assert not running_ffmpegs()
    return outcomes


@pytest.mark.slow
def test_a_few_mutated_clips(make_clip: MakeClip, tmp_path: Path) -> None:
    before = children()
    outcomes = []
    for suffix, options in KINDS.items():
        outcomes += read_mutated(make_clip(f"to_mutate.{suffix}", *PICTURES, *options), tmp_path, 2)
    assert any(outcomes) and children() <= before


@pytest.mark.slow
@pytest.mark.parametrize("suffix", KINDS)
def test_many_mutated_clips(suffix: str, make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    surveyor, before = Surveyor(), children()
    monkeypatch.setattr("videostyle.media.probe.read_survey", surveyor)
    try:
        outcomes = read_mutated(make_clip(f"to_mutate.{suffix}", *PICTURES, *KINDS[suffix]), tmp_path, EACH)
    finally:
        surveyor.close()
    assert len(outcomes) == EACH and any(outcomes) and children() <= before


def test_metadata_that_is_no_utf8(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip("titled.avi", *PICTURES, "-c:v", "mpeg4", "-metadata", "title=abcdefgh")
    path = tmp_path / "latin.avi"
    path.write_bytes(clip.read_bytes().replace(b"abcdefgh", b"Gr\xfc\xdfe \xe9!"))
    assert read_all(path) == 25


def test_a_change_of_size_and_format_in_the_middle(make_clip: MakeClip, tmp_path: Path) -> None:
    small = make_clip("small.ts", "-f", "lavfi", "-i", "testsrc2=s=64x48:d=1", "-c:v", "mpeg2video")
    large = make_clip(
        "large.ts", "-f", "lavfi", "-i", "testsrc2=s=96x80:d=1", "-c:v", "mpeg2video", "-output_ts_offset", "1"
    )
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with Decoder(probe(both)) as decoder:
        assert {frame.size for frame in decoder} == {(64, 48)}
    assert decoder.frames >= 48


@pytest.mark.parametrize("deep", [False, True])
def test_a_change_of_shape_in_the_middle(
    deep: bool, make_clip: MakeClip, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg
) -> None:
    """A phone that is turned: the tall pictures keep their shape and are laid on black."""
    kind = ("-c:v", "libx264", "-pix_fmt", "yuv420p10le") if deep else ("-c:v", "mpeg2video")
    white = "color=white:r=25:d=0.4"
    wide = make_clip(f"wide{deep}.ts", "-f", "lavfi", "-i", f"{white}:s=96x48", *kind)
    tall = make_clip(f"tall{deep}.ts", "-f", "lavfi", "-i", f"{white}:s=48x96", *kind, "-output_ts_offset", "0.4")
    both = tmp_path / "both.ts"
    both.write_bytes(wide.read_bytes() + tall.read_bytes())
    with Decoder(probe(both)) as decoder:
        frames = [frame.pixels for frame in decoder]
    assert frames[0].min() > 0.95 and frames[0].shape[2:] == (48, 96)
    last = frames[-1][0].mean(0)
    assert last[:, 40:56].min() > 0.9 and last[:, :32].max() < 0.1 and last[:, 64:].max() < 0.1
