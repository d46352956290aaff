"""Completion in a shell: made from the parser, and understood by bash."""

import subprocess
import sys

import pytest

from videostyle.cli.main import main

COMPLETE = """
source ./completion
COMP_WORDS=({words} '{last}')
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_shtab_videostyle
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str]) -> str:
    pytest.importorskip("shtab", reason="makes the completion")
    with pytest.raises(SystemExit) as ended:
        main(["--print-completion", "bash"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
@pytest.mark.parametrize(
    ("words", "last", "expected"),
    [
        ("videostyle", "vi", {"video"}),
        ("videostyle video clip.mp4", "--style-s", {"--style-scale"}),
        ("videostyle video clip.mp4 --flow", "r", {"raft"}),
        ("videostyle image", "pho", {"photo.jpg"}),
        ("videostyle video clip.mp4 --style", "pho", {"photo.jpg"}),
        ("videostyle video clip.mp4 --size", "pho", {""}),
    ],
)
def test_bash_completes(script: str, words: str, last: str, expected: set[str], tmp_path) -> None:
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "completion").write_text(script)
    asked = COMPLETE.format(words=words, last=last)
    done = subprocess.run(["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True)
    assert set(done.stdout.splitlines()) == expected, done.stderr


def test_without_shtab_it_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "zsh"]) == 1
    assert "pip install 'videostyle[completion]'" in capsys.readouterr().err
