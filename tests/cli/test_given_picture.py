"""A picture through standard input, as `videostyle image -` reads it."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from videostyle.cli.given_picture import given_picture
from videostyle.cli.main import main
from videostyle.media.still import read_picture
from videostyle.samples import sample

QUICK = ["--size", "64", "--iterations", "2", "--min-iterations", "1"]


def test_a_piped_picture_is_painted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "videostyle", "image", "-", "--style", str(sample("styles/brush.jpg")), *QUICK]
    with sample("photo.jpg").open("rb") as photo:
        done = subprocess.run([*command, "--record", "run.json"], stdin=photo, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert max(read_picture(tmp_path / "stdin-brush.png").shape) == 64
    assert json.loads((tmp_path / "run.json").read_text())["source"]["file"] == "stdin"


def test_what_is_no_picture_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"just a text " * 9)))
    assert main(["image", "-", "--style", str(sample("styles/brush.jpg")), *QUICK, "-o", "never.png"]) == 2
    assert "stdin is not a picture" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stdin", [Terminal(), None])
def test_nothing_piped_in(stdin: io.StringIO | None, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["image", "-", "--style", str(sample("styles/brush.jpg"))]) == 2
    assert "nothing is piped in; try: videostyle image - --style IMG" in capsys.readouterr().err


def test_the_copy_goes_and_other_names_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"whole")))
    with given_picture("-") as copy:
        assert Path(copy).read_bytes() == b"whole"
    assert not Path(copy).parent.exists()
    with given_picture("photo.jpg") as named:
        assert named == "photo.jpg"
