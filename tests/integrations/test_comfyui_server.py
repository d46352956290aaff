"""The nodes in a ComfyUI that runs: the example workflows, executed as its page sends them.

ComfyUI is no package: VIDEOSTYLE_COMFYUI names its folder, VIDEOSTYLE_COMFYUI_PYTHON a Python that has what it requires
and what videostyle requires. Without them these tests are skipped; `test_comfyui.py` has a stub of its interface.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from comfyui_server import Server

from videostyle.samples import sample

ROOT = Path(__file__).parents[2]
FLOWS = ROOT / "integrations" / "comfyui" / "example_workflows"
CLIP = sample("clip.mp4")
QUICK = {"size": 64, "iterations": 3, "more_settings": 'first_init = "palette"\nmin_iterations = 1'}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif("VIDEOSTYLE_COMFYUI" not in os.environ, reason="needs a ComfyUI: VIDEOSTYLE_COMFYUI"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ComfyUI's own folders."""
    base = tmp_path_factory.mktemp("comfyui")
    for name in ("input", "output", "custom_nodes", "user", "models"):
        (base / name).mkdir()
    shutil.copytree(ROOT / "integrations" / "comfyui", base / "custom_nodes" / "videostyle-nodes")
    shutil.copy(CLIP, base / "input" / "clip.mp4")
    shutil.copy(sample("styles/brush.jpg"), base / "input" / "painting.jpg")
    mask = np.zeros((360, 640, 3), np.uint8)
    mask[:, :320] = 255
    with av.open(str(base / "input" / "mask.png"), "w", format="image2") as container:
        stream = container.add_stream("png")
        stream.width, stream.height, stream.pix_fmt = 640, 360, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(mask, format="rgb24")))
        container.mux(stream.encode(None))
    return base


@pytest.fixture(scope="module")
def server(base: Path) -> Iterator[Server]:
    comfyui, python = os.environ["VIDEOSTYLE_COMFYUI"], os.environ["VIDEOSTYLE_COMFYUI_PYTHON"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "main.py", "--cpu", "--port", str(port), "--base-directory", str(base), "--disable-api-nodes"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (base / "log").open("w") as log:
        run = subprocess.Popen(command, cwd=comfyui, stdout=log, stderr=log, env=environment)
    server = Server(f"http://127.0.0.1:{port}")
    try:
        server.wait_until_it_answers(300)
        yield server
    finally:
        run.terminate()
        run.wait(30)


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def sound(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0))


def painted(base: Path) -> list[Path]:
    return sorted((base / "output" / "videostyle").glob("*.mp4"))


def saved(base: Path, outcome: dict) -> Path:
    assert outcome["status"]["status_str"] == "success", outcome["status"]
    (found,) = (o["images"][0] for o in outcome["outputs"].values())
    return base / "output" / found["subfolder"] / found["filename"]


def test_a_clip_becomes_a_painted_clip(server: Server, base: Path) -> None:
    widgets = QUICK | {"duration_seconds": 0.5}
    prompt = server.prompt_of(FLOWS / "paint_video.json", VideostylePaintVideo=widgets)
    outcome = server.history(server.send(prompt), 900)
    output = saved(base, outcome)
    assert times(output) == times(CLIP)[:12] and sound(output) > 0
    (kept,) = painted(base)
    changed = kept.stat().st_mtime_ns
    prompt["4"]["inputs"]["filename_prefix"] = "video/again"
    server.ask("free", {"unload_models": True, "free_memory": True})  # forgets what nodes gave
    saved(base, server.history(server.send(prompt), 300))
    assert painted(base) == [kept] and kept.stat().st_mtime_ns == changed


def test_frames_become_painted_frames(server: Server, base: Path) -> None:
    """All of the clip's 640 x 360 frames would take long: the part is cut out before."""
    short = base / "input" / "short.mp4"
    ffmpeg = ["-frames:v", "4", "-s", "64x36", "-an", str(short)]
    from videostyle.media.ffmpeg import find_ffmpeg

    subprocess.run([find_ffmpeg().path, "-v", "error", "-i", str(CLIP), *ffmpeg], check=True, timeout=60)
    changes = {"LoadVideo": {"file": "short.mp4"}, "VideostylePaintFrames": QUICK}
    prompt = server.prompt_of(FLOWS / "paint_frames.json", **changes)
    prompt["5"]["inputs"].pop("size", None)
    output = saved(base, server.history(server.send(prompt), 900))
    assert len(times(output)) == 4
    before, after = (picture(path)[:, :24].astype(int) for path in (short, output))
    assert np.abs(before - after).mean() < 8  # the masked half stays as it is
    assert np.abs(picture(short)[:, 40:].astype(int) - picture(output)[:, 40:]).mean() > 12


def picture(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_a_cancelled_run_goes_on_later(server: Server, base: Path) -> None:
    widgets = QUICK | {"duration_seconds": 1.5, "keyframes": "off", "strength": 0.6}
    prompt = server.prompt_of(FLOWS / "paint_video.json", VideostylePaintVideo=widgets)
    number, there = server.send(prompt), painted(base)
    until = time.monotonic() + 600
    while not (frames := list((base / "output" / "videostyle").glob("*.videostyle/frames"))) or (
        frames[0].stat().st_size < 5 * 64 * 36
    ):
        assert time.monotonic() < until
        time.sleep(0.1)
    server.ask("interrupt", {})
    outcome = server.history(number, 300)
    assert "execution_interrupted" in [message[0] for message in outcome["status"]["messages"]]
    assert painted(base) == there and frames[0].exists()
    kept = frames[0].stat().st_ino
    number = server.send(prompt)
    while frames[0].exists() and time.monotonic() < until:
        assert frames[0].stat().st_ino == kept  # nothing is begun anew
        time.sleep(0.2)
    assert times(saved(base, server.history(number, 900))) == times(CLIP)[:36]
    (made,) = set(painted(base)) - set(there)
    assert not made.with_name(made.name + ".videostyle").exists()


def test_what_is_wrong_is_one_line(server: Server) -> None:
    widgets = QUICK | {"more_settings": "no_such_thing = 1"}
    prompt = server.prompt_of(FLOWS / "paint_video.json", VideostylePaintVideo=widgets)
    outcome = server.history(server.send(prompt), 300)
    (error,) = (told for kind, told in outcome["status"]["messages"] if kind == "execution_error")
    assert "no_such_thing" in error["exception_message"]
