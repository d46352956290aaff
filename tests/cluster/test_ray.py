"""A Ray cluster on this machine: a head without CPUs and two nodes; whatever dies, the file is that of one process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from five_shots import OPTIONS, at_frame, five_shots, in_one_process
from ray_cluster import Nodes, begun_on

from videostyle.cluster import processes
from videostyle.cluster.batch import run_spread_batch
from videostyle.cluster.run import run_spread
from videostyle.errors import DeviceError, MediaError, UsageError
from videostyle.pipeline.batch import BatchItemResult
from videostyle.pipeline.request import Callbacks
from videostyle.settings import SpreadSettings

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.xdist_group("ray"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    yield made
    made.cluster.shutdown()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return in_one_process(tmp_path_factory.mktemp("one"))


def on_ray(nodes: Nodes, **more: Any) -> SpreadSettings:
    nodes.two()
    return SpreadSettings(ray=nodes.address, **more)


def test_a_cluster_makes_the_same_file_as_one_process(nodes: Nodes, tmp_path: Path, expected: bytes) -> None:
    result = run_spread(replace(five_shots(tmp_path), record_to=tmp_path / "run.json"), on_ray(nodes))
    assert result.output.read_bytes() == expected
    assert {path.name for path in tmp_path.iterdir()} == {"out.mp4", "run.json"}
    shots = json.loads((tmp_path / "run.json").read_text())["shots"]
    assert [shot["frames"] for shot in shots] == [3, 5, 1, 6, 5] and len({shot["node"] for shot in shots}) == 2
    assert all("1 threads" in shot["device"] for shot in shots)  # Ray's number, not the machine's


def test_a_node_that_is_killed_in_mid_shot(nodes: Nodes, tmp_path: Path, expected: bytes) -> None:
    settings = on_ray(nodes)
    killed: list[str] = []

    def kill() -> None:
        done = {path.name for path in (tmp_path / "out.mp4.videostyle" / "shots").iterdir()}
        running = {name: where[-1] for name, where in begun_on(tmp_path).items() if name not in done}
        killed.append(running.popitem()[1])
        nodes.kill(killed[0])

    keep = five_shots(tmp_path).run.replace(keep=True)
    result = run_spread(replace(five_shots(tmp_path), run=keep), settings, Callbacks(on_progress=at_frame(2, kill)))
    assert result.output.read_bytes() == expected
    begun = begun_on(tmp_path)
    assert max(map(len, begun.values())) == 2  # the shot in progress was begun again, on the other node
    assert all(where[-1] != killed[0] for where in begun.values() if len(where) == 2)
    shots = sorted(path.name for path in (tmp_path / "out.mp4.videostyle" / "shots").iterdir())
    assert shots == [f"shot-{number:05d}" for number in range(5)]  # one finished attempt each, and no other


def test_a_driver_that_is_killed_and_run_again(nodes: Nodes, tmp_path: Path, expected: bytes) -> None:
    nodes.two()
    command = [sys.executable, "-m", "videostyle", *OPTIONS, "--ray", nodes.address, "--progress", "json"]
    command += ["-o", str(tmp_path / "out.mp4")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as driver:
        assert driver.stderr is not None
        for line in driver.stderr:
            if '"stylise"' in line and json.loads(line)["frame"] >= 4:
                break
        driver.kill()
    again = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
    assert (tmp_path / "out.mp4").read_bytes() == expected and os.listdir(tmp_path) == ["out.mp4"]
    told = [json.loads(line) for line in again.stderr.splitlines() if '"stylise"' in line]
    assert told[0]["restored"] >= 4


def test_a_driver_that_is_asked_to_stop(
    nodes: Nodes, tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.two()
    command = [sys.executable, "-m", "videostyle", *OPTIONS, "--ray", nodes.address, "--progress", "json"]
    command += ["-o", str(tmp_path / "out.mp4")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as driver:
        assert driver.stderr is not None
        for line in driver.stderr:
            if '"stylise"' in line and json.loads(line)["frame"] >= 4:
                break
        driver.send_signal(signal.SIGTERM)
        said = driver.stderr.read()
        assert driver.wait(60) == 143
    assert "the same command goes on from there" in said
    monkeypatch.setattr(processes, "cores", lambda: 2)  # and so one thread for each of two workers
    assert run_spread(five_shots(tmp_path), SpreadSettings(workers="2")).restored >= 4  # without Ray
    assert (tmp_path / "out.mp4").read_bytes() == expected


def test_clips_of_several_sizes(nodes: Nodes, tmp_path: Path, expected: bytes) -> None:
    """Each is a task with memory of its own, and its file is that of one process."""
    (tmp_path / "one").mkdir()
    large = in_one_process(tmp_path / "one", "--size", "320")
    requests = [five_shots(tmp_path, "a.mp4"), five_shots(tmp_path, "b.mp4", size=320)]
    found: list[BatchItemResult] = []
    run_spread_batch(requests, on_ray(nodes), found.append)
    assert not [item.problem for item in found if item.problem]
    assert all(item.result is not None and len(item.result.record["shots"]) == 1 for item in found)  # whole clips
    assert (tmp_path / "a.mp4").read_bytes() == expected and (tmp_path / "b.mp4").read_bytes() == large
    assert {path.name for path in tmp_path.iterdir()} == {"one", "a.mp4", "b.mp4"}


def test_a_clip_that_no_other_machine_sees(nodes: Nodes, tmp_path: Path) -> None:
    from videostyle.cluster.ray_nodes import alive, check_nodes

    nodes.two()
    (tmp_path / "token-1").touch()
    ray.init(address=nodes.address, log_to_driver=False)
    try:
        check_nodes(ray, alive(ray.nodes()), tmp_path / "token-1", [OPTIONS[1]])
        with pytest.raises(MediaError, match=r"none\.mp4 is not shared: node .* does not see it; put it in a folder"):
            check_nodes(ray, alive(ray.nodes()), tmp_path / "token-1", [OPTIONS[1], str(tmp_path / "none.mp4")])
    finally:
        ray.shutdown()


def test_a_shot_that_fails_everywhere_is_named(nodes: Nodes, tmp_path: Path) -> None:
    request = five_shots(tmp_path)
    settings = request.settings.replace(memory=0.55)  # GiB: less than the program takes
    with pytest.raises((MediaError, DeviceError), match="allowed"):
        run_spread(replace(request, settings=settings), on_ray(nodes))


def test_what_cannot_be_had_is_said_before_any_work(nodes: Nodes, tmp_path: Path) -> None:
    from videostyle.cluster.ray_nodes import alive, check_nodes

    with pytest.raises(DeviceError, match=r"needs 7 CPUs.*2 nodes"):
        run_spread(five_shots(tmp_path), on_ray(nodes, ray_cpus=7))
    with pytest.raises(DeviceError, match=r"needs about 9\.0 GiB.*--memory"):
        large = replace(five_shots(tmp_path), settings=five_shots(tmp_path).settings.replace(memory=9.0))
        run_spread(large, on_ray(nodes))
    ray.init(address=nodes.address, log_to_driver=False)
    try:
        with pytest.raises(MediaError, match=r"is not shared: node .* does not see it; name an output"):
            check_nodes(ray, alive(ray.nodes()), tmp_path / "elsewhere" / "token-1")
    finally:
        ray.shutdown()
    left = [path.name for path in tmp_path.rglob("*")]
    assert not [name for name in left if "shot-" in name]  # nothing was painted


def test_no_cluster_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"no Ray cluster answers at 127\.0\.0\.1:9.*ray start --head"):
        run_spread(five_shots(tmp_path), SpreadSettings(ray="127.0.0.1:9"))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(UsageError, match=r"no Ray cluster answers at 127\.0\.0\.1:9"):
        run_spread(five_shots(tmp_path), SpreadSettings(ray="auto"))
    with pytest.raises(UsageError, match="ray job submit"):
        run_spread(five_shots(tmp_path), SpreadSettings(ray="ray://127.0.0.1:10001"))
    with pytest.raises(UsageError, match="expected host:port, auto or local"):
        run_spread(five_shots(tmp_path), SpreadSettings(ray="somewhere"))
    assert time.monotonic() - began < 20 and not list(tmp_path.iterdir())
