"""Nodes that lack something, for real: memory, room on the disk, the folder that they should share."""

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from five_shots import at_frame, five_shots, in_one_process
from ray_cluster import STORE, Nodes, begun_on

from videostyle.cluster import processes
from videostyle.cluster.run import run_spread
from videostyle.errors import MediaError
from videostyle.pipeline.request import Callbacks, Request
from videostyle.settings import SpreadSettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.xdist_group("ray"),
    pytest.mark.timeout(600),
]
# Ray's monitor of memory takes such a node for full, and kills its tasks.
NO_MEMORY = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "250"}
FILE_BYTES = 8192  # that a file may have on a node whose disk is full: not what a shot's frames take
LIMIT = f"""import resource, sys
if any("default_worker" in word for word in sys.orig_argv):
    resource.setrlimit(resource.RLIMIT_FSIZE, ({FILE_BYTES}, {FILE_BYTES}))
"""
FIVE = [f"shot-{number:05d}" for number in range(5)]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return in_one_process(tmp_path_factory.mktemp("one"))


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    made = Nodes()
    yield made
    made.cluster.shutdown()


@pytest.fixture
def full_disk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a node whose tasks can write no more than small files."""
    folder = tmp_path_factory.mktemp("limit")
    (folder / "sitecustomize.py").write_text(LIMIT)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}


def kept(folder: Path, **more) -> Request:
    """The request, whose folder is kept."""
    request = five_shots(folder)
    return replace(request, run=request.run.replace(keep=True), **more)


def shots(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out.mp4.videostyle" / "shots").iterdir())


def test_a_node_out_of_memory(nodes: Nodes, tmp_path: Path, expected: bytes) -> None:
    """Ray kills whatever runs there, the first question too; other nodes paint all of it."""
    nodes.add(NO_MEMORY)
    with pytest.raises(MediaError, match=r"no node .* can be had \(.*ran out of memory\); look at ray status"):
        run_spread(five_shots(tmp_path), SpreadSettings(ray=nodes.address))
    good = nodes.add()
    assert run_spread(kept(tmp_path), SpreadSettings(ray=nodes.address)).output.read_bytes() == expected
    assert shots(tmp_path) == FIVE
    assert {where[-1] for where in begun_on(tmp_path).values()} == {good}


def test_a_task_that_is_killed_as_the_kernel_does_it(
    nodes: Nodes, tmp_path: Path, expected: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    nodes.two()
    capfd.readouterr()

    def kill() -> None:
        os.kill(painting(nodes)[0], signal.SIGKILL)

    told = Callbacks(on_progress=at_frame(3, kill))
    record = tmp_path / "run.json"
    result = run_spread(kept(tmp_path, record_to=record), SpreadSettings(ray=nodes.address), told)
    assert result.output.read_bytes() == expected and shots(tmp_path) == FIVE
    assert sorted(map(len, begun_on(tmp_path).values())) == [1, 1, 1, 1, 2]  # one was begun again
    assert result.redone <= 1 and capfd.readouterr().out == ""


def painting(nodes: Nodes) -> list[int]:
    """The processes of tasks in progress on these nodes."""
    raylets = {info[0].process.pid for node in nodes.workers for info in [node.all_processes["raylet"]]}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in raylets and b"paint_here" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def test_a_node_out_of_disk(nodes: Nodes, tmp_path: Path, expected: bytes, full_disk: dict[str, str]) -> None:
    bad = nodes.add(full_disk)
    with pytest.raises(MediaError) as caught:
        run_spread(five_shots(tmp_path), SpreadSettings(ray=nodes.address))
    words = str(caught.value)
    print(words)
    assert (
        "shot 3 of clip.mp4 (from 0.3" in words and f"failed 3 times, at last on {os.uname().nodename} ({bad})" in words
    )
    assert "File too large" in words and "make room" in words and "logs/shot-00003.log)" in words and "\n" not in words
    good = nodes.add()
    assert run_spread(kept(tmp_path), SpreadSettings(ray=nodes.address)).output.read_bytes() == expected
    assert shots(tmp_path) == FIVE
    assert {where[-1] for where in begun_on(tmp_path).values()} == {good}


def test_a_node_that_does_not_share_the_folder(nodes: Nodes, tmp_path: Path) -> None:
    """A node with a view of its own of the file system, where something else is mounted at the output's folder."""
    nodes.add()
    ray = f"{sys.executable} -m ray.scripts.scripts start --address {nodes.address} --num-cpus 1 --block"
    own = f"mount -t tmpfs tmpfs {tmp_path} && exec {ray} --object-store-memory {STORE}"
    command = ["unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child", "sh", "-c", own]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as other:
        assert other.stdout is not None
        try:
            said = "".join(itertools.takewhile(lambda line: "Ray runtime started" not in line, other.stdout))
            if other.poll() is not None:
                pytest.skip(f"this user may have no view of his own: {said.strip()}")
            with pytest.raises(MediaError) as caught:
                run_spread(five_shots(tmp_path), SpreadSettings(ray=nodes.address))
        finally:
            other.kill()
    words = str(caught.value)
    assert words.startswith(f"{tmp_path} is not shared: node ") and words.endswith("name an output in a folder that is")
    assert not list(tmp_path.rglob("*shot-*"))  # nothing was begun


def test_a_folder_that_is_full(tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody's, in mid-shot: the run says so, and goes on where there is room again."""
    monkeypatch.setattr(processes, "cores", lambda: 2)
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"this user may mount nothing: {mounted.stderr.decode().strip()}")

    def fill() -> None:
        with suppress(OSError), (small / "other").open("wb", buffering=0) as other:
            while other.write(bytes(4096)):
                pass

    try:
        with pytest.raises(MediaError) as caught:
            run_spread(kept(small), SpreadSettings(workers="2"), Callbacks(on_progress=at_frame(3, fill)))
        words = str(caught.value)
        why = "(No space left on device|0 MB are free)"
        assert re.match(rf"shot \d of clip.mp4 \(from 0.\d\d s\) failed on .*, worker [12]: .*{why}", words)
        assert "make room" in words and ".log)" in words and "same command goes on" in words and "\n" not in words
        (small / "other").unlink()
        result = run_spread(kept(small), SpreadSettings(workers="2"))
        assert result.restored >= 3
        assert result.output.read_bytes() == expected and shots(small) == FIVE
    finally:
        subprocess.run(["umount", str(small)], check=True)
