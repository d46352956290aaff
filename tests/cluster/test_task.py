"""A task where it runs: its share of the machine, what it leaves on the disk, and how failures are told."""

import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from five_shots import five_shots

from videostyle import device
from videostyle.checkpoint.attempts import Piece
from videostyle.cluster import task as tasks
from videostyle.cluster.task import Task, carry_out, last_node
from videostyle.errors import MediaError
from videostyle.pipeline.shot import Shot


@pytest.fixture
def task(tmp_path: Path) -> Task:
    for name in ("shots", "logs"):
        (tmp_path / name).mkdir()
    (tmp_path / "token").touch()
    where = tmp_path / "shots", tmp_path / "logs", tmp_path / "token"
    return Task(Shot(0, 0, 2, Fraction(0), Fraction(2, 24)), five_shots(tmp_path), *where)


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of threads that a task takes."""
    taken: list[int] = []
    monkeypatch.setattr(tasks, "use_cores", taken.append)
    monkeypatch.setattr(tasks, "use_threads", taken.append)
    return taken


def test_a_task_is_plain_values(task: Task) -> None:
    assert pickle.loads(pickle.dumps(task)) == task
    assert b"torch" not in pickle.dumps(task)


def test_a_task_takes_its_share_and_leaves_a_finished_shot(task: Task, shares: list[int]) -> None:
    outcome = carry_out(replace(task, threads=1, memory_gib=2.0), "node-1")
    assert (outcome.node, outcome.problem, outcome.stopped) == ("node-1", "", False) and shares == [1, 1]
    assert [path.name for path in task.shots.iterdir()] == ["shot-00000"]
    assert last_node(task) == "node-1"


def test_too_little_memory_is_told_before_the_first_frame(task: Task, shares: list[int]) -> None:
    outcome = carry_out(replace(task, memory_gib=0.55))
    assert "are allowed" in outcome.problem and outcome.again and not list(task.shots.iterdir())


def test_a_share_of_what_one_process_could_take(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float | None] = []
    monkeypatch.setattr(tasks, "stylise_shot", lambda shot, request, *more: given.append(request.settings.memory))
    monkeypatch.setattr(tasks, "memory_bytes", lambda settings, device: 8.0 * 2**30)
    own = replace(task.request, settings=task.request.settings.replace(memory=3.0))
    for asked in (task, replace(task, memory_share=0.25), replace(task, memory_gib=5.0), replace(task, request=own)):
        carry_out(asked)
    assert given == [8.0, 2.0, 5.0, 3.0]


def test_a_full_disk_is_told_and_another_node_may_do_better(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Piece, attempt: Path, note: dict) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Piece, "finish", full)
        outcome = carry_out(task)
    assert "No space left on device" in outcome.problem and outcome.again
    assert "MediaError" in task.log.read_text()
    assert not carry_out(task).problem  # where there is room, with the frames that are there
    assert len(list(task.shots.iterdir())) == 1


def test_what_is_wrong_with_the_request_is_not_tried_again(task: Task) -> None:
    wrong = replace(task.request, settings=task.request.settings.replace(device="mps"))
    assert carry_out(replace(task, request=wrong)).problem.startswith("device is mps")


def test_another_node_may_see_what_this_one_does_not(task: Task, tmp_path: Path) -> None:
    for missing in (replace(task.request, source="none.mp4"), replace(task.request, style=tmp_path / "none.jpg")):
        outcome = carry_out(replace(task, request=missing))
        assert "is not there on" in outcome.problem and "none." in outcome.problem and outcome.again


def test_a_bug_is_one_line_and_its_log_the_rest(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("division by zero\nand more")

    monkeypatch.setattr(tasks, "stylise_shot", broken)
    outcome = carry_out(task)
    assert outcome.problem == "ZeroDivisionError: division by zero" and outcome.again
    assert "Traceback" in task.log.read_text()


def test_a_run_that_has_ended_is_no_failure(task: Task) -> None:
    task.token.unlink()
    assert carry_out(task).stopped
    assert task.should_stop()


def test_a_task_ends_with_the_process_that_began_it(task: Task) -> None:
    assert replace(task, parent=1).should_stop() and not task.should_stop()


def test_a_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setenv(device.SHARE, "")
    monkeypatch.delenv(device.SHARE)
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    assert device.cores() == 16 and device.encoder_threads() is None
    try:
        monkeypatch.setenv(device.SHARE, "6")
        assert device.cores() == 6 and device.encoder_threads() == 6
        device.use_cores(2)
        assert device.cores() == 2 and device.encoder_threads() == 1 and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_an_error_of_the_library_is_known(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise MediaError("the clip ends early")

    monkeypatch.setattr(tasks, "stylise_shot", broken)
    assert carry_out(task).problem == "the clip ends early"
