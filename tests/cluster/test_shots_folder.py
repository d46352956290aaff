"""The folder of a run in shots: what is kept, what is refused, who may go on; and where workers of a machine run."""

import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from five_shots import five_shots

from videostyle.checkpoint.run_directory import is_published
from videostyle.cli.main import main
from videostyle.cluster import processes
from videostyle.cluster.folder import ShotsFolder, asked, is_planned, is_visible, note_publishing, read_plan, shots_in
from videostyle.cluster.one_shot import plan_once
from videostyle.cluster.processes import Place, places
from videostyle.cluster.task import check_folder
from videostyle.errors import MediaError, StoppedError, UsageError
from videostyle.pipeline.shot import Shot
from videostyle.settings import RunSettings, SpreadSettings

MADE_FROM = {"source": {"fingerprint": "a"}, "network": {"name": ["compact"], "precision": "bf16"}, "environment": {}}
SHOTS = [
    Shot(0, 0, 3, Fraction(0), Fraction(1, 3), 7),
    Shot(1, 3, 5, Fraction(1, 3), None, 8),
]
KEEP = RunSettings(keep=True)


def opened(folder: Path, settings: RunSettings = KEEP, **changes) -> ShotsFolder:
    return ShotsFolder(folder / "out.mp4", MADE_FROM | changes, settings)


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A folder where shots are planned."""
    request = five_shots(tmp_path)
    with opened(tmp_path) as folder:
        assert folder.plan is None
        folder.keep_plan(SHOTS, request, request)
    return tmp_path


def test_a_plan_is_found_again(planned: Path) -> None:
    assert is_planned(planned / "out.mp4") and shots_in(read_plan(planned / "out.mp4") or {}) == SHOTS
    with opened(planned) as folder:
        assert folder.plan == SHOTS


def test_a_plan_for_something_else_is_refused(planned: Path) -> None:
    with pytest.raises(UsageError, match="source fingerprint was a, is b; give the same again, or --restart"):
        opened(planned, source={"fingerprint": "b"})
    with opened(planned, KEEP.replace(restart=True), source={"fingerprint": "b"}) as folder:
        assert folder.plan is None


def test_another_kind_of_machine_may_go_on(planned: Path) -> None:
    changes = {"environment": {"device": "another"}, "network": {"name": ["compact"], "precision": "fp32"}}
    with opened(planned, **changes) as folder:
        assert folder.plan == SHOTS


def test_a_damaged_plan_is_refused(planned: Path) -> None:
    path = planned / "out.mp4.videostyle" / "plan.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(UsageError, match=r"plan\.json is damaged .*--restart"):
        opened(planned)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(UsageError, match="another run is writing"):
        opened(tmp_path)


def test_workers_stop_when_the_run_ends_or_another_one_begins(planned: Path) -> None:
    folder = opened(planned)
    check_folder(folder.token)
    left = folder.token
    folder.release(keep=True)
    with pytest.raises(StoppedError):
        check_folder(left)
    left.touch()  # of a run that was killed
    with opened(planned) as folder:
        check_folder(folder.token)
        assert not is_visible(left)


def test_a_machine_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"is not there on .*in a folder that all nodes share"):
        check_folder(tmp_path / "elsewhere" / "token-1")


def test_the_folder_goes_when_the_output_is_there(planned: Path) -> None:
    with opened(planned, RunSettings()) as folder:
        (folder.shots / "shot-00000").mkdir()
    assert not os.listdir(planned)


def test_an_output_that_was_published_is_known(planned: Path) -> None:
    output = planned / "out.mp4"
    (planned / "part").write_bytes(b"clip")
    note_publishing(planned / "out.mp4.videostyle", planned / "part")
    assert not is_published(output)
    (planned / "part").rename(output)
    assert is_published(output)


def test_shots_by_themselves_are_of_one_request(tmp_path: Path) -> None:
    request = five_shots(tmp_path)
    shots, fixed = plan_once(request)
    assert [shot.frames for shot in shots] == [3, 5, 1, 6, 5]
    assert fixed.settings.backbone == "compact" and fixed.settings.first_init == "palette"
    again, _ = plan_once(replace(request, settings=request.settings.replace(memory=2.0)))
    assert again == shots
    with pytest.raises(UsageError, match=r"setting seed was 0, is 1"):
        plan_once(replace(request, settings=request.settings.replace(seed=1)))
    assert json.loads(json.dumps(asked(request))) == asked(request)


def test_the_command_of_one_shot_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["film.mp4"], ["3", "film.mp4", "--list"]):
        assert main(["shot", *words, "--style", "style.jpg"]) == 2
        assert "shot needs a NUMBER or --list" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--preview", "--passthrough"])
def test_workers_are_for_whole_clips(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["video", "film.mp4", "--style", "style.jpg", option, "--workers", "2"]) == 2
    assert "leave them out" in capsys.readouterr().err


def test_workers_and_a_cluster_are_two_things() -> None:
    with pytest.raises(UsageError, match="give one of them"):
        SpreadSettings(workers="2", ray="auto")
    with pytest.raises(UsageError, match="add --ray"):
        SpreadSettings(ray_cpus=2)


class TestPlaces:
    """Where the workers of a machine run."""

    @pytest.fixture(autouse=True)
    def _eight_cores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(processes, "cores", lambda: 8)
        monkeypatch.setattr(processes, "gpu_names", lambda: [])
        monkeypatch.setattr(processes.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)

    def test_every_worker_has_cores_of_its_own(self) -> None:
        expected = [Place(4, cores, memory_share=0.5) for cores in ((0, 1, 2, 3), (4, 5, 6, 7))]
        assert places("2", "auto") == expected
        assert [place.cores for place in places("3", "cpu")] == [(0, 1), (2, 3), (4, 5)]

    def test_more_workers_than_cores_share_them(self) -> None:
        assert {place.threads for place in places("20", "cpu")} == {1}
        assert len(places("20", "cpu")) == 20

    def test_auto_is_one_process_on_a_cpu_and_one_for_each_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert len(places("auto", "auto")) == 1
        monkeypatch.setattr(processes, "gpu_names", lambda: ["0", "3"])
        assert [(place.gpu, place.threads) for place in places("auto", "auto")] == [("0", 4), ("3", 4)]
        assert {place.memory_share for place in places("2", "cuda")} == {1.0}
        shared = places("3", "cuda")
        assert [place.gpu for place in shared] == ["0", "3", "0"] and {place.memory_share for place in shared} == {0.5}
        assert places("auto", "cpu")[0].gpu is None

    @pytest.mark.parametrize("wanted", ["0", "-1", "many", "2.5", "1025", ""])
    def test_another_number_is_refused(self, wanted: str) -> None:
        with pytest.raises(UsageError, match="expected auto, or a number from 1 to 1024"):
            places(wanted, "auto")
