"""Shots as tasks: planned in one decode, stylised by themselves, and together the same as the whole clip."""

import itertools
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from videostyle import device
from videostyle.checkpoint.journal import Journal
from videostyle.errors import StoppedError
from videostyle.media.still import read_picture
from videostyle.pipeline import shot as shots
from videostyle.pipeline.job import open_job
from videostyle.pipeline.request import Callbacks, Request
from videostyle.pipeline.run import run
from videostyle.pipeline.shot import finished_frames, plan_shots, stylise_shot
from videostyle.samples import sample
from videostyle.settings import MediaSettings, RunSettings, Settings


@pytest.fixture
def request_of_three_shots(tmp_path: Path) -> Request:
    return Request(
        "video",
        sample("clip.mp4"),
        sample("styles/brush.jpg"),
        f"{tmp_path}/whole/",
        Settings(iterations=3, history_size=2),
        MediaSettings(size=48, duration_seconds=0.5, cuts=(0.2, 0.3)),
        RunSettings(state_seconds=0.0),
    )


def test_shots_are_planned_by_their_times(request_of_three_shots: Request) -> None:
    planned = plan_shots(request_of_three_shots)
    assert [shot.number for shot in planned] == [0, 1, 2]
    assert [shot.first for shot in planned] == [0, planned[0].frames, planned[0].frames + planned[1].frames]
    assert planned[0].start_seconds == 0 and planned[-1].end_seconds is None
    assert all(a.end_seconds == b.start_seconds for a, b in itertools.pairwise(planned))
    assert 0.2 <= planned[1].start_seconds < 0.25


def test_long_shots_are_split_where_that_is_asked_for(request_of_three_shots: Request) -> None:
    media = request_of_three_shots.media.replace(duration_seconds=2.0, cuts=(0.5,))
    longer = replace(request_of_three_shots, media=media)
    planned = plan_shots(longer, longest_seconds=1.0)
    assert len(planned) >= 3 and planned[0].frames == plan_shots(longer)[0].frames
    assert all(shot.frames / 24 <= 1.0 and shot.checksum is not None for shot in planned)
    assert sum(shot.frames for shot in planned) == sum(shot.frames for shot in plan_shots(longer))
    assert [shot.first for shot in planned[1:]] == [shot.first + shot.frames for shot in planned[:-1]]


@pytest.mark.slow
def test_shots_by_themselves_are_the_whole_clip_to_the_bit(request_of_three_shots: Request, tmp_path: Path) -> None:
    job, planned, folder = open_job(request_of_three_shots), plan_shots(request_of_three_shots), tmp_path / "shots"
    folder.mkdir()
    done = [stylise_shot(shot, request_of_three_shots, folder) for shot in reversed(planned)][::-1]
    whole = run(request_of_three_shots)
    joined = [frame.pixels for path in done for frame in finished_frames(path, job)]
    expected = [read_picture(path) for path in sorted(whole.output.glob("*.png"))]
    assert len(joined) == whole.frames == sum(shot.frames for shot in planned)
    assert all(torch.equal(a, b) for a, b in zip(joined, expected, strict=True))
    assert stylise_shot(planned[0], request_of_three_shots, folder) == done[0]  # finished: nothing is done again


@pytest.mark.slow
def test_a_shot_that_was_stopped_goes_on(
    request_of_three_shots: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan_shots(request_of_three_shots)
    for name in ("once", "twice"):
        (tmp_path / name).mkdir()
    job = open_job(request_of_three_shots)
    once = stylise_shot(planned[2], request_of_three_shots, tmp_path / "once")
    real = shots.store_frames

    def two_frames(job, kept, stylizer, maker, source, should_stop=None):  # type: ignore[no-untyped-def]
        return real(job, kept, stylizer, maker, source, lambda: len(kept.finished) == 2)

    with monkeypatch.context() as patch:
        patch.setattr(shots, "store_frames", two_frames)
        with pytest.raises(StoppedError):
            stylise_shot(planned[2], request_of_three_shots, tmp_path / "twice")
    twice = stylise_shot(planned[2], request_of_three_shots, tmp_path / "twice")
    pairs = zip(finished_frames(once, job), finished_frames(twice, job), strict=True)
    assert all(torch.equal(a.pixels, b.pixels) for a, b in pairs)


@pytest.mark.slow
def test_a_shot_that_was_begun_in_another_environment_is_begun_anew(
    request_of_three_shots: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry on another kind of machine is neither refused nor mixed with what is there."""
    planned = plan_shots(request_of_three_shots)
    with monkeypatch.context() as patch:
        patch.setattr(device, "processor_name", lambda: "another kind")
        with pytest.raises(StoppedError):
            stylise_shot(planned[2], request_of_three_shots, tmp_path, iter([False, True]).__next__)
    assert len(Journal(*tmp_path.glob(".shot-00002.*")).frames) == 2
    done = stylise_shot(planned[2], request_of_three_shots, tmp_path, node="here")
    note = json.loads((done / "attempt.json").read_text())
    assert (note["node"], note["from_before"], note["redone"], note["frames"]) == ("here", 0, 2, planned[2].frames)
    assert os.listdir(tmp_path) == ["shot-00002"]  # what was of no use is gone


@pytest.mark.slow
def test_of_two_attempts_the_first_one_finished_counts(
    request_of_three_shots: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that was taken for dead goes on: it neither changes nor spoils the shot."""
    shot = plan_shots(request_of_three_shots)[2]
    real, nodes = shots.store_frames, ["slow", "fast"]

    def slower(*arguments, **named):  # type: ignore[no-untyped-def]
        for number, frame in enumerate(real(*arguments, **named)):
            if number == 1 and nodes == ["slow"]:
                nodes.clear()
                stylise_shot(shot, request_of_three_shots, tmp_path, node="fast")
            yield frame

    monkeypatch.setattr(shots, "store_frames", slower)
    nodes.pop()
    done = stylise_shot(shot, request_of_three_shots, tmp_path, node="slow")
    assert json.loads((done / "attempt.json").read_text())["node"] == "fast"
    assert os.listdir(tmp_path) == ["shot-00002"]
    assert len(list(finished_frames(done, open_job(request_of_three_shots)))) == shot.frames


@pytest.mark.parametrize("cut", [2.4, 3.0])
def test_frames_are_the_same_after_a_seek(tmp_path: Path, cut: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, media = sample("clip.mp4"), MediaSettings(size=64, cuts=(cut,))
    request = Request("video", clip, sample("styles/brush.jpg"), tmp_path / "out.mp4", media=media)
    job, shot = open_job(request), plan_shots(request)[1]
    begun: list[float | None] = []
    real = shots.open_decoder

    def noted(job, start_seconds=None):  # type: ignore[no-untyped-def]
        begun.append(start_seconds)
        return real(job, start_seconds)

    monkeypatch.setattr(shots, "open_decoder", noted)
    with shots.frames_of(shot, job) as frames:
        whole = list(frames)
    monkeypatch.setattr(shots, "SEEK_FROM_SECONDS", 2)
    with shots.frames_of(shot, job) as frames:
        sought = list(frames)
    assert begun == [None, pytest.approx(float(shot.start_seconds) - 0.5)] and len(whole) == shot.frames
    assert [frame.pts for frame in sought] == [frame.pts for frame in whole]
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(sought, whole, strict=True))
    with shots.frames_of(replace(shot, checksum=1), job) as frames:  # another frame was found there
        assert next(frames).pts == whole[0].pts and begun[-1] is None


def test_one_door_for_every_kind(request_of_three_shots: Request, tmp_path: Path) -> None:
    short = MediaSettings(duration_seconds=0.2)
    copied = run(Request("copy", sample("clip.mp4"), output=tmp_path / "c.mp4", media=short))
    told: list[str] = []
    painted = run(
        Request(
            "image",
            sample("photo.jpg"),
            sample("styles/brush.jpg"),
            tmp_path / "p.png",
            Settings(iterations=2),
            MediaSettings(size=48),
        ),
        Callbacks(on_progress=lambda progress: told.append(progress.stage)),
    )
    assert copied.frames > 1 and copied.output.is_file()
    assert painted.frames == 1 and painted.output.is_file() and set(told) == {"stylise"}
