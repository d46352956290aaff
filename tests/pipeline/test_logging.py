"""What a result's notices say, a program hears through the logger ``videostyle`` as well."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from videostyle.frames import StylisedFrame
from videostyle.pipeline.progress import Reporter
from videostyle.pipeline.video import copy_video
from videostyle.samples import sample
from videostyle.settings import MediaSettings


def test_notices_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="videostyle"):
        result = copy_video(sample("clip.mp4"), tmp_path / "a.gif", media=MediaSettings(size=32, duration_seconds=0.2))
    assert result.notices
    assert [record.getMessage() for record in caplog.records] == list(result.notices)
    assert all(record.name.startswith("videostyle.") for record in caplog.records)


def test_a_frame_that_looked_wrong_is_logged_when_it_comes(caplog: pytest.LogCaptureFixture) -> None:
    report = Reporter("stylise", 2, None)
    wrong = StylisedFrame(torch.zeros(1, 3, 4, 4), problem="it was black")
    report.frame(wrong)
    assert [record.getMessage() for record in caplog.records] == report.notices == ["frame 0: it was black"]


def test_nothing_is_printed_where_nobody_listens() -> None:
    code = "import videostyle, logging; logging.getLogger('videostyle.pipeline').warning('heard')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
