"""Several clips and styles: each by itself, failures named at the end, what is there skipped the next time."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from videostyle.cli.main import main
from videostyle.errors import StoppedError, UsageError
from videostyle.pipeline import batch
from videostyle.pipeline.request import Request
from videostyle.samples import sample
from videostyle.settings import MediaSettings, RunSettings, Settings

QUICK = ["--size", "48", "--iterations", "2", "--min-iterations", "1", "--duration", "0.1"]
STYLE, OTHER = str(sample("styles/brush.jpg")), str(sample("styles/woodcut.jpg"))


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A clip, garbage, and another clip."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(sample("clip.mp4"), "a.mp4")
    Path("bad.mp4").write_bytes(b"no clip\n" * 99)
    shutil.copy(sample("clip.mp4"), "b.mp4")
    return ["a.mp4", "bad.mp4", "b.mp4"]


def test_one_failure_does_not_stop_the_others(clips: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    command = ["video", *clips, "--style", STYLE, *QUICK, "-o", "made/new"]
    assert main(command) == 1
    assert sorted(os.listdir("made/new")) == ["a-brush.mp4", "b-brush.mp4"]
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "2 made, 0 there already, 1 failed"
    assert said.err.splitlines()[-1].startswith("videostyle: made/new/bad-brush.mp4: bad.mp4 cannot be read")
    before = {p.name: p.stat().st_mtime_ns for p in Path("made/new").iterdir()}
    assert main([c for c in command if c != "bad.mp4"]) == 0
    assert capsys.readouterr().out.splitlines() == ["0 made, 2 there already, 0 failed"]
    assert {p.name: p.stat().st_mtime_ns for p in Path("made/new").iterdir()} == before


@pytest.mark.slow
def test_every_clip_in_every_style(clips: list[str]) -> None:
    assert main(["video", "a.mp4", "--style", STYLE, "--style", OTHER, *QUICK, "--quiet", "-o", "made/"]) == 0
    assert sorted(os.listdir("made")) == ["a-brush.mp4", "a-woodcut.mp4"]


def test_what_is_for_one_clip_is_refused(clips: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--record", "x.json"], ["--preview"], ["--passthrough"]):
        assert main(["video", "a.mp4", "b.mp4", "--style", STYLE, *QUICK, *option]) == 2
        assert option[0] in capsys.readouterr().err
    assert sorted(os.listdir()) == ["a.mp4", "b.mp4", "bad.mp4"]


def test_names_that_would_meet_are_refused(tmp_path: Path) -> None:
    asked = Settings(), MediaSettings(), RunSettings()
    with pytest.raises(UsageError, match="would both become"):
        batch.requests_of(["x/a.mp4", "y/a.mov"], ["s.jpg"], tmp_path / "made", *asked)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made a folder"):
        batch.requests_of(["a.mp4"], ["s.jpg"], tmp_path / "file", *asked)
    assert os.listdir(tmp_path) == ["file"]


def test_a_bug_in_one_is_no_reason_to_stop_but_a_stop_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    request = Request("video", "a.mp4", "s.jpg", tmp_path / "a-s.mp4")

    def fail(error: Exception) -> None:
        def run(*_: Any) -> None:
            raise error

        monkeypatch.setattr(batch, "run", run)

    fail(RuntimeError("odd"))
    assert batch.run_item(request).problem == "RuntimeError: odd"
    fail(StoppedError("stopped"))
    with pytest.raises(StoppedError):
        batch.run_item(request)
