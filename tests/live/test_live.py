"""Live sessions: what arrives, which size, fading, and whole sessions with FFmpeg's test source for a camera."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import smooth_picture

from videostyle.cli.main import main
from videostyle.device import choose_machine
from videostyle.errors import MediaError, UsageError, WeightsError
from videostyle.live import viewers
from videostyle.live.newest import Newest
from videostyle.live.painter import LivePainter
from videostyle.live.request import LiveRequest
from videostyle.live.session import live
from videostyle.live.size_control import FRAMES, SMALLEST_PX, STEP_PX, USED, SizeControl
from videostyle.media.stream import FrameStream
from videostyle.networks.style_network import Shape, StyleNetwork
from videostyle.networks.style_network_file import TrainedNetwork, save_network
from videostyle.pipeline.request import Callbacks
from videostyle.samples import sample
from videostyle.settings import LiveSettings, MediaSettings, Settings
from videostyle.stylise.choose_maker import draft_flow
from videostyle.stylise.network_painter import NetworkPainter

CPU = Settings(device="cpu")
CAMERA = "lavfi:testsrc2=size=64x48:rate=15"
WITH_SOUND = f"{CAMERA}[out0];sine=frequency=440[out1]"


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, ...]:
    """Files of two networks that know nothing."""
    paths = tuple(tmp_path / f"model{i}.safetensors" for i in range(2))
    for i, path in enumerate(paths):
        torch.manual_seed(i)
        save_network(path, TrainedNetwork(StyleNetwork(Shape(4, 8, 1)).eval(), f"{i}", {}, 64))
    return paths


@pytest.fixture
def painter(models: tuple[Path, ...]) -> LivePainter:
    torch.manual_seed(0)
    trained = [TrainedNetwork(StyleNetwork(Shape(4, 8, 1)).eval(), "", {}, 64) for _ in range(2)]
    return LivePainter([NetworkPainter(t, choose_machine(CPU)) for t in trained], draft_flow(CPU), fade_seconds=2.0)


def streams(path: Path) -> dict[str, int]:
    """Frames of each kind of stream."""
    found = {}
    for kind in ("video", "audio"):
        with av.open(str(path)) as container:
            if getattr(container.streams, kind):
                found[kind] = sum(1 for _ in container.decode(**{kind: 0}))
    return found


def test_what_comes_too_fast_is_dropped():
    ready, taken = threading.Event(), []

    def items() -> Iterator[int]:
        yield 0
        ready.wait(10)
        yield from range(1, 10)

    with Newest(items()) as newest:
        for arrived in newest:
            taken.append(arrived.item)
            if arrived.item == 0:
                ready.set()
                newest._thread.join(10)
    assert taken == [0, 9] and newest.dropped == 8


def test_all_can_be_kept_and_errors_come_through():
    def items() -> Iterator[int]:
        yield from range(20)
        raise MediaError("gone")

    taken = []
    with pytest.raises(MediaError, match="gone"), Newest(items(), keep_all=True) as newest:
        for arrived in newest:
            taken.append(arrived.item)
            time.sleep(0.001)
    assert taken == list(range(20)) and newest.dropped == 0


@given(
    largest=st.integers(SMALLEST_PX, 2000),
    rate=st.floats(1, 120),
    nanoseconds=st.floats(1, 5000),
)
def test_the_size_fits_the_rate_and_settles(largest, rate, nanoseconds):
    control, sizes = SizeControl(largest, rate), []

    def cost() -> float:
        return 1e-9 * nanoseconds * control.size**2

    for _ in range(20 * FRAMES):
        control.took(cost())
        sizes.append(control.size)
    assert SMALLEST_PX <= control.size <= largest
    assert cost() <= USED / rate * 1.001 or control.size == SMALLEST_PX
    assert len(set(sizes[-5 * FRAMES :])) == 1
    if control.size < largest:  # no size that would leave much of the time unused
        assert 1e-9 * nanoseconds * (control.size + 2 * STEP_PX) ** 2 > 0.75 * USED / rate


def test_a_size_grows_again_when_time_is_left():
    control = SizeControl(512, 24)
    for seconds in (0.2, 0.001):
        for _ in range(5 * FRAMES):
            control.took(seconds * (control.size / 512) ** 2)
    assert control.size == 512
    free = SizeControl(512, None)
    for _ in range(5 * FRAMES):
        free.took(9.0)
    assert free.size == 512


def test_one_network_gives_way_to_the_other(painter):
    content = smooth_picture(48, 64)
    alone = [p.paint(content) for p in painter.painters]
    assert torch.equal(painter.paint(content, 0.0), alone[0])
    painter.choose(7, 0.0)  # there is none
    painter.choose(1, 1.0)
    assert painter.current == 1
    half = painter.paint(content, 2.0)
    torch.testing.assert_close(half, torch.lerp(painter._pictures[0], alone[1], 0.5))
    kept = painter._pictures[1]
    after = painter.paint(content, 3.5)
    assert set(painter._pictures) == {1} and torch.equal(after, painter._pictures[1])
    assert (after - alone[1]).abs().mean() < (after - alone[0]).abs().mean() and kept.shape == after.shape


def test_frames_may_change_their_size(painter):
    for size in ((48, 64), (36, 48), (60, 80)):
        assert painter.paint(smooth_picture(*size), 0.0).shape == (1, 3, *size)


def test_a_clip_becomes_a_painted_clip_with_its_sound(models, tmp_path, capsys):
    output, record = tmp_path / "out.mp4", tmp_path / "out.json"
    given = ["--model", str(models[0]), "--input", str(sample("clip.mp4")), "-o", str(output), "--record", str(record)]
    given += ["--size", "64", "--duration", "0.5", "--device", "cpu"]
    assert main(["live", *given]) == 0
    totals = json.loads(record.read_text())["totals"]
    assert streams(output)["video"] == totals["frames"] == 12 and totals["dropped"] == 0 and streams(output)["audio"]
    assert totals["frames_per_second"] > 0 and totals["latency_ms"] > 0 and list(totals["sizes"]) == ["64x36"]
    assert "12 frames" in capsys.readouterr().out
    assert main(["live", *given]) == 2  # nothing is overwritten


def test_a_session_of_a_clip_ends_with_its_sound(models, tmp_path):
    output, limit = tmp_path / "out.mkv", LiveSettings(seconds=0.5)
    live(LiveRequest(models=models, source=sample("clip.mp4"), output=output, settings=CPU, live=limit))
    with av.open(str(output)) as container:
        assert streams(output)["video"] == 12 and container.duration < 0.7e6


def test_a_camera_is_recorded_and_painted(models, tmp_path):
    request = LiveRequest(
        models=models, device=WITH_SOUND, output=tmp_path / "out.mp4", window=False, settings=CPU,
        live=LiveSettings(seconds=0.6),
    )  # fmt: skip
    result = live(request)
    recording = tmp_path / "out-recording.mkv"
    assert result.recording == recording and not result.problem
    assert {p.name for p in tmp_path.iterdir()} == {"out.mp4", recording.name, *(m.name for m in models)}
    recorded, painted = streams(recording), streams(tmp_path / "out.mp4")
    assert painted["video"] == result.totals["frames"] >= 2 and painted["audio"] > 10
    assert recorded["video"] >= painted["video"]
    with av.open(str(recording)) as a, av.open(str(tmp_path / "out.mp4")) as b:
        there, here = ([f.time - c.start_time / 1e6 for f in c.decode(video=0)] for c in (a, b))
    for moment in here:  # each painted frame is at the time of a recorded one
        assert min(abs(moment - other) for other in there) < 0.002


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_camera_that_goes_away(models, tmp_path, monkeypatch, how):
    """What was recorded and painted until then is whole, and one line says what happened. FFmpeg finishes its file
    where the device goes, as when it is terminated; killed itself, it may have written nothing yet."""
    streams_made: list[FrameStream] = []
    begin = FrameStream.__init__

    def noted(self: FrameStream, *args: object, **kwargs: object) -> None:
        begin(self, *args, **kwargs)
        streams_made.append(self)

    monkeypatch.setattr(FrameStream, "__init__", noted)
    frames = 0

    def pull_out(progress: object) -> None:
        nonlocal frames
        frames += 1
        if frames == 5:
            getattr(streams_made[0]._child.process, how)()

    request = LiveRequest(models=models, device=CAMERA, output=tmp_path / "out.mkv", window=False, settings=CPU)
    result = live(request, Callbacks(on_progress=pull_out))
    assert CAMERA in result.problem and "ended" in result.problem
    assert streams(tmp_path / "out.mkv")["video"] == result.totals["frames"] >= 5
    assert result.recording is not None or how == "kill"
    assert (tmp_path / "out-recording.mkv").exists() == (result.recording is not None)
    assert result.recording is None or streams(result.recording)["video"] >= 1


def test_a_pipe_is_painted_frame_by_frame(models, tmp_path, monkeypatch):
    clip = tmp_path / "clip.mkv"
    container = av.open(str(clip), "w")
    stream = container.add_stream("mpeg4", rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for i in range(7):
        array = np.full((48, 64, 3), 30 * i, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
    container.mux(stream.encode(None))
    container.close()
    with clip.open() as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        result = live(LiveRequest(models=models, source="-", output=tmp_path / "out.mkv", settings=CPU))
    assert streams(tmp_path / "out.mkv")["video"] == result.totals["frames"] == 7


class FakeWindow:
    """Presses keys: 2 at the third picture, q at the sixth."""

    shown = 0

    def show(self, picture: np.ndarray) -> int:
        assert picture.dtype == np.uint8 and picture.shape[2] == 3
        FakeWindow.shown += 1
        return {3: ord("2"), 6: ord("q")}.get(FakeWindow.shown, -1)

    def close(self) -> None:
        FakeWindow.shown += 100


def test_keys_choose_and_end(models, monkeypatch):
    monkeypatch.setattr(viewers, "Window", FakeWindow)
    chosen = []
    choose = LivePainter.choose
    monkeypatch.setattr(LivePainter, "choose", lambda self, i, now: (chosen.append(i), choose(self, i, now))[1])
    result = live(LiveRequest(models=models, device=CAMERA, settings=CPU))
    assert result.totals["frames"] == 6 and chosen == [1] and FakeWindow.shown == 106
    assert result.output is None and result.recording is None


def test_a_clip_is_shown_at_its_pace(models, monkeypatch):
    monkeypatch.setattr(viewers, "Window", FakeWindow)
    FakeWindow.shown = 0
    media = MediaSettings(size=64)
    totals = live(LiveRequest(models=models, source=sample("clip.mp4"), settings=CPU, media=media)).totals
    assert totals["frames"] == 6 and totals["frames_per_second"] < 40


def test_what_is_wrong_is_one_line(models, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    clip, out = sample("clip.mp4"), tmp_path / "new.mp4"
    (tmp_path / "there.mp4").write_bytes(b"precious")
    (tmp_path / "kept-recording.mkv").write_bytes(b"precious")
    wrong = [
        (LiveRequest(source=clip), UsageError, "nothing to paint with"),
        (LiveRequest(models=models, source=clip, window=False), UsageError, "go nowhere"),
        (LiveRequest(models=models, source=clip, output=tmp_path / "there.mp4"), UsageError, "exists already"),
        (LiveRequest(models=models, device=CAMERA, output=tmp_path / "kept.mp4"), UsageError, "exists already"),
        (LiveRequest(models=models, source=tmp_path / "no.mp4", output=out), UsageError, "does not exist"),
        (LiveRequest(models=(clip,), source=clip, output=out), WeightsError, "clip.mp4"),
        (LiveRequest(models=models, device="v4l2:/dev/video99", output=out, window=False), MediaError, "no picture"),
    ]
    if sys.platform == "linux":
        wrong.append((LiveRequest(models=models, source=clip), UsageError, "no desktop"))
    for request, kind, words in wrong:
        with pytest.raises(kind, match=words) as caught:
            live(request)
        assert "\n" not in str(caught.value)
    assert not out.exists() and (tmp_path / "there.mp4").read_bytes() == b"precious"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_virtual_camera_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(UsageError, match="pip install pyvirtualcam"):
        viewers.VirtualCamera((64, 48), 24)
