"""From a painting to its network, and what the pipeline does with one."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_networks import smooth_picture

from videostyle.cli.main import main
from videostyle.errors import StoppedError, UsageError
from videostyle.media.decode import decode
from videostyle.media.still import read_picture, write_picture
from videostyle.networks.style_network import Shape, StyleNetwork
from videostyle.networks.style_network_file import TrainedNetwork, load_network, save_network
from videostyle.pipeline import train as training
from videostyle.pipeline.job import open_stylizer
from videostyle.pipeline.request import Callbacks, Request
from videostyle.pipeline.run import run
from videostyle.pipeline.train import TrainRequest, train, training_pictures
from videostyle.samples import sample
from videostyle.settings import MediaSettings, RunSettings, Settings, TrainSettings
from videostyle.stylise.style_images import as_style
from videostyle.stylise.style_networks import NetworkKey, find_network, fingerprint

SHORT = TrainSettings(minutes=0.008, size=192, no_card=True)
SIZE = 64
MEDIA = MediaSettings(size=SIZE, duration_seconds=0.25)
KEY_SIZE = 64


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, small steps, no start."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr("videostyle.training.trainer.SIDE", 32)
    monkeypatch.setattr("videostyle.training.trainer.BATCH", 2)
    monkeypatch.setattr(training, "first_network", lambda: StyleNetwork(Shape(4, 8, 1)))
    monkeypatch.setattr(training, "training_pictures", lambda *_: [smooth_picture(64, 80, seed=i) for i in range(3)])


@pytest.fixture
def style(tmp_path: Path) -> Path:
    write_picture(tmp_path / "style.png", smooth_picture(70, 90, seed=8), overwrite=True)
    return tmp_path / "style.png"


@pytest.fixture
def network(style: Path) -> TrainedNetwork:
    """A network that is found for the style at this size."""
    torch.manual_seed(0)
    key = NetworkKey.of(as_style(read_picture(style)), Settings(), SIZE)
    made = TrainedNetwork(StyleNetwork(Shape(4, 8, 1)).eval(), key.style, key.settings, key.size)
    key.path.parent.mkdir(parents=True)
    save_network(key.path, made)
    return made


def frames(path: Path) -> np.ndarray:
    from videostyle.media.probe import probe

    return np.concatenate([f.pixels.numpy() for f in decode(probe(path))])


def test_a_network_is_trained_written_and_found(style, tmp_path):
    seen = []
    result = train(TrainRequest(style, tmp_path / "n.safetensors", training=SHORT), Callbacks(seen.append))
    assert result.network.training["steps"] == seen[-1].evaluation > 0 and seen[0].stage == "train"
    assert 0 <= seen[0].frame <= seen[-1].frame <= 100
    key = NetworkKey.of(as_style(read_picture(style)), Settings(), SHORT.size)
    found = find_network(key)
    assert found is not None and found.sha256 == load_network(tmp_path / "n.safetensors").sha256
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hub", "n.safetensors", "style.png"]


@pytest.mark.parametrize(("setting", "value"), [("style_weight", 7.0), ("style_layers", ("conv1_1",))])
def test_other_settings_or_sizes_are_another_network(style, network, setting, value):
    painting = as_style(read_picture(style))
    assert find_network(NetworkKey.of(painting, Settings(), SIZE)) is not None
    assert find_network(NetworkKey.of(painting, Settings(coherence=0.9), SIZE + 3)) is not None
    assert find_network(NetworkKey.of(painting, Settings(**{setting: value}), SIZE)) is None
    assert find_network(NetworkKey.of(painting, Settings(), 2 * SIZE)) is None
    other = as_style(smooth_picture(70, 90, seed=9))
    assert fingerprint(other) != fingerprint(painting)
    assert find_network(NetworkKey.of(other, Settings(), SIZE)) is None


def test_a_damaged_network_in_the_cache_counts_as_none(style, network):
    key = NetworkKey.of(as_style(read_picture(style)), Settings(), SIZE)
    key.path.write_bytes(key.path.read_bytes()[:-5])
    assert find_network(key) is None


def test_a_stopped_training_goes_on(style, tmp_path):
    output, long = tmp_path / "n.safetensors", SHORT.replace(minutes=10)
    steps, seen = iter([False, False, True, True]), []
    for number in (3, 4):
        with pytest.raises(StoppedError, match=f"stopped after {number} steps; the same command goes on"):
            train(TrainRequest(style, output, training=long), Callbacks(seen.append, should_stop=lambda: next(steps)))
        assert (tmp_path / "n.checkpoint").is_file() and not output.exists()
    assert [progress.evaluation for progress in seen] == [1, 2, 3, 4]
    train(TrainRequest(style, output, training=SHORT))
    assert output.is_file() and not (tmp_path / "n.checkpoint").exists()


@pytest.mark.parametrize(
    "what", ["damaged", *(pytest.param(what, marks=pytest.mark.slow) for what in ("other", "restart"))]
)
def test_a_checkpoint_that_does_not_fit_is_not_used(style, tmp_path, what):
    output, stop = tmp_path / "n.safetensors", Callbacks(should_stop=lambda: True)
    with pytest.raises(StoppedError):
        train(TrainRequest(style, output, training=SHORT), stop)
    settings, training = Settings(), SHORT
    if what == "damaged":
        (tmp_path / "n.checkpoint").write_bytes((tmp_path / "n.checkpoint").read_bytes()[:1000])
    elif what == "other":
        settings = Settings(style_weight=9.0)
    else:
        training = SHORT.replace(restart=True)
    seen = []
    train(TrainRequest(style, output, settings, training), Callbacks(seen.append))
    assert seen[0].evaluation == 1


def test_a_folder_that_is_not_there_is_refused_before_the_training(style, tmp_path):
    with pytest.raises(UsageError, match="its folder does not exist"):
        train(TrainRequest(style, tmp_path / "none" / "n.safetensors", training=SHORT))


@pytest.mark.slow
def test_the_material(tmp_path, monkeypatch):
    monkeypatch.undo()
    photos = tmp_path / "photos"
    with pytest.raises(UsageError, match="is no folder"):
        training_pictures((), photos, 64)
    photos.mkdir()
    with pytest.raises(UsageError, match="holds no pictures"):
        training_pictures((), photos, 64)
    write_picture(photos / "a.png", smooth_picture(100, 120), overwrite=True)
    (photos / "b.jpg").write_bytes(b"no picture")
    found = training_pictures((sample("clip.mp4"),), photos, 64)
    usual = 3 + 4 + 6
    assert len(found) == usual + 1 + 6
    assert all(max(p.shape[2:]) <= 128 and p.shape[:2] == (1, 3) for p in found)


def test_a_draft_is_painted_by_the_network_alone(style, network, tmp_path):
    result = run(Request("video", sample("clip.mp4"), style, tmp_path / "a.mp4", Settings(quality="draft"), MEDIA))
    assert result.frames == 6 and result.record["totals"]["evaluations"] == 0
    assert result.record["style_network"]["sha256"] == network.sha256
    assert {f["start"] for f in result.record["frames"]} == {"network"}


@pytest.mark.parametrize("quality", ["draft", pytest.param("standard", marks=pytest.mark.slow)])
def test_a_stopped_run_with_a_network_goes_on_to_the_bit(style, network, tmp_path, quality):
    settings = Settings(quality=quality)
    run(Request("video", sample("clip.mp4"), style, tmp_path / "a.mp4", settings, MEDIA))
    stopped = Request("video", sample("clip.mp4"), style, tmp_path / "b.mp4", settings, MEDIA, RunSettings())
    count: Iterator[bool] = iter([False, False, True])
    with pytest.raises(StoppedError):
        run(stopped, Callbacks(should_stop=lambda: next(count)))
    result = run(stopped)
    assert result.restored == 3
    assert np.array_equal(frames(tmp_path / "a.mp4"), frames(tmp_path / "b.mp4"))


OTHER_STARTS = (({"quality": "best"}, "network"), ({}, "network"), ({"first_init": "content"}, "content"))


@pytest.mark.parametrize(
    ("asked", "start"),
    [({"quality": "standard"}, "network"), *(pytest.param(*case, marks=pytest.mark.slow) for case in OTHER_STARTS)],
)
def test_the_network_starts_the_frames(style, network, tmp_path, asked, start):
    settings = Settings(**asked, iterations=3)
    result = run(Request("video", sample("clip.mp4"), style, tmp_path / "a.mp4", settings, MEDIA))
    first, *between, last = (f["start"] for f in result.record["frames"])
    assert (first, last) == (start, "warped") and set(between) <= {"warped", "between"} and len(between) == 4
    assert result.record["totals"]["evaluations"] > 0
    assert ("style_network" in result.record) == (start == "network")


def test_from_the_network_fewer_evaluations_reach_a_shots_target(style, network):
    evaluations = {}
    for first_init in ("auto", "content"):
        stylizer = open_stylizer(style, Settings(first_init=first_init, device="cpu"), (SIZE, SIZE))
        evaluations[stylizer.first_init] = stylizer.target_evaluations(torch.zeros(1, 3, SIZE, SIZE))
    assert evaluations == {"network": 30, "content": 45}
    assert stylizer.target_evaluations(torch.zeros(1, 3, 256, 256)) == 11  # large forms are painted first


def test_auto_starts_with_a_network_that_is_there(style, network, tmp_path):
    """Without a network of the style it is the start from the style's colours, bit for bit."""
    made = {}
    for name, init, there in (("with", "auto", True), ("palette", "palette", True), ("without", "auto", False)):
        if not there:
            NetworkKey.of(as_style(read_picture(style)), Settings(), SIZE).path.unlink()
        settings = Settings(first_init=init, iterations=3, device="cpu")
        output = tmp_path / f"{name}.png"
        record = run(Request("image", sample("photo.jpg"), style, output, settings, MEDIA)).record
        made[name] = (record["frames"][0]["start"], read_picture(output))
    assert [made[name][0] for name in ("with", "palette", "without")] == ["network", "palette", "palette"]
    assert torch.equal(made["palette"][1], made["without"][1])
    assert not torch.equal(made["palette"][1], made["with"][1])


def test_a_long_clip_is_worth_a_training(style, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "TrainSettings", lambda: SHORT)
    monkeypatch.setattr(training, "WORTH_PIXELS", 6 * 64 * 36)
    given = ["video", str(sample("clip.mp4")), "--style", str(style), "--size", "64", "--iterations", "2"]
    given += ["--device", "cpu", "--min-iterations", "1"]
    for name, duration, start in (("short", "0.2", "palette"), ("long", "0.25", "network")):
        record = tmp_path / f"{name}.json"
        assert main([*given, "--duration", duration, "-o", f"{tmp_path}/{name}.mp4", "--record", str(record)]) == 0
        assert json.loads(record.read_text())["frames"][0]["start"] == start
        said = capsys.readouterr().err
        assert ("no network yet" in said) == (start == "network")
    assert "for a clip of 6 frames" in said


def test_what_is_worth_a_training():
    def worth(frames, backbone="compact", accelerated=False, size=(512, 288)):
        stylizer = SimpleNamespace(
            machine=SimpleNamespace(accelerated=accelerated),
            backbone=SimpleNamespace(name=backbone),
            finer_octaves=lambda width, height: round(math.log2(width / 256)),
        )
        return training.worth_training(stylizer, size, frames)

    assert worth(3600) and not worth(1200) and worth(1200, "vgg19")
    assert worth(1800, size=(720, 404)) and not worth(1800)  # painted at 360 and 256 pixels
    assert not worth(None) and not worth(10**6, accelerated=True)


@pytest.mark.slow
def test_a_network_is_written_for_other_programs(style, tmp_path, capsys):
    """With --export alone a network that is in the cache is not trained again."""
    settings, exported = Settings(device="cpu"), tmp_path / "a.onnx"
    first = train(TrainRequest(style, None, settings, SHORT, exported))
    assert exported.stat().st_size > 10_000 and first.seconds > 0
    exported.unlink()
    again = train(TrainRequest(style, None, settings, SHORT, exported))
    assert exported.is_file() and again.seconds == 0 and again.output == exported
    with pytest.raises(UsageError, match="folder does not exist"):
        train(TrainRequest(style, None, settings, SHORT, tmp_path / "no" / "a.onnx"))


def test_standard_takes_few_evaluations_unless_told():
    few = Settings(quality="standard").with_quality()
    assert (few.iterations, few.iterations_floor) == (20, 2)
    assert Settings(quality="standard", iterations=1).with_quality().iterations_floor == 1
    assert Settings(quality="standard", iterations=40).with_quality().iterations == 40
    assert Settings(quality="best").with_quality().iterations == Settings().iterations
    assert Settings().with_quality() == Settings()


def test_a_network_that_nothing_uses_is_refused():
    with pytest.raises(UsageError, match="nothing starts from it; add --quality"):
        Settings(network="n.safetensors", first_init="content")
    assert Settings(network="n.safetensors").uses_network
    assert not Settings().uses_network and Settings().may_use_network
    assert Settings(network="n.safetensors", first_init="network").uses_network


def test_a_picture_in_draft_quality(style, network, tmp_path):
    run(Request("image", sample("photo.jpg"), style, tmp_path / "a.png", Settings(quality="draft"), MEDIA))
    content = read_picture(sample("photo.jpg"), longest=SIZE)
    with torch.no_grad():
        expected = load_network(NetworkKey.of(as_style(read_picture(style)), Settings(), SIZE).path).network(content)
    assert (read_picture(tmp_path / "a.png") - expected).abs().max() < 0.05  # bf16 where that is fast


def test_a_network_that_is_not_there_is_trained_first(style, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "TrainSettings", lambda: SHORT)
    seen = []
    request = Request("image", sample("photo.jpg"), style, tmp_path / "a.png", Settings(quality="draft"), MEDIA)
    run(request, Callbacks(seen.append))
    assert [p.stage for p in seen].count("train") == len(seen) - 1
    seen.clear()
    run(
        Request("image", sample("photo.jpg"), style, tmp_path / "b.png", request.settings, MEDIA),
        Callbacks(seen.append),
    )
    assert [p.stage for p in seen] == ["stylise"]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.slow
def test_a_given_network_must_be_of_the_style(style, network, tmp_path):
    other = tmp_path / "other.png"
    write_picture(other, smooth_picture(70, 90, seed=9), overwrite=True)
    path = tmp_path / "n.safetensors"
    save_network(path, network)
    settings = Settings(quality="draft", network=str(path))
    run(Request("image", sample("photo.jpg"), style, tmp_path / "a.png", settings, MEDIA))
    with pytest.raises(UsageError, match="trained for another picture"):
        run(Request("image", sample("photo.jpg"), other, tmp_path / "b.png", settings, MEDIA))


@pytest.mark.slow
def test_a_run_with_another_network_is_refused(style, network, tmp_path):
    settings = Settings(quality="draft")
    request = Request("video", sample("clip.mp4"), style, tmp_path / "a.mp4", settings, MEDIA)
    with pytest.raises(StoppedError):
        run(request, Callbacks(should_stop=lambda: True))
    key = NetworkKey.of(as_style(read_picture(style)), Settings(), SIZE)
    torch.manual_seed(1)
    save_network(key.path, TrainedNetwork(StyleNetwork(Shape(4, 8, 1)), key.style, key.settings, key.size))
    with pytest.raises(UsageError, match="network style_network was"):
        run(request)


@pytest.mark.slow
def test_the_command(style, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "style.png", "-o", "n.safetensors", "--minutes", "0.02", "--size", "192"]) == 0
    said = capsys.readouterr()
    assert "n.safetensors: " in said.out and "of an optimised picture's" in said.out
    assert set(load_network("n.safetensors").card) == {"style", "content", "warp_error", "milliseconds", "machine"}
    assert main(["train", "style.png", "--minutes", "0"]) == 2
    assert json.dumps(dict(load_network("n.safetensors").settings))


KILLED = """
import os, signal, sys
from videostyle.pipeline import train
from videostyle.pipeline.request import Callbacks
from videostyle.settings import Settings, TrainSettings
train.SAVE_SECONDS = 0.0
def on_progress(progress):
    if progress.evaluation == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
request = train.TrainRequest(sys.argv[1], sys.argv[2], Settings(), TrainSettings(minutes=5, size=192, no_card=True))
train.train(request, Callbacks(on_progress))
"""


@pytest.mark.slow
def test_a_killed_training_goes_on(style, tmp_path):
    output, environment = tmp_path / "n.safetensors", os.environ | {"TORCH_HOME": str(tmp_path / "home")}
    for last in (3, 6):
        command = [sys.executable, "-c", KILLED, str(style), str(output), str(last)]
        assert subprocess.run(command, env=environment, capture_output=True).returncode == -signal.SIGKILL
        saved = torch.load(tmp_path / "n.checkpoint", weights_only=True)
        assert saved["state"]["steps"] == last - 1  # the step in which it was killed had not been saved
    assert not output.exists()
