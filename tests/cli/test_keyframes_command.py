"""The command that writes frames to paint: what it prints, refuses and leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from videostyle.cli.main import main
from videostyle.cli.signals import InterruptedRunError, Interrupts
from videostyle.errors import StoppedError
from videostyle.media.still import read_picture
from videostyle.samples import sample

CLIP = str(sample("clip.mp4"))
SHORT = ["--size", "64", "--duration", "0.3"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pictures_and_how_to_give_them_back(here: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["keyframes", CLIP, "-o", "keys/", *SHORT]) == 0
    assert [p.name for p in (here / "keys").iterdir()] == ["clip-0000.000s.png"]
    assert read_picture(here / "keys" / "clip-0000.000s.png").shape == (1, 3, 36, 64)
    first, last = capsys.readouterr().out.splitlines()
    assert first == "keys/clip-0000.000s.png: 0.000 s, 100% of it new"
    assert last.endswith(f"videostyle video {CLIP} --size 64 --keyframe keys/")


def test_its_default_folder_and_a_name_with_spaces(here: Path, capsys: pytest.CaptureFixture[str]):
    (here / "my clip.mp4").symlink_to(CLIP)
    assert main(["keyframes", "my clip.mp4", "--start", "1", *SHORT]) == 0
    assert re.search(r"--keyframe 'my clip-keyframes/'$", capsys.readouterr().out)
    (only,) = (here / "my clip-keyframes").iterdir()
    assert only.name == "my clip-0001.000s.png"


def test_shots_are_those_that_are_given(here: Path):
    common = ["keyframes", CLIP, "--size", "64", "--duration", "0.4", "--quiet"]
    assert main([*common, "-o", "two", "--cuts", "0.2"]) == main([*common, "-o", "one", "--no-shots"]) == 0
    assert [len(list((here / name).iterdir())) for name in ("two", "one")] == [2, 1]


def test_quiet_prints_nothing_and_json_is_for_programs(capsys: pytest.CaptureFixture[str]):
    assert main(["keyframes", CLIP, *SHORT, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["keyframes", CLIP, *SHORT, "--overwrite", "--progress", "json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert told and told[0]["stage"] == "choose" and told[0]["frame"] == 1


def test_what_it_refuses_in_one_line(here: Path, capsys: pytest.CaptureFixture[str]):
    (here / "keys").mkdir()
    (here / "keys" / "painted.png").write_bytes(b"mine")
    for words, arguments in {
        "holds files already .painted.png.": [CLIP, "-o", "keys/"],
        "does not exist|no such|not found|is not there": ["missing.mp4"],
        "size": [CLIP, "--size", "3"],
        "unrecognized": [CLIP, "--crf", "3"],
    }.items():
        assert main(["keyframes", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert re.match(f"videostyle: .*({words})", line, re.IGNORECASE), line
    assert [p.name for p in here.rglob("*.png")] == ["painted.png"]


def test_a_black_clip_has_nothing_to_paint(here: Path, capsys: pytest.CaptureFixture[str]):
    from videostyle.media.ffmpeg import find_ffmpeg

    black = ["-f", "lavfi", "-i", "color=black:size=64x48:rate=10:duration=0.5", "black.mp4"]
    subprocess.run([find_ffmpeg().path, "-v", "error", *black], check=True, timeout=60)
    assert main(["keyframes", "black.mp4"]) == 0
    assert "nothing to paint" in capsys.readouterr().err
    assert not (here / "black-keyframes").exists()


def test_the_first_signal_is_a_request_and_the_second_says_what_is_left():
    with pytest.raises(InterruptedRunError, match="1 of"), Interrupts(lambda: None) as interrupts:
        interrupts.watch("choose")
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.should_stop()
        raise StoppedError("1 of the pictures")
    with pytest.raises(InterruptedRunError, match="are whole"), Interrupts(lambda: None) as interrupts:
        interrupts.watch("choose")
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.skipif(os.name != "posix", reason="signals of another kind")
def test_ctrl_c_leaves_whole_pictures(here: Path):
    command = [sys.executable, "-m", "videostyle", "keyframes", CLIP, "--size", "320", "--progress", "json"]
    command += ["--cuts", "0.05,0.1,0.15,0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        folder = here / "clip-keyframes"
        assert run.stderr is not None
        for _ in run.stderr:  # a line a second at most
            if folder.is_dir() and any(folder.glob("*.png")):
                run.send_signal(signal.SIGINT)
                break
        _, said = run.communicate(timeout=120)
    assert run.returncode in (0, 130) and "Traceback" not in said
    found = list(folder.iterdir())
    assert found and all(re.fullmatch(r"clip-\d{4}\.\d{3}s\.png", p.name) for p in found)
    assert all(read_picture(p).shape == (1, 3, 180, 320) for p in found)
