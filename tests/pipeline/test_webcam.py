"""From the camera to a painted clip, with FFmpeg's test source for a camera."""

import os
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from videostyle.checkpoint.run_directory import directory_of
from videostyle.cli.main import main
from videostyle.errors import MediaError, UsageError
from videostyle.media import camera, ffmpeg
from videostyle.media.camera import Camera, avfoundation_cameras, dshow_cameras, linux_cameras
from videostyle.pipeline import webcam
from videostyle.settings import MediaSettings, RunSettings, Settings

SOURCE = "lavfi:testsrc2=size=64x48:rate=15"
QUICK = Settings(backbone="compact", device="cpu", iterations=2, min_iterations=1)


@pytest.fixture
def style(tmp_path: Path) -> Path:
    path = tmp_path / "style.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path)
    return path


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def test_a_session(style: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.mp4"
    source = "lavfi:testsrc2=size=64x48:rate=15[out0];sine=frequency=440[out1]"
    options = ["--device-spec", source, "--backbone", "compact", "--device", "cpu", "--iterations", "2"]
    options += ["--min-iterations", "1", "--seconds", "0.6", "--style", str(style), "-o", str(output)]
    assert main(["webcam", *options]) == 0
    recording = tmp_path / "out-recording.mkv"
    assert sorted(os.listdir(tmp_path)) == ["out-recording.mkv", "out.mp4", "style.png"]
    assert len(times(recording)) == len(times(output)) == 9
    with av.open(str(recording)) as container:  # before PyAV 17.1 the sound's codec delay comes before the start
        early = min(0, Fraction(container.start_time or 0, 1_000_000))
    for made, recorded in zip(times(output), times(recording), strict=True):
        assert abs(made - recorded + early) < Fraction(1, 1000)
    with av.open(str(output)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    said = capsys.readouterr().out
    assert f"recording 0.6 s from {source}" in said and f"{recording}: the recording" in said
    assert main(["webcam", *options]) == 2  # nothing is overwritten


def test_a_run_that_was_stopped_is_gone_on_with_its_own_recording(style: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    directory_of(output).mkdir()
    with pytest.raises(UsageError, match=r"`videostyle video .*out-recording.mkv` .*--restart"):
        webcam.stylise_webcam(style, output, 0.3, QUICK, device=SOURCE)
    assert not (tmp_path / "out-recording.mkv").exists()
    result = webcam.stylise_webcam(style, output, 0.3, QUICK, device=SOURCE, run=RunSettings(restart=True))
    assert result.frames > 1


def test_what_is_wrong_is_said_before_recording(style: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "there.mp4").write_bytes(b"precious")
    (tmp_path / "kept-recording.mkv").write_bytes(b"precious")
    wrong = [
        ("there.mp4", style, 1.0, SOURCE, "exists already"),
        ("kept.mp4", style, 1.0, SOURCE, "exists already"),
        ("out.mp4", tmp_path / "none.png", 1.0, SOURCE, "does not exist"),
        ("out.mp4", style, 0.0, SOURCE, "must be above 0"),
        ("out.mp4", style, 1.0, "", "expected FORMAT:DEVICE"),
    ]
    for name, picture, seconds, device, words in wrong:
        with pytest.raises(UsageError, match=words):
            webcam.stylise_webcam(picture, tmp_path / name, seconds, QUICK, MediaSettings(), device=device)
    assert sorted(os.listdir(tmp_path)) == ["kept-recording.mkv", "style.png", "there.mp4"]
    assert main(["webcam", "--seconds", "1"]) == 2
    assert "no style was given" in capsys.readouterr().err


@pytest.mark.slow
def test_sound_comes_from_the_microphone_that_is_named(style: Path, tmp_path: Path) -> None:
    for microphone, kinds in ((None, ["video"]), ("lavfi:sine=frequency=440", ["video", "audio"])):
        output, media = tmp_path / f"{len(kinds)}.mp4", MediaSettings(size=48)
        webcam.stylise_webcam(style, output, 0.3, QUICK, media, device=SOURCE, microphone=microphone)
        with av.open(str(output)) as container:
            assert [stream.type for stream in container.streams] == kinds


def test_a_camera_that_gives_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[subprocess.Popen] = []

    class Watched(subprocess.Popen):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            begun.append(self)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    for spec in ("lavfi:nonsense=1", "lavfi:sine", "v4l2:/dev/video99"):
        with pytest.raises(MediaError, match=spec.partition(":")[0]):
            camera.record(camera.choose_camera(spec), tmp_path / "r.mkv", 0.2)
        assert not os.listdir(tmp_path)
    assert len(begun) >= 3 and all(process.returncode is not None for process in begun)


def test_a_camera_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, time; 'version' in sys.argv[1] and sys.exit(print('ffmpeg version 7.0')); time.sleep(60)"
    hung = tmp_path / "ffmpeg"
    hung.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    hung.chmod(0o755)
    monkeypatch.setenv(ffmpeg.OVERRIDE, str(hung))
    monkeypatch.setattr(camera, "OPENING_SECONDS", 0.3)
    with pytest.raises(MediaError, match="gave nothing in time"):
        camera.record(Camera("lavfi", "testsrc2"), tmp_path / "r.mkv", 0.2)
    assert os.listdir(tmp_path) == ["ffmpeg"]


@pytest.mark.slow
def test_ctrl_c_ends_the_recording_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait, waited = ffmpeg.Child.wait, []

    def interrupted(child: ffmpeg.Child, seconds: float) -> int:
        waited.append(seconds)
        if len(waited) == 1:
            raise KeyboardInterrupt
        return wait(child, seconds)

    monkeypatch.setattr(ffmpeg.Child, "wait", interrupted)

    def until_something_is_recorded() -> None:
        until = time.monotonic() + 30
        while not any(path.stat().st_size for path in tmp_path.iterdir()) and time.monotonic() < until:
            threading.Event().wait(0.01)

    source = Camera("lavfi", "testsrc2=size=640x480:rate=15,realtime")  # large enough to reach the file at once
    camera.record(source, tmp_path / "r.mkv", 50, on_start=until_something_is_recorded)
    assert 0 < len(times(tmp_path / "r.mkv")) < 300


def test_linux_cameras(tmp_path: Path) -> None:
    for number, (name, index) in {0: ("Laptop camera", 0), 1: ("Laptop camera", 1), 10: ("Stick", 0)}.items():
        folder = tmp_path / f"video{number}"
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
        (folder / "index").write_text(f"{index}\n")
    found = linux_cameras(tmp_path)
    assert [(c.spec, c.name) for c in found] == [("v4l2:/dev/video0", "Laptop camera"), ("v4l2:/dev/video10", "Stick")]
    assert linux_cameras(tmp_path / "none") == []


def test_cameras_of_other_systems() -> None:
    mac = """[AVFoundation indev @ 0x7f] AVFoundation video devices:
[AVFoundation indev @ 0x7f] [0] FaceTime HD Camera
[AVFoundation indev @ 0x7f] [1] Capture screen 0
[AVFoundation indev @ 0x7f] AVFoundation audio devices:
[AVFoundation indev @ 0x7f] [0] MacBook Microphone"""
    assert avfoundation_cameras(mac) == [Camera("avfoundation", "0", "FaceTime HD Camera")]
    new = '[dshow @ 0x1] "Integrated Camera" (video)\n[dshow @ 0x1]   Alternative name "@device_pnp"\n'
    old = (
        '[dshow @ 0x1] DirectShow video devices\n[dshow @ 0x1]  "Integrated Camera"\n'
        '[dshow @ 0x1] DirectShow audio devices\n[dshow @ 0x1]  "Microphone"\n'
    )
    expected = [Camera("dshow", "video=Integrated Camera", "Integrated Camera")]
    assert dshow_cameras(new + '[dshow @ 0x1] "Microphone" (audio)\n') == dshow_cameras(old) == expected


def test_choosing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera.platform, "system", lambda: "Linux")
    assert camera.choose_camera("/dev/video2") == Camera("v4l2", "/dev/video2")
    assert camera.choose_camera("dshow:video=A: B").device == "video=A: B"
    monkeypatch.setattr(camera, "list_cameras", lambda: [])
    with pytest.raises(UsageError, match="no camera was found"):
        camera.choose_camera(None)
    assert camera.choose_microphone("pulse:default") == Camera("pulse", "default")
    with pytest.raises(UsageError, match="expected FORMAT:DEVICE"):
        camera.choose_microphone("loud")
