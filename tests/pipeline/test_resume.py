"""From file to file with interruptions: whatever ends a run, the same call ends with the same frames."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch

from videostyle import MediaSettings, RunSettings, Settings, copy_video, stylise_video
from videostyle.checkpoint.run_directory import RunDirectory, directory_of
from videostyle.errors import DeviceError, MediaError, StoppedError, UsageError, VideoStyleError
from videostyle.frames import Frame
from videostyle.pipeline.memory_check import fitting_size
from videostyle.pipeline.progress import Progress
from videostyle.pipeline.request import Result
from videostyle.samples import sample
from videostyle.stylise.stylizer import Stylizer

QUICK = Settings(backbone="compact", iterations=3, min_iterations=2, device="cpu")
MEDIA = MediaSettings(size=48, duration_seconds=0.5)
EVERY = RunSettings(state_seconds=0)
STYLE = sample("styles/brush.jpg")
FRAMES = 12


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of the sample, small."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    copy_video(sample("clip.mp4"), path, QUICK, MEDIA)
    return path


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The frames of a run that nothing interrupted."""
    return decoded(stylise_video(clip, STYLE, tmp_path_factory.mktemp("whole") / "out.mp4", QUICK, MEDIA).output)


def stylise(clip: Path, output: Path, run: RunSettings = EVERY, **more: Any) -> Result:
    settings, media = more.pop("settings", QUICK), more.pop("media", MEDIA)
    return stylise_video(clip, STYLE, output, settings, media, run, **more)


def stopped_after(clip: Path, output: Path, frames: int, run: RunSettings = EVERY, **more: Any) -> str:
    """Ask for a stop when so many frames are finished; what is said."""
    count: list[int] = []

    def should_stop() -> bool:
        count.append(1)
        return len(count) == frames

    with pytest.raises(StoppedError) as stopped:
        stylise(clip, output, run, should_stop=should_stop, **more)
    return str(stopped.value)


def crash_at(stage: str, frame: int = 0) -> Callable[[Progress], None]:
    """Fail like a library at a moment of the run."""

    def on_progress(progress: Progress) -> None:
        if progress.stage == stage and progress.frame >= frame:
            raise RuntimeError("crash")

    return on_progress


def test_a_stop_and_the_same_call_again(clip: Path, tmp_path: Path, whole: np.ndarray) -> None:
    output, record = tmp_path / "out.mp4", tmp_path / "run.json"
    words = stopped_after(clip, output, 5, RunSettings())  # a stop writes a state of its own
    assert "5 of 12 frames are finished" in words and "--partial" in words
    assert os.listdir(tmp_path) == ["out.mp4.videostyle"]
    seen: list[Progress] = []
    result = stylise(clip, output, RunSettings(), on_progress=seen.append, record_to=record)
    assert (result.frames, result.restored, result.redone) == (FRAMES, 5, 0)
    assert np.array_equal(decoded(output), whole)
    assert sorted(os.listdir(tmp_path)) == ["out.mp4", "run.json"]
    stages = list(dict.fromkeys(progress.stage for progress in seen))
    assert stages == ["restore", "stylise", "encode", "verify", "publish"]
    written = json.loads(record.read_text())
    assert [f["index"] for f in written["frames"]] == list(range(FRAMES))
    assert written["totals"]["restored"] == 5
    assert all((f["loss"] > 0) != (f["start"] == "between") for f in written["frames"])


# (stage, frame, frames that are restored)
OTHER_CRASHES = (("stylise", 1, 1), ("encode", 0, 12), ("verify", 0, 12), ("publish", 0, 12))


@pytest.mark.parametrize(
    ("stage", "frame", "restored"),
    [
        ("stylise", 7, 7),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in OTHER_CRASHES),
    ],
)
def test_a_crash_anywhere(clip: Path, tmp_path: Path, whole: np.ndarray, stage: str, frame: int, restored: int) -> None:
    output = tmp_path / "out.mp4"
    with pytest.raises(RuntimeError, match="crash"):
        stylise(clip, output, on_progress=crash_at(stage, frame))
    assert os.listdir(tmp_path) == ["out.mp4.videostyle"]
    result = stylise(clip, output)
    assert (result.restored, result.redone) == (restored, 0)
    assert np.array_equal(decoded(output), whole)
    assert os.listdir(tmp_path) == ["out.mp4"]


def test_frames_since_the_last_state_are_painted_again(clip: Path, tmp_path: Path, whole: np.ndarray) -> None:
    output = tmp_path / "out.mp4"
    with pytest.raises(RuntimeError):
        stylise(clip, output, RunSettings(), on_progress=crash_at("stylise", 7))
    result = stylise(clip, output, RunSettings())
    assert (result.restored, result.redone) == (0, 7)  # no state within the first 30 seconds
    assert np.array_equal(decoded(output), whole)


@pytest.mark.slow
def test_killed_between_the_last_two_steps(
    clip: Path, tmp_path: Path, whole: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output is there, the run directory too: there is nothing left to do but to say so."""
    output = tmp_path / "out.mp4"
    with monkeypatch.context() as patch:
        real = RunDirectory.close
        patch.setattr(RunDirectory, "close", lambda kept, *, remove=False: real(kept))
        stylise(clip, output)
    (directory_of(output) / "frames").unlink()  # the journal goes last
    written = output.stat().st_mtime_ns
    result = stylise(clip, output, record_to=tmp_path / "run.json")
    assert result.frames == FRAMES and output.stat().st_mtime_ns == written
    assert sorted(os.listdir(tmp_path)) == ["out.mp4", "run.json"]
    with pytest.raises(UsageError, match="exists already"):
        stylise(clip, output)


def test_a_folder_of_pictures(clip: Path, tmp_path: Path) -> None:
    stopped_after(clip, f"{tmp_path}/cut/", 4)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == ["cut.videostyle"]
    assert stylise(clip, f"{tmp_path}/cut/").restored == 4  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == ["cut"]
    assert len(os.listdir(tmp_path / "cut")) == FRAMES + 1


@pytest.mark.slow
def test_deep_frames_are_kept_deep(clip: Path, tmp_path: Path) -> None:
    media = MEDIA.replace(codec="prores")
    first = stylise(clip, tmp_path / "a.mov", media=media).output
    stopped_after(clip, tmp_path / "b.mov", 6, media=media)
    again = stylise(clip, tmp_path / "b.mov", media=media).output
    assert np.array_equal(decoded(first), decoded(again))


@pytest.mark.slow
def test_partial_publishes_what_there_is_with_its_sound(tmp_path: Path) -> None:
    output, source = tmp_path / "out.mp4", sample("clip.mp4")
    with pytest.raises(UsageError, match=r"no frame .* is finished"):
        stylise(source, output, RunSettings(partial=True))
    assert os.listdir(tmp_path) == []
    with pytest.raises(RuntimeError):
        stylise(source, output, RunSettings(), on_progress=crash_at("stylise", 9))
    result = stylise(source, output, RunSettings(partial=True))
    assert (result.frames, result.restored) == (9, 9)  # those after the last state are sound, too
    with av.open(str(output)) as made:
        assert sum(1 for _ in made.decode(video=0)) == 9
        sound = made.streams.audio[0]
        assert sound.duration is not None and sound.time_base is not None
        assert float(sound.duration * sound.time_base) == pytest.approx(9 / 24, abs=0.05)
    with pytest.raises(UsageError, match="exists already"):
        stylise(source, output)
    assert stylise(source, output, media=MEDIA.replace(overwrite=True)).frames == FRAMES
    assert os.listdir(tmp_path) == ["out.mp4"]


@pytest.mark.slow
def test_keep_and_restart(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    stylise(clip, output, RunSettings(keep=True))
    assert directory_of(output).exists()
    output.unlink()
    assert stylise(clip, output, RunSettings(keep=True)).restored == FRAMES
    output.unlink()
    assert stylise(clip, output, RunSettings(restart=True)).restored == 0
    assert os.listdir(tmp_path) == ["out.mp4"]
    with pytest.raises(UsageError, match="give one of them"):
        RunSettings(restart=True, partial=True)


OTHER_CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"settings": QUICK.replace(precision="fp32")}, "network precision was bf16, is fp32|style_weight"),
    ({"media": MEDIA.replace(size=40)}, r"frame size was \[48, 28\], is \[40, 24\]"),
    ({"media": MEDIA.replace(duration_seconds=0.4)}, "cut duration_seconds was 0.5, is 0.4"),
]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": QUICK.replace(style_weight=7.0)}, "setting style_weight was 5000.0, is 7.0"),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in OTHER_CHANGES),
    ],
)
def test_other_settings_are_refused(clip: Path, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    output = tmp_path / "out.mp4"
    settings = QUICK.replace(precision="bf16")
    stopped_after(clip, output, 2, settings=settings)
    given = {"settings": settings} | changes
    if "precision" not in words and "settings" in changes:
        given["settings"] = changes["settings"].replace(precision="bf16")
    with pytest.raises(UsageError, match=words):
        stylise(clip, output, **given)
    assert stylise(clip, output, settings=settings, media=MEDIA.replace(crf=30, audio="none")).restored == 2


def test_other_tiles_are_refused_and_another_memory_with_the_same_is_not(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, settings = tmp_path / "out.mp4", QUICK.replace(memory=8)
    stopped_after(clip, output, 2, settings=settings)
    with monkeypatch.context() as patch:
        patch.setattr("videostyle.stylise.stylizer.pixels_at_once", lambda *_: 1)
        with pytest.raises(UsageError, match="environment tiles was None, is 3"):
            stylise(clip, output, settings=settings)
    assert stylise(clip, output, settings=settings.replace(memory=9)).restored == 2


def test_another_source_or_style_is_refused(clip: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "clip.mkv", tmp_path / "out.mp4"
    shutil.copy(clip, source)
    stopped_after(source, output, 2)
    os.utime(source, (1, 1))  # another time is no other source
    moved = source.rename(tmp_path / "other.mkv")  # nor is another name
    stopped_after(moved, output, 2)
    with source.open("wb") as file:
        file.write(moved.read_bytes() + b"x")
    with pytest.raises(UsageError, match="source fingerprint was"):
        stylise(source, output)
    with pytest.raises(UsageError, match="style fingerprint was"):
        stylise_video(moved, sample("styles/woodcut.jpg"), output, QUICK, MEDIA, EVERY)
    assert not output.exists()


def test_a_second_run_at_the_same_time_is_refused(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    refused: list[str] = []

    def on_progress(progress: Progress) -> None:
        if progress.finished is not None and progress.frame == 3:
            with pytest.raises(UsageError) as error:
                stylise(clip, output)
            refused.append(str(error.value))

    stylise(clip, output, on_progress=on_progress)
    assert len(refused) == 1 and "another run is writing" in refused[0]


def test_out_of_memory_names_a_size_and_loses_nothing(
    clip: Path, tmp_path: Path, whole: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, real, calls = tmp_path / "out.mp4", Stylizer.optimise, []

    def optimise(self: Stylizer, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:  # the second key
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Stylizer, "optimise", optimise)
        with pytest.raises(DeviceError, match=r"ran out of memory at 48x28; .* --size 32, which would fit"):
            stylise(clip, output, RunSettings())
    assert stylise(clip, output, RunSettings()).restored == 1
    assert np.array_equal(decoded(output), whole)


@pytest.mark.parametrize(
    ("size", "share", "fits"), [((1920, 1080), 0.5, 1280), ((1080, 1920), 0.9, 1728), ((512, 288), 1e-9, 16)]
)
def test_the_size_that_fits(size: tuple[int, int], share: float, fits: int) -> None:
    assert fitting_size(size, share) == fits
    assert (fits / max(size)) ** 2 < share or fits == 16


@pytest.mark.slow
def test_a_frame_that_looks_wrong_is_reported(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = iter(["it is one flat colour", "", *[""] * 99])
    monkeypatch.setattr("videostyle.stylise.frame_check.problem", lambda *_: next(problems))
    result = stylise(clip, tmp_path / "out.mp4")
    (notice,) = [n for n in result.notices if "flat" in n]
    assert notice == "frame 0: it is one flat colour; painted again, and well"
    assert result.record["frames"][0]["problem"] in notice and "problem" not in result.record["frames"][1]


def test_a_folder_that_cannot_be_written(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostyle.media.publish.os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(UsageError, match="cannot be written to"):
        stylise(clip, tmp_path / "out.mp4")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_an_output_that_appears_meanwhile_is_not_overwritten(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"

    def on_progress(progress: Progress) -> None:
        if progress.stage == "verify":
            output.write_bytes(b"precious")

    with pytest.raises(UsageError, match="exists already"):
        stylise(clip, output, on_progress=on_progress)
    assert output.read_bytes() == b"precious"
    output.unlink()
    assert stylise(clip, output).restored == FRAMES


OTHER_DISKS = (1_200_000, 600_000, 200_000, 60_000, 4_000)  # bytes left


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes, where the system lets us have one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here (it takes root on Linux)")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("left", [20_000, *(pytest.param(n, marks=pytest.mark.slow) for n in OTHER_DISKS)])
def test_a_full_disk(clip: Path, small_disk: Path, whole: np.ndarray, left: int) -> None:
    """The disk fills up in mid-run: one clear line, nothing published, and all goes on when there is room."""
    output, filling = small_disk / "out.mp4", small_disk / "filling"

    def on_progress(progress: Progress) -> None:
        if progress.frame == 3 and not filling.exists():
            free = shutil.disk_usage(small_disk).free
            filling.write_bytes(bytes(max(0, free - left)))

    try:
        stylise(clip, output, on_progress=on_progress)
    except VideoStyleError as error:
        assert ("\n" not in str(error) and "written" in str(error)) or "write" in str(error)
        assert isinstance(error, MediaError) and not output.exists()
    else:
        assert left > 200_000  # it was enough
        output.unlink()
    filling.unlink()
    result = stylise(clip, output)
    assert result.restored + result.redone >= 2 or left > 200_000
    assert np.array_equal(decoded(output), whole)


@pytest.mark.slow
def test_what_the_json_says(clip: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "videostyle", "video", str(clip), "--style", str(STYLE), "--size", "48"]
    command += ["--iterations", "2", "--min-iterations", "1", "--progress", "json", "-o", str(tmp_path / "out.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [line["stage"] for line in lines[-3:]] == ["encode", "verify", "publish"]
    frames = [line for line in lines if line["stage"] == "stylise" and line["evaluation"] == 0]
    assert [line["frame"] for line in frames] == list(range(1, FRAMES + 1))
    # Matroska keeps no count, and FFmpeg's estimate of the length may be a frame too long.
    assert all(line["frames"] - FRAMES in (0, 1) for line in lines)
    assert frames[-1]["seconds_left"] < frames[2]["seconds_left"]
    assert frames[0]["loss"] > 0 and frames[-1]["loss"] > 0  # None: made from those around it


def test_the_time_left_is_that_of_the_frames_painted_now(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("videostyle.pipeline.progress.time", SimpleNamespace(monotonic=lambda: now[0]))
    from videostyle.pipeline.progress import Reporter

    report = Reporter("stylise", 100, None, restored=60)
    frame = Frame(torch.zeros(1, 3, 2, 2))
    for _ in range(60):
        now[0] += 0.01
        report.frame(frame)
    assert report.seconds_left() is None
    for _ in range(10):
        now[0] += 2
        report.frame(frame)
    assert report.seconds_left() == pytest.approx(60)
    now[0] += 0.5
    assert report.seconds_left() == pytest.approx(59.5)
    now[0] += 99  # a frame that takes longer than usual
    assert report.seconds_left() == pytest.approx(58)
