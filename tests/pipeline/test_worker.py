"""What a worker asks of the engine."""

import io
import json

import pytest

from videostyle.errors import StoppedError
from videostyle.pipeline import worker
from videostyle.pipeline.picture import stylise_image
from videostyle.pipeline.request import Callbacks, Request, Result
from videostyle.samples import sample
from videostyle.settings import MediaSettings, Settings


def test_a_run_goes_on_after_an_upgrade(tmp_path, monkeypatch):
    """A job that was half painted by another release, or on other threads, needs no word of its owner."""
    asked: list[Request] = []

    def run(request: Request, callbacks: Callbacks) -> Result:
        asked.append(request)
        return Result(request.output, 8, 1.0)

    monkeypatch.setattr(worker, "run", run)
    said = io.StringIO()
    look = {"style": [{"picture": str(sample("styles/brush.jpg"))}]}
    message = {"number": 1, "kind": "video", "path": "clip.mp4", "look": look, "media": {}, "partial": False}
    made = worker.Worker(tmp_path, said)
    made._run(message | {"output": str(tmp_path / "x.mp4"), "record": str(tmp_path / "x.json")})
    assert json.loads(said.getvalue()) == {"number": 1, "result": {"frames": 8, "notices": []}}
    assert asked[0].run.resume_anyway and not asked[0].run.restart
    made._lock.close()


def test_a_picture_stops_between_two_evaluations(tmp_path):
    evaluations: list[int] = []
    with pytest.raises(StoppedError, match="begins it anew"):
        stylise_image(
            sample("photo.jpg"),
            sample("styles/brush.jpg"),
            tmp_path / "x.png",
            Settings(iterations=50, min_iterations=50),
            MediaSettings(size=48),
            on_progress=lambda progress: evaluations.append(progress.evaluation),
            should_stop=lambda: len(evaluations) >= 2,
        )
    assert evaluations == [1, 2] and not list(tmp_path.iterdir())
