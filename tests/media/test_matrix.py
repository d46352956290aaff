"""The media matrix of scripts/benchmark/media.py, as tests: every kind of clip through `--passthrough`."""

from pathlib import Path

import media
import media_files
import pytest

from videostyle.media import ffmpeg


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return media_files.make(tmp_path_factory.mktemp("matrix"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kinds", ["601", "709", "2020", "sound-", "subtitles", "turned mirrored", "hlg pq rgb alpha", "rest"]
)
def test_matrix(kinds: str, made: dict[str, Path], tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    known = ("601", "709", "2020", "sound-", "subtitles", "turned", "mirrored", "hlg", "pq", "rgb", "alpha")
    wanted = tuple(kinds.split())
    rows = [
        media.check(path, suffix, tmp_path)
        for name, path in made.items()
        if (not name.startswith(known) if kinds == "rest" else name.startswith(wanted))
        for suffix in media.outputs(path)
    ]
    assert rows and not [row.line() for row in rows if row.problems]


@pytest.mark.slow
def test_what_the_matrix_would_see(made: dict[str, Path], tmp_path: Path) -> None:
    """A refused file and one that is whole; and the comparison notices a clip that is another one."""
    assert not media.check(made["garbage.mp4"], ".mp4", tmp_path).problems
    row = media.Row("plain.mp4", ".mp4")
    media.compare(row, media.probe(made["plain.mp4"]), made["variable.mkv"])
    assert "times" in row.problems and "audio streams" in row.problems
