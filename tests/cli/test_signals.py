"""Ctrl-C and SIGTERM: the first finishes the frame, the second stops at once, both say how to go on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from videostyle.cli.main import main
from videostyle.cli.signals import InterruptedRunError, Interrupts
from videostyle.errors import StoppedError
from videostyle.samples import sample

COMMAND = [
    "video",
    str(sample("clip.mp4")),
    "--style",
    str(sample("styles/brush.jpg")),
    "--size",
    "48",
    "-o",
    "out.mp4",
]
COMMAND += ["--iterations", "20", "--min-iterations", "20", "--duration", "2", "--progress", "json"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request(number: int) -> None:
    asked: list[int] = []
    before = signal.getsignal(number)
    with pytest.raises(InterruptedRunError) as ended, Interrupts(lambda: asked.append(1)) as interrupts:
        interrupts.watch("stylise")
        assert not interrupts.should_stop()
        os.kill(os.getpid(), number)
        assert interrupts.should_stop() and asked == [1]
        raise StoppedError("3 frames are finished")
    assert (str(ended.value), ended.value.number) == ("3 frames are finished", number)
    assert signal.getsignal(number) == before


def test_the_second_one_is_an_order() -> None:
    with pytest.raises(InterruptedRunError, match="the same command goes on"), Interrupts(lambda: None) as interrupts:
        interrupts.watch("stylise")
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("stage", ["restore", "encode", "verify"])
def test_where_no_frame_is_painted_the_first_one_is_obeyed(stage: str) -> None:
    with pytest.raises(InterruptedRunError, match="the same command goes on"), Interrupts(lambda: None) as interrupts:
        interrupts.watch(stage)
        os.kill(os.getpid(), signal.SIGTERM)


def test_before_the_first_frame_nothing_is_there() -> None:
    with pytest.raises(InterruptedRunError, match="nothing was written"), Interrupts(lambda: None):
        os.kill(os.getpid(), signal.SIGINT)


def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="x"), Interrupts(lambda: None):
        raise ValueError("x")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_finishes_its_frame_and_goes_on_later(
    tmp_path: Path, number: int, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "videostyle", *COMMAND]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if '"frame": 3' in line:
                break
        run.send_signal(number)
        said = run.stderr.read()
        assert run.wait(60) == status
    assert "once more stops at once" in said and "the same command goes on from there" in said
    assert os.listdir(tmp_path) == ["out.mp4.videostyle"]
    assert main(COMMAND) == 0
    assert '"restored": 0' not in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["out.mp4"]
