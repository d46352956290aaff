"""Small clips made on the spot with whatever ffmpeg the package finds, so that every test runs offline."""

import subprocess
from pathlib import Path

import pytest
from media_tools import PICTURES, MakeClip

from videostyle.media import ffmpeg

TONE = ("-f", "lavfi", "-i", "sine=frequency=440:duration=1")


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    """`make_clip("name.mp4", *arguments)`: a clip made by ffmpeg's command line, once per session and name."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str, *arguments: str) -> Path:
        path = folder / name
        if not path.exists():
            command = [ffmpeg.find_ffmpeg().path, "-v", "error", "-nostdin", *arguments, ffmpeg.file_argument(path)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
        return path

    return make


@pytest.fixture(scope="session")
def plain(make_clip: MakeClip) -> Path:
    """25 frames of 96x64 in a second, with a tone."""
    return make_clip(
        "plain.mp4", *PICTURES, *TONE, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"
    )


@pytest.fixture(scope="session")
def silent(make_clip: MakeClip) -> Path:
    """The same without sound."""
    return make_clip("silent.mp4", *PICTURES, "-c:v", "libx264", "-pix_fmt", "yuv420p")


@pytest.fixture(params=["path", pytest.param("bundled", marks=pytest.mark.slow)])
def each_ffmpeg(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ffmpeg.Ffmpeg:
    """The ffmpeg on PATH and the one inside imageio-ffmpeg; skipped where both are the same."""
    found = ffmpeg.find_ffmpeg()
    if request.param == "bundled":
        bundled = ffmpeg.bundled()
        if bundled is None or bundled == found.path:
            pytest.skip("no second ffmpeg on this machine")
        monkeypatch.setenv(ffmpeg.OVERRIDE, bundled)
        found = ffmpeg.find_ffmpeg()
    return found
