"""An artist's own frames from file to file: found by their times, fitted, carried both ways, resumed, recorded."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_networks import smooth_picture

from videostyle import MediaSettings, RunSettings, Settings, copy_video, stylise_video
from videostyle.cli.main import main
from videostyle.errors import StoppedError, UsageError
from videostyle.files import fingerprint
from videostyle.frames import Frame
from videostyle.media.still import read_picture, write_picture
from videostyle.pipeline.fit_picture import fitted
from videostyle.pipeline.given_frames import Stretch, with_marks
from videostyle.pipeline.job import open_job
from videostyle.pipeline.look_record import look_of_output
from videostyle.pipeline.request import Request
from videostyle.pipeline.shot import finished_frames, plan_shots, stylise_shot
from videostyle.samples import sample
from videostyle.settings.look import Look, PaintedFrame, StylePicture
from videostyle.settings.look_file import from_plain, read_look, to_plain
from videostyle.settings.look_text import frames_of_text

QUICK = Settings(backbone="compact", iterations=3, min_iterations=2, device="cpu")
MEDIA = MediaSettings(size=48)
BRUSH = str(sample("styles/brush.jpg"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of the sample, 12 frames, small."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    copy_video(sample("clip.mp4"), path, QUICK, MediaSettings(size=48, duration_seconds=0.5))
    return path


@pytest.fixture(scope="module")
def painted(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], Callable[[int], str]]:
    """(the times of the frames, what makes the picture of one: its negative)."""
    folder = tmp_path_factory.mktemp("painted")
    frames = copy_video(clip, f"{folder}/source/", QUICK).output
    times = [n / 24 for n in range(len(list(frames.glob("*.png"))))]

    def picture(index: int) -> str:
        path = folder / f"clip-{int(1000 * times[index]) / 1000:08.3f}s.png"
        source = read_picture(sorted(frames.glob("*.png"))[index])
        if not path.exists():
            write_picture(path, 1 - source, overwrite=False)
        return str(path)

    return times, picture


def pictures(folder: Path) -> list[torch.Tensor]:
    return [read_picture(path) for path in sorted(folder.glob("*.png"))]


@pytest.mark.parametrize("keyframes, indices", [("off", (5,)), ("auto", (0,)), ("auto", (3, 8))])
def test_frames_come_back_as_they_were_given(clip, painted, tmp_path, keyframes, indices):
    times, picture = painted
    look = Look(frames=tuple(PaintedFrame(picture(i), times[i]) for i in indices))
    result = stylise_video(clip, look, f"{tmp_path}/out/", QUICK.replace(keyframes=keyframes), MEDIA)
    found, starts = pictures(result.output), [frame["start"] for frame in result.record["frames"]]
    for i in indices:
        assert torch.equal(found[i], read_picture(picture(i))) and starts[i] == "given"
    assert starts[: indices[0]] == ["carried back"] * indices[0] and "carried back" not in starts[indices[0] :]
    assert not list(tmp_path.glob("*.videostyle"))
    # The paint went both ways: every frame is nearer to the artist's colours than the source is
    for frame, source in zip(found, pictures(copy_video(clip, f"{tmp_path}/source/", QUICK).output), strict=True):
        turned = 1 - source
        assert (frame - turned).abs().mean() < 0.5 * (source - turned).abs().mean()


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_bit(clip, painted, tmp_path):
    times, picture = painted
    look = Look(frames=tuple(PaintedFrame(picture(i), times[i]) for i in (4, 9)))
    often = RunSettings(state_seconds=0.0)
    whole = pictures(stylise_video(clip, look, f"{tmp_path}/whole/", QUICK, MEDIA).output)
    stops = 0
    for most in range(1, 30):
        asked = 0

        def should_stop(most: int = most) -> bool:
            nonlocal asked
            asked += 1
            return asked >= most

        try:
            stylise_video(clip, look, f"{tmp_path}/again/", QUICK, MEDIA, often, should_stop=should_stop)
            break
        except StoppedError:
            stops += 1
            assert (tmp_path / "again.videostyle").is_dir()
    assert stops >= 3  # in the frames before the first picture, between the two, and after
    again = pictures(tmp_path / "again")
    assert len(again) == len(whole) and all(torch.equal(a, b) for a, b in zip(again, whole, strict=True))
    assert not list(tmp_path.glob("*.videostyle"))


@pytest.mark.slow
def test_shots_by_themselves_are_the_whole_clip(clip, painted, tmp_path):
    times, picture = painted
    look = Look(frames=tuple(PaintedFrame(picture(i), times[i]) for i in (3, 8)))
    request = Request("video", clip, look, f"{tmp_path}/whole/", QUICK, MEDIA.replace(cuts=(times[6],)))
    whole = pictures(stylise_video(clip, look, request.output, QUICK, request.media).output)
    (tmp_path / "shots").mkdir()
    job = open_job(Request("video", clip, look, f"{tmp_path}/other/", QUICK, request.media))
    done = [
        stylise_shot(shot, request, tmp_path / "shots")
        for shot in plan_shots(Request(**vars(request) | {"output": f"{tmp_path}/p/"}))
    ]
    joined = [frame.pixels for path in done for frame in finished_frames(path, job)]
    assert len(joined) == len(whole) and all(torch.equal(a, b) for a, b in zip(joined, whole, strict=True))


def test_paint_does_not_cross_a_cut(clip, painted, tmp_path):
    times, picture = painted
    look = Look((StylePicture(BRUSH),), frames=(PaintedFrame(picture(8), times[8]),))
    media = MEDIA.replace(cuts=(times[6],))
    with_frame = pictures(stylise_video(clip, look, f"{tmp_path}/a/", QUICK, media).output)
    without = pictures(stylise_video(clip, BRUSH, f"{tmp_path}/b/", QUICK, media).output)
    assert all(torch.equal(a, b) for a, b in zip(with_frame[:6], without[:6], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(with_frame[6:], without[6:], strict=True))


@given(st.lists(st.integers(0, 99), max_size=6, unique=True), st.integers(1, 1200))
@settings(max_examples=60)
def test_a_time_finds_the_first_frame_at_or_after_it(indices, rate):
    from fractions import Fraction

    frames = [Frame(torch.zeros(1, 3, 1, 1), n, Fraction(1, min(rate, 500))) for n in range(100)]
    wanted = [PaintedFrame(str(i), int(1000 * frames[i].time_seconds) / 1000) for i in indices]
    found = {int(mark.picture): frame.pts for frame, mark in with_marks(frames, wanted) if mark is not None}
    assert found == {i: i for i in indices}


def test_marks_that_fit_no_frame_or_one_twice():
    frames = [Frame(torch.zeros(1, 3, 1, 1), n) for n in range(3)]
    with pytest.raises(UsageError, match=r"late\.png is for the frame at 9 s; the last frame is at 2\.000 s"):
        list(with_marks(frames, [PaintedFrame("late.png", 9.0)]))
    with pytest.raises(UsageError, match=r"b\.png and a\.png are both for the frame at 1\.000 s"):
        list(with_marks(frames, [PaintedFrame("a.png", 1.0), PaintedFrame("b.png", 0.9)]))


def test_how_far_the_paint_has_gone_over():
    assert [Stretch(0, (8, 6, 4, 2), 0).share(pts) for pts in (2, 4, 6, 8)] == [0.25, 0.5, 0.75, 1.0]
    assert Stretch(0, (8, 6), None).share(6) == 1.0


@given(st.integers(-2, 2), st.integers(-2, 2), st.integers(0, 2), st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_a_picture_that_is_off_by_a_pixel_or_two_is_laid_where_it_belongs(rows, columns, top, left):
    """Cropped (below 0) or with a border added: what is there is put back, unchanged."""
    frame = smooth_picture(48, 64, seed=3)
    rough = frame + 0.2 * torch.rand(frame.shape, generator=torch.Generator().manual_seed(1))
    top, left = min(top, abs(rows)), min(left, abs(columns))
    made = rough
    for dim, change, first in ((2, rows, top), (3, columns, left)):
        if change < 0:
            made = made.narrow(dim, first, made.shape[dim] + change)
        elif change:
            index = (torch.arange(made.shape[dim] + change) - first).clamp(0, made.shape[dim] - 1)
            made = made.index_select(dim, index)
    found = fitted(1 - made, rough, "a.png")
    assert found.shape == frame.shape
    inner = (..., slice(2, -2), slice(2, -2))
    assert torch.equal(found[inner], (1 - rough)[inner])


def test_pictures_of_other_sizes():
    frame = smooth_picture(48, 64, seed=3)
    assert fitted(frame, frame, "a.png") is frame
    double = torch.nn.functional.interpolate(frame, (96, 128), mode="bicubic", antialias=True)
    assert (fitted(double, frame, "a.png") - frame).abs().mean() < 0.01
    assert fitted(smooth_picture(71, 95, seed=1), frame, "a.png").shape == frame.shape  # 3:4 but for rounding
    with pytest.raises(UsageError, match=r"a\.png is 64x64, which has another shape than the frame's 64x48"):
        fitted(smooth_picture(64, 64, seed=1), frame, "a.png")


def test_names_hold_times(tmp_path):
    for name in ("clip-0002.533s.png", "clip-0010.000s.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    folder = str(tmp_path)
    assert [f.at_seconds for f in frames_of_text(folder)] == [2.533, 10.0]
    assert frames_of_text("1.5=a=b.png") == (PaintedFrame("a=b.png", 1.5),)
    assert frames_of_text("x/clip-0001.000s.png")[0].at_seconds == 1.0
    with pytest.raises(UsageError, match="does not say which frame it is"):
        frames_of_text("a.png")
    with pytest.raises(UsageError, match="expected a time of at least 0"):
        frames_of_text("-1=a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no picture"):
        frames_of_text(str(tmp_path / "empty"))


def test_a_look_with_frames_as_a_file_and_back(tmp_path):
    look = Look((StylePicture("b.jpg"),), frames=(PaintedFrame("a.png", 1.25),))
    assert from_plain(to_plain(look))[0] == look and look.paths == ("b.jpg", "a.png") and not look.is_plain
    assert Look(frames=(PaintedFrame("a.png", 1.0), PaintedFrame("a.png", 2.0))).styles == (StylePicture("a.png"),)
    (tmp_path / "l.toml").write_text('style = "b.jpg"\n[[frame]]\nat = 1.25\npicture = "a.png"\n')
    assert read_look(tmp_path / "l.toml")[0].frames == (PaintedFrame(f"{tmp_path}/a.png", 1.25),)
    with pytest.raises(UsageError, match="no time"):
        from_plain({"style": "b.jpg", "frame": [{"picture": "a.png"}]})


def test_the_command_line_and_the_look_that_the_output_holds(clip, painted, tmp_path, monkeypatch, capsys):
    _, picture = painted
    monkeypatch.chdir(tmp_path)
    shutil.copy(picture(4), tmp_path)
    name = Path(picture(4)).name
    words = ["video", str(clip), "--size", "48", "--iterations", "3", "--min-iterations", "2", "--backbone", "compact"]
    words += ["--device", "cpu", "--quiet"]
    assert main([*words, "--keyframe", name, "-o", "a.mp4"]) == 0
    look, _ = look_of_output("a.mp4")
    assert [(Path(f.picture).name, f.at_seconds) for f in look.frames] == [(name, 0.166)]
    assert main([*words, "--like", "a.mp4", "-o", "b.mp4"]) == 0
    assert fingerprint(Path("b.mp4"))
    for given_words, told in (
        (["--keyframe", "7=" + name], "expected a time from 0.000 s to 0.5"),
        (["--keyframe", f"0.1={name}", "--style", BRUSH, "--quality", "draft"], "a draft is painted by"),
        (["--keyframe", "0.1=none.png", "--style", BRUSH], "none.png does not exist"),
        (["--keyframe", f"0.1={BRUSH}"], "has another shape than the frame's 48x"),
        (["--style", BRUSH, "--touch-up", "2", "--keyframes", "off"], "touch-up is 2 and keyframes off"),
    ):
        assert main([*words, *given_words, "-o", "c.mp4"]) == 2
        assert told in capsys.readouterr().err and not Path("c.mp4").exists()
    Path("l.toml").write_text(f'[[frame]]\nat = 0\npicture = "{name}"\n')
    assert main(["image", name, "--look", "l.toml", "-o", "d.png", "--quiet"]) == 2
    assert "a picture has none" in capsys.readouterr().err
    assert np.asarray(Image.open(name)).ndim == 3
