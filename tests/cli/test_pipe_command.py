"""`videostyle pipe` as a program between two others: what goes where, how it ends, and the lines of its page."""

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest

from videostyle.cli.main import main
from videostyle.media.ffmpeg import find_ffmpeg
from videostyle.samples import sample

PAGE = Path(__file__).parents[2] / "docs" / "pipe.md"
QUICK = ["--size", "48", "--iterations", "3", "--min-iterations", "1", "--first-init", "palette", "--device", "cpu"]
COMMAND = [sys.executable, "-m", "videostyle", "pipe", "--style", str(sample("styles/brush.jpg")), *QUICK]
FRAME_BYTES = 48 * 28 * 3 // 2
EACH = FRAME_BYTES + len("FRAME\n")


def y4m(frames: int) -> bytes:
    command = [find_ffmpeg().path, "-v", "error", "-i", str(sample("clip.mp4")), "-s", "64x36"]
    command += ["-frames:v", str(frames), "-f", "yuv4mpegpipe", "-"]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def whole_frames(stream: bytes) -> float:
    """How many frames a y4m of 48 x 28 pixels holds."""
    header, newline, rest = stream.partition(b"\n")
    assert header.startswith(b"YUV4MPEG2 W48 H28 ") and newline
    return len(rest) / EACH


def painted(data: bytes, *options: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([*COMMAND, *options], input=data, capture_output=True, timeout=250)


def test_a_stream_is_painted_and_told_on_standard_error() -> None:
    done = painted(y4m(5), "--progress", "json")
    assert done.returncode == 0 and whole_frames(done.stdout) == 5
    *lines, last = done.stderr.decode().splitlines()
    assert last.startswith("5 frames in ")
    told = [json.loads(line) for line in lines if line.startswith("{")]
    assert {t["stage"] for t in told} == {"pipe"} and told[-1]["frame"] == 5 and told[-1]["frames"] is None


def test_one_that_breaks_off_is_painted_as_far_as_it_goes() -> None:
    done = painted(y4m(5)[:-100], "--quiet")
    assert done.returncode == 1 and whole_frames(done.stdout) == 4
    assert done.stderr.decode() == "videostyle: standard input broke off after 4 frames\n"


def test_a_reader_that_goes_ends_it() -> None:
    with subprocess.Popen([*COMMAND, "--quiet"], stdin=-1, stdout=-1, stderr=-1) as run:
        assert run.stdin is not None and run.stdout is not None and run.stderr is not None
        run.stdin.write(y4m(16))
        run.stdin.close()
        run.stdout.read(100)
        run.stdout.close()
        said = run.stderr.read().decode()
        assert run.wait(60) == 1
    assert said.startswith("videostyle: whoever reads standard output has gone; ") and said.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("waits", [True, False])
def test_a_signal_ends_it_after_a_frame(number: int, status: int, waits: bool) -> None:
    """``waits``: for input that does not come."""
    slow = [] if waits else ["--iterations", "200", "--min-iterations", "200"]
    options = ["--no-shots", "--keyframes", "off", *slow]
    with subprocess.Popen([*COMMAND, *options], stdin=-1, stdout=-1, stderr=-1) as run:
        assert run.stdin is not None and run.stdout is not None and run.stderr is not None
        run.stdin.write(y4m(12))
        run.stdin.flush()  # and stays open
        stream = run.stdout.read(100 + (7 * EACH if waits else 0))
        run.send_signal(number)
        stream += run.stdout.read()
        said = run.stderr.read().decode()
        assert run.wait(60) == status
    frames = whole_frames(stream)
    assert frames == int(frames) and (8 <= frames <= 12 if waits else 1 <= frames < 12)
    assert said.splitlines()[-1] == f"videostyle: stopped; the stream ends after {frames:.0f} frames"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--style", "a.jpg", "--style", "b.jpg"], "several in one are --blend"),
        ([], "no style was given"),
        (["--style", "a.jpg", "--audio", "none"], "unrecognized arguments: --audio"),
        (["--style", "a.jpg", "--start", "3"], "unrecognized arguments: --start"),
        (["--style", "a.jpg", "--restart"], "unrecognized arguments: --restart"),
        (["--style", "a.jpg"], "standard input is a terminal; expected a pipe"),
    ],
)
def test_what_cannot_be_is_one_line(
    options: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert main(["pipe", *options]) == 2
    out, err = capsys.readouterr()
    assert words in err and err.count("\n") == 1 and not out


def test_a_terminal_is_no_place_for_a_stream(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["pipe", "--style", "a.jpg"]) == 2
    assert "standard output is a terminal" in capsys.readouterr().err


def test_what_is_no_stream_is_one_line() -> None:
    done = painted(b"hello", "--quiet")
    assert (done.returncode, done.stdout) == (2, b"") and done.stderr.count(b"\n") == 1
    assert b"expected y4m or NUT" in done.stderr


LINES = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if " | videostyle pipe " in line]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the page's lines name. ffmpeg and videostyle are the real ones; ffmpeg stands in for mpv and
    vspipe: it reads and writes what they do."""
    folder = tmp_path_factory.mktemp("page")
    ffmpeg = f"{shlex.quote(find_ffmpeg().path)} -nostdin -v error -y"
    scripts = {
        "ffmpeg": f'{ffmpeg} "$@"',
        "mpv": f"{ffmpeg} -i - -c:v ffv1 shown.mkv",
        "vspipe": f"{ffmpeg} -i in.mp4 -f yuv4mpegpipe -",
        "videostyle": f'{shlex.quote(sys.executable)} -m videostyle "$@" {shlex.join(QUICK)}',
    }
    (folder / "bin").mkdir()
    for name, line in scripts.items():
        script = folder / "bin" / name
        script.write_text(f"#!/bin/sh\nexec {line}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    made = [
        ("in.mp4", "-i {clip} -t 0.25 -c:a aac"),
        ("in.mkv", "-i {clip} -t 0.25 -vf select=not(eq(n\\,2)) -fps_mode passthrough -an"),
        ("in.mov", "-i {clip} -t 0.25 -c:v prores_ks -pix_fmt yuv422p10le -an"),
    ]
    for name, line in made:
        words = line.format(clip=sample("clip.mp4")).replace("\\\\", "\\").split()
        subprocess.run([find_ffmpeg().path, "-v", "error", *words, folder / name], check=True, timeout=60)
    (folder / "starry_night.jpg").symlink_to(sample("styles/brush.jpg"))
    return folder


def pictures(path: Path) -> Sequence[Fraction]:
    with av.open(str(path)) as container:
        found = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    return [moment - found[0] for moment in found]


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_line_of_the_page_runs(line: str, programs: Path) -> None:
    """As it stands, but for the network of a draft, which would be trained for a minute."""
    line = line.replace(" --quality draft", "")
    environment = os.environ | {"PATH": f"{programs / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=programs, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    words = line.split()
    source = next((word for word in words if word.startswith("in.")), "in.mp4")
    output = "shown.mkv" if words[-2] == "mpv" else words[-1]
    wanted, found = pictures(programs / source), pictures(programs / output)
    assert len(wanted) >= 5 and len(found) == len(wanted)
    assert max(abs(a - b) for a, b in zip(wanted, found, strict=True)) <= Fraction(1, 1000)
    with av.open(str(programs / output)) as container:
        assert bool(container.streams.audio) == ("-c:a" in words)


def test_the_page_has_lines() -> None:
    assert len(LINES) >= 6 and {"mpv", "vspipe"} <= {word for line in LINES for word in line.split()}
