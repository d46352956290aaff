"""Finding FFmpeg, and children that neither hang nor stay."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from videostyle.errors import MediaError
from videostyle.media import ffmpeg
from videostyle.media.ffmpeg import Child, clean, find_ffmpeg, has, run, version_number


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "number"),
    [("5.1.9-0+deb12u1", (5, 1)), ("n9.0.2-17-g2a571b6068", (9, 0)), ("4.4", (4, 4)), ("N-1234-gabc", (999, 0))],
)
def test_version(text: str, number: tuple[int, int]) -> None:
    assert version_number(text) == number


def test_an_old_one_on_path_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "ffmpeg", "echo ffmpeg version 4.4.2 Copyright")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv(ffmpeg.OVERRIDE, raising=False)
    if ffmpeg.bundled() is None:
        pytest.skip("needs imageio-ffmpeg's binary")
    assert find_ffmpeg().path == ffmpeg.bundled()


def test_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(ffmpeg.OVERRIDE, raising=False)
    monkeypatch.setattr(ffmpeg, "bundled", lambda: None)
    with pytest.raises(MediaError, match="pip install imageio-ffmpeg"):
        find_ffmpeg()
    monkeypatch.setenv(ffmpeg.OVERRIDE, str(tmp_path / "nothing"))
    with pytest.raises(MediaError, match="is not an ffmpeg"):
        find_ffmpeg()


def test_what_a_build_has() -> None:
    assert has(find_ffmpeg(), "encoders", "libx264") and has(find_ffmpeg(), "filters", "bwdif")
    assert not has(find_ffmpeg(), "encoders", "libx26") and not has(find_ffmpeg(), "filters", "libx264")


def test_a_noisy_child_does_not_block() -> None:
    """A megabyte of stderr is far more than a pipe holds; the last lines are kept."""
    code = "import sys\nfor n in range(20000): print('x' * 50, file=sys.stderr)\nprint('error: last', file=sys.stderr)"
    child = Child([sys.executable, "-c", code])
    assert child.wait(30) == 0
    assert child.last_words == "error: last" and child.line_count == 20_001 and len(child.lines) <= ffmpeg.KEPT_LINES
    child.close()


def test_deadline_and_close() -> None:
    child = Child([sys.executable, "-c", "import time; time.sleep(60)"])
    begin = time.monotonic()
    assert child.wait(0.2) != 0 and child.expired
    assert time.monotonic() - begin < 20
    child.close()
    child.close()
    assert child.process.poll() is not None


def test_run_is_bounded() -> None:
    with pytest.raises(MediaError, match="did not finish within 1 s"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], seconds=0.6)


def test_clean() -> None:
    assert clean("[mov,mp4 @ 0x55d0] [in#0 @ 0xabc] moov atom not found") == "moov atom not found"


def test_the_surveying_child_does_not_load_torch() -> None:
    code = (
        "import runpy, sys; from pathlib import Path\n"
        "runpy.run_path(sys.argv[1]); import av; assert 'torch' not in sys.modules and 'videostyle' not in sys.modules"
    )
    survey = Path(ffmpeg.__file__).with_name("survey.py")
    subprocess.run([sys.executable, "-c", code, str(survey)], check=True, timeout=60)
