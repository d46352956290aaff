"""One studio for the tests of a file that leave it as it was, and one of a test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the studio needs its extra: pip install 'videostyle[studio]'")
pytest.importorskip("uvicorn", reason="the studio needs its extra: pip install 'videostyle[studio]'")

from studio_server import StudioServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioServer]:
    made = StudioServer(tmp_path_factory.mktemp("studio") / "work", "--largest", "0.01")
    made.client.get(f"media/{made.named('clip.mp4')}")  # what it does by itself when it begins is done then
    yield made
    assert made.close() == ""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[StudioServer]:
    made = StudioServer(tmp_path / "own")
    yield made
    if made.process.poll() is None:
        made.close()
