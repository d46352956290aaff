"""What the tests of many workers share: a clip of five shots, and its frames as one process paints them."""

from pathlib import Path

import pytest

from videostyle.pipeline.request import Request
from videostyle.samples import sample
from videostyle.settings import MediaSettings, RunSettings, Settings


def five_shots(folder: Path, **media) -> Request:
    """A request of five shots, of 48 pixels and three evaluations a frame."""
    asked = MediaSettings(**{"size": 48, "duration_seconds": 0.8, "cuts": (0.1, 0.3, 0.35, 0.6)} | media)
    settings = Settings(iterations=3, history_size=2)
    style = sample("styles/brush.jpg")
    return Request("video", sample("clip.mp4"), style, folder / "out.mp4", settings, asked, RunSettings(state_seconds=0.0))


@pytest.fixture
def request_of_five_shots(tmp_path: Path) -> Request:
    return five_shots(tmp_path)
