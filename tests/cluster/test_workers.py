"""Workers of this machine: together they make the output of one process, to the byte, whatever happens to them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import av
import pytest
import torch
from five_shots import OPTIONS, at_frame, five_shots, in_one_process

from videostyle.checkpoint.journal import Journal
from videostyle.cli.main import main
from videostyle.cluster import processes
from videostyle.cluster.batch import run_spread_batch
from videostyle.cluster.one_shot import paint_one
from videostyle.cluster.run import run_spread
from videostyle.errors import MediaError, StoppedError, UsageError
from videostyle.pipeline.batch import BatchItemResult
from videostyle.pipeline.progress import Progress
from videostyle.pipeline.request import Callbacks
from videostyle.pipeline.run import run
from videostyle.settings import SpreadSettings

TWO = SpreadSettings(workers="2")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As many as each worker has here: what one process paints with other threads may differ in the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return in_one_process(tmp_path_factory.mktemp("one"))


@pytest.fixture(autouse=True)
def _workers_of_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 2)


def worker_processes() -> list[int]:
    """Process numbers of the workers that this process has begun."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if b"videostyle.cluster.worker" in words and parent == os.getpid():
                found.append(int(folder.name))
    return found


@pytest.mark.slow
def test_two_workers_make_the_same_file_as_one_process(tmp_path: Path, expected: bytes) -> None:
    told: list[Progress] = []
    request = replace(five_shots(tmp_path), record_to=tmp_path / "run.json")
    result = run_spread(request, TWO, Callbacks(on_progress=told.append))
    assert result.output.read_bytes() == expected
    assert {path.name for path in tmp_path.iterdir()} == {"out.mp4", "run.json"}
    record = json.loads((tmp_path / "run.json").read_text())
    assert [frame["index"] for frame in record["frames"]] == list(range(20))
    assert [shot["frames"] for shot in record["shots"]] == [3, 5, 1, 6, 5]
    assert len({shot["node"] for shot in record["shots"]}) == 2 and all(shot["seconds"] > 0 for shot in record["shots"])
    assert record["totals"]["redone"] == 0
    stages = list(dict.fromkeys(progress.stage for progress in told))
    assert stages == ["plan", "stylise", "encode", "verify", "publish"]
    counts = [progress.frame for progress in told if progress.stage == "stylise"]
    assert counts == sorted(counts) and counts[-1] == 20
    with av.open(str(result.output)) as made:
        assert len(made.streams.audio) == 1
    assert not worker_processes()


@pytest.mark.slow
def test_a_worker_that_is_killed_has_its_shot_begun_again(tmp_path: Path, expected: bytes) -> None:
    def kill() -> None:
        os.kill(worker_processes()[0], signal.SIGKILL)

    result = run_spread(five_shots(tmp_path), TWO, Callbacks(on_progress=at_frame(4, kill)))
    assert result.output.read_bytes() == expected and os.listdir(tmp_path) == ["out.mp4"]


@pytest.mark.slow
def test_a_shot_whose_workers_always_die_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "WORKER", ["false"])
    with pytest.raises(MediaError) as caught:
        run_spread(five_shots(tmp_path), TWO)
    words = str(caught.value)
    assert "failed 3 times" in words and ", worker " in words and "status 1" in words and ".log" in words
    assert "same command goes on" in words and (tmp_path / "out.mp4.videostyle" / "plan.json").is_file()


@pytest.mark.slow
def test_a_stop_keeps_finished_shots_and_frames_and_other_workers_go_on(tmp_path: Path, expected: bytes) -> None:
    asked: list[bool] = []
    stop = Callbacks(on_progress=at_frame(6, lambda: asked.append(True)), should_stop=lambda: bool(asked))
    with pytest.raises(StoppedError, match="the same command goes on"):
        run_spread(five_shots(tmp_path), TWO, stop)
    assert not worker_processes() and os.listdir(tmp_path) == ["out.mp4.videostyle"]
    part = replace(five_shots(tmp_path), run=five_shots(tmp_path).run.replace(partial=True))
    with suppress(UsageError):  # the first shot, which is short, may not have been begun
        assert 0 < run_spread(part, TWO).frames < 20
        (tmp_path / "out.mp4").unlink()
    told: list[Progress] = []
    result = run_spread(five_shots(tmp_path), SpreadSettings(workers="1"), Callbacks(on_progress=told.append))
    assert result.output.read_bytes() == expected and result.restored >= 6
    assert told[0].restored >= 6 and "plan" not in {progress.stage for progress in told}  # cuts are known already


@pytest.mark.slow
def test_a_stop_while_every_worker_is_in_mid_shot(tmp_path: Path) -> None:
    """Two long shots on two workers: both finish the frame that they are at and save it."""
    command = [sys.executable, "-m", "videostyle", *OPTIONS, "--cuts", "0.4", "--size", "160", "--workers", "2"]
    command += ["--iterations", "60", "--min-iterations", "60", "--state-seconds", "1000"]  # half a minute a shot
    command += ["--progress", "json", "-o", str(tmp_path / "out.mp4")]
    shots = tmp_path / "out.mp4.videostyle" / "shots"

    def begun() -> list[Path]:
        return [path for path in shots.glob(".shot-*") if len(Journal(path).frames) > 0]

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        for line in program.stderr:
            if '"stylise"' in line and len(begun()) == 2:
                break
        program.send_signal(signal.SIGTERM)
        said = program.stderr.read()
        assert program.wait(60) == 143
    assert "the same command goes on" in said
    journals = [Journal(path) for path in begun()]
    assert len(journals) == 2 and not list(shots.glob("shot-*"))  # neither shot was waited for
    for journal in journals:
        assert journal.states[-1]["frames"] == len(journal.frames) < 10


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["2", "auto"])  # auto: one process here, which looks for them too
def test_shots_on_object_storage_outlive_the_machine(
    tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """A run is stopped and its machine's folder is lost: another machine goes on with the finished shots."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec comes with torch")
    system = fsspec.filesystem("memory")
    system.store.clear()
    asked: list[bool] = []
    stop = Callbacks(on_progress=at_frame(12, lambda: asked.append(True)), should_stop=lambda: bool(asked))
    request = replace(five_shots(tmp_path), output="memory://films/out.mp4")
    for machine in ("one", "two"):
        (tmp_path / machine).mkdir()
    monkeypatch.setenv("VIDEOSTYLE_SCRATCH", str(tmp_path / "one"))
    with pytest.raises(StoppedError):
        run_spread(request, TWO, stop)
    kept = {name.split("/")[-2] for name in system.find("/films/out.mp4.videostyle") if name.endswith("attempt.json")}
    assert kept and not system.exists("/films/out.mp4")
    monkeypatch.setenv("VIDEOSTYLE_SCRATCH", str(tmp_path / "two"))
    monkeypatch.setattr(processes, "gpu_names", lambda: [])
    result = run_spread(request, SpreadSettings(workers=workers))
    frames = {f"shot-{number:05d}": count for number, count in enumerate((3, 5, 1, 6, 5))}
    assert result.restored == sum(frames[name] for name in kept) and result.url == "memory://films/out.mp4"
    assert system.cat("/films/out.mp4") == expected and system.find("/films") == ["/films/out.mp4"]
    assert not list((tmp_path / "two").iterdir())
    system.store.clear()


@pytest.mark.slow
def test_everything_killed_goes_on(tmp_path: Path, expected: bytes) -> None:
    """Kill -9 of the program in mid-shot: its workers end by themselves, and the same command goes on."""
    command = [sys.executable, "-m", "videostyle", *OPTIONS, "--workers", "2", "--progress", "json"]
    command += ["-o", str(tmp_path / "out.mp4")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        for line in program.stderr:
            if '"stylise"' in line and json.loads(line)["frame"] >= 4:
                break
        program.kill()
    folder = tmp_path / "out.mp4.videostyle"
    deadline = time.monotonic() + 60
    while any(b"cluster.worker" in words and str(tmp_path).encode() in words for words in open_files(folder)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert main([*command[3:]]) == 0
    assert (tmp_path / "out.mp4").read_bytes() == expected and os.listdir(tmp_path) == ["out.mp4"]


def open_files(folder: Path) -> list[bytes]:
    """Of every worker process: its command line and the files below ``folder`` that it has open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            files = [os.readlink(link) for link in (process / "fd").iterdir()]
            if held := [name for name in files if name.startswith(str(folder))]:
                found.append((process / "cmdline").read_bytes() + " ".join(held).encode())
    return found


@pytest.mark.slow
def test_shots_that_were_painted_one_by_one_are_joined(tmp_path: Path, expected: bytes) -> None:
    """As a scheduler does that only starts commands; in any order."""
    for number in (3, 0, 4, 2, 1):
        assert paint_one(five_shots(tmp_path), number).name == f"shot-0000{number}"
    with pytest.raises(UsageError, match=r"shot is 5; the clip has 5, numbered from 0"):
        paint_one(five_shots(tmp_path), 5)
    result = run_spread(five_shots(tmp_path), SpreadSettings(workers="1"))
    assert result.restored == 20 and result.output.read_bytes() == expected and os.listdir(tmp_path) == ["out.mp4"]


@pytest.mark.slow
def test_fewer_clips_than_workers_are_painted_shot_by_shot(tmp_path: Path, expected: bytes) -> None:
    found: list[BatchItemResult] = []
    run_spread_batch([five_shots(tmp_path)], TWO, found.append)
    (item,) = found
    assert item.result is not None and len(item.result.record["shots"]) == 5
    assert (tmp_path / "out.mp4").read_bytes() == expected


@pytest.mark.slow
def test_clips_and_styles_are_spread_too(tmp_path: Path, expected: bytes) -> None:
    requests = [five_shots(tmp_path, name=f"{number}.mp4") for number in range(3)]
    requests.append(replace(requests[0], source=tmp_path / "none.mp4", output=tmp_path / "none-out.mp4"))
    found: list[BatchItemResult] = []
    run_spread_batch(requests, TWO, found.append)
    assert [Path(item.request.place).name for item in found if item.problem] == ["none-out.mp4"]
    assert all((tmp_path / f"{number}.mp4").read_bytes() == expected for number in range(3))
    assert {path.name for path in tmp_path.iterdir()} == {"0.mp4", "1.mp4", "2.mp4", ".videostyle-logs"}
    found.clear()
    run_spread_batch(requests[:3], TWO, found.append)  # all are there
    assert [item.result for item in found] == [None] * 3 and not any(item.problem for item in found)


@pytest.mark.slow
def test_a_run_with_and_one_without_workers_are_told_apart(tmp_path: Path) -> None:
    stop = Callbacks(should_stop=lambda: True)
    with pytest.raises(StoppedError):
        run(five_shots(tmp_path), stop)
    with pytest.raises(UsageError, match=r"without --workers.*--restart"):
        run_spread(five_shots(tmp_path), TWO)
    restart = replace(five_shots(tmp_path), run=five_shots(tmp_path).run.replace(restart=True))
    asked: list[bool] = []
    stop = Callbacks(on_progress=at_frame(1, lambda: asked.append(True)), should_stop=lambda: bool(asked))
    with pytest.raises(StoppedError):
        run_spread(restart, TWO, stop)
    with pytest.raises(UsageError, match=r"--workers 1, or --restart"):
        run(five_shots(tmp_path))
    assert run(restart).frames == 20 and os.listdir(tmp_path) == ["out.mp4"]
