"""A run that follows a network's flow: the record names its weights, and a resumed run needs the same ones."""

import hashlib
from pathlib import Path

import pytest
import torch

from videostyle import MediaSettings, RunSettings, Settings, stylise_video
from videostyle.errors import StoppedError, UsageError, WeightsError
from videostyle.samples import sample

MEDIA = MediaSettings(size=48, duration_seconds=0.13)
CLIP, STYLE = sample("clip.mp4"), sample("styles/brush.jpg")


def settings(**more) -> Settings:
    few = {"backbone": "compact", "iterations": 2, "min_iterations": 1, "device": "cpu", "first_init": "content"}
    return Settings(**few | {"flow": "raft"} | more)


def weights(path: Path, seed: int) -> str:
    """A file of random weights."""
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(seed)
    torch.save(raft_small(weights=None, progress=False).state_dict(), path)
    return str(path)


def test_the_record_names_the_flow_and_its_weights(tmp_path):
    given = weights(tmp_path / "w.pth", 0)
    calls = []
    with pytest.raises(StoppedError):
        stylise_video(
            CLIP,
            STYLE,
            tmp_path / "out.mp4",
            settings(flow_weights=given),
            MEDIA,
            RunSettings(state_seconds=0),
            should_stop=lambda: calls.append(0) or len(calls) > 1,
        )
    with pytest.raises(UsageError, match="flow"):
        other = settings(flow_weights=weights(tmp_path / "other.pth", 1))
        stylise_video(CLIP, STYLE, tmp_path / "out.mp4", other, MEDIA)
    record = stylise_video(CLIP, STYLE, tmp_path / "out.mp4", settings(flow_weights=given), MEDIA).record
    digest = hashlib.sha256(Path(given).read_bytes()).hexdigest()
    assert record["flow_network"] == {"name": "raft_small", "sha256": digest}
    assert record["settings"]["flow"] == "raft"
    assert record["settings"]["flow_weights"] == "w.pth"


def test_missing_weights_are_told_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(WeightsError, match=r"RAFT-small's weights .* --download"):
        stylise_video(CLIP, STYLE, tmp_path / "out.mp4", settings(), MEDIA)
    assert list(tmp_path.iterdir()) == []
