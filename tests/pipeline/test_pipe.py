"""Painting from pipe to pipe: the same frames as a clip's, cuts and looks included; stops, and what is refused."""

import os
import subprocess
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from videostyle.device import Machine
from videostyle.errors import StoppedError, UsageError, VideoStyleError
from videostyle.media.ffmpeg import find_ffmpeg
from videostyle.pipeline.pipe import PipeRequest, PipeResult, paint_pipe
from videostyle.pipeline.progress import Progress
from videostyle.pipeline.request import Callbacks
from videostyle.pipeline.video import stylise_video
from videostyle.samples import sample
from videostyle.settings import MediaSettings, Settings
from videostyle.settings.curves import curve_of
from videostyle.settings.look import ColourLook, Look, PaintedFrame, RegionLook, StylePicture, as_look

BRUSH, WOODCUT = sample("styles/brush.jpg"), sample("styles/woodcut.jpg")
QUICK = Settings(device="cpu", iterations=3, min_iterations=1, first_init="palette")
SMALL = MediaSettings(size=48)
TIMES = (0, 40, 80, 125, 160, 200, 240, 280)  # in ms, not evenly


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw RGB as NUT: four frames of a drifting picture, then four of another."""
    path = tmp_path_factory.mktemp("clips") / "clip.nut"
    generator = np.random.default_rng(0)
    pictures = [np.kron(generator.integers(0, 255, (6, 9, 3)), np.ones((8, 8, 1))) for _ in range(2)]
    with av.open(str(path), "w", format="nut") as container:
        stream = container.add_stream("rawvideo", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 72, 48, "rgb24"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, pts in enumerate(TIMES):
            array = np.roll(pictures[number // 4], number, axis=1).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def painted(
    clip: Path,
    out: Path,
    look: Look | Path = BRUSH,
    settings: Settings = QUICK,
    media: MediaSettings = SMALL,
    callbacks: Callbacks | None = None,
) -> PipeResult:
    with clip.open("rb") as source, out.open("wb") as target:
        return paint_pipe(PipeRequest(as_look(look), settings, media), source, target, callbacks)


def pictures(path: Path | str) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def folder_pictures(folder: Path) -> list[np.ndarray]:
    return [pictures(path)[0] for path in sorted(folder.glob("*.png"))]


def same(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


LOOKS = {
    "plain": as_look(BRUSH),
    "blend": Look((StylePicture(str(BRUSH), 0.6), StylePicture(str(WOODCUT), 0.4, 2.0))),
    "colours": as_look(BRUSH).replace(colours=ColourLook("source", 0.5)),
    "over time": as_look(BRUSH).replace(changing=(("strength", curve_of([[0, 0.2], [0.2, 0.9]], "strength")),)),
}


@pytest.mark.parametrize("name", LOOKS)
def test_frames_are_those_of_a_clip(clip, tmp_path, name):
    """To the bit, with their times; the cut in the middle is found alike."""
    result = painted(clip, tmp_path / "out.nut", LOOKS[name])
    stylise_video(clip, LOOKS[name], f"{tmp_path}/frames/", QUICK, SMALL)
    assert result.frames == len(TIMES) and not result.problem
    assert same(pictures(tmp_path / "out.nut"), folder_pictures(tmp_path / "frames"))
    with av.open(str(tmp_path / "out.nut")) as container:
        assert [f.pts * f.time_base for f in container.decode(video=0)] == [Fraction(t, 1000) for t in TIMES]


def test_a_cut_begins_a_shot(clip, tmp_path):
    shots: list[int] = []

    def note(progress: Progress) -> None:
        if progress.finished is not None:
            shots.append(progress.finished.shot)
            assert progress.stage == "pipe"

    callbacks = Callbacks(on_progress=note)
    painted(clip, tmp_path / "a.nut", media=SMALL.replace(cuts=(0.16,)), callbacks=callbacks)
    assert shots == [0, 0, 0, 0, 1, 1, 1, 1]
    shots.clear()
    painted(clip, tmp_path / "b.nut", media=SMALL.replace(no_shots=True), callbacks=callbacks)
    assert shots == [0] * 8


def test_keyframes_look_ahead_as_far_as_they_must(clip, tmp_path):
    settings = QUICK.replace(keyframes="3")
    assert painted(clip, tmp_path / "out.nut", settings=settings).frames == 8
    stylise_video(clip, BRUSH, f"{tmp_path}/frames/", settings, SMALL)
    assert same(pictures(tmp_path / "out.nut"), folder_pictures(tmp_path / "frames"))


def test_a_region_is_a_picture(clip, tmp_path):
    mask = tmp_path / "mask.ppm"
    half = np.zeros((48, 72, 3), np.uint8)
    half[:, :36] = 255
    mask.write_bytes(b"P6 72 48 255\n" + half.tobytes())
    look = as_look(BRUSH).replace(regions=(RegionLook(str(mask)),), feather=0.0)  # the left half stays the source
    painted(clip, tmp_path / "out.nut", look)
    painted(clip, tmp_path / "all.nut")
    source, out = pictures(clip), pictures(tmp_path / "out.nut")
    left = np.abs(out[1][:, :20].astype(int).mean((0, 1)) - source[1][:, :30].astype(int).mean((0, 1)))
    assert left.max() < 12 and not same(out, pictures(tmp_path / "all.nut"))


def test_it_stops_when_it_is_asked_to(clip, tmp_path):
    finished: list[Progress] = []

    def note(progress: Progress) -> None:
        if progress.finished is not None:
            finished.append(progress)

    callbacks = Callbacks(on_progress=note, should_stop=lambda: len(finished) >= 3)
    with pytest.raises(StoppedError, match="the stream ends after 3 frames"):
        painted(clip, tmp_path / "out.nut", callbacks=callbacks)
    assert len(pictures(tmp_path / "out.nut")) == 3


@pytest.mark.parametrize("ahead", [False, True])
def test_it_stops_while_it_waits_for_a_frame(clip, tmp_path, monkeypatch, ahead):
    """``ahead``: with the threads that an accelerator has, one of which waits then."""
    if ahead:
        monkeypatch.setattr(Machine, "accelerated", True)
    reading, writing = os.pipe()
    asked = threading.Event()

    def note(progress: Progress) -> None:
        if progress.finished is not None:
            threading.Timer(0.5, asked.set).start()

    pipe = os.fdopen(reading, "rb"), os.fdopen(writing, "wb")
    with pipe[0] as source, pipe[1] as feeder, (tmp_path / "o.nut").open("wb") as out:
        feeder.write(clip.read_bytes()[:50_000])  # less than a pipe holds
        feeder.flush()  # and stays open
        request = PipeRequest(as_look(BRUSH), QUICK, SMALL.replace(no_shots=True))
        with pytest.raises(StoppedError):
            paint_pipe(request, source, out, Callbacks(note, should_stop=asked.is_set))
    assert 1 <= len(pictures(tmp_path / "o.nut")) <= 8


def test_a_stream_that_breaks_off_is_painted_as_far_as_it_goes(clip, tmp_path):
    (tmp_path / "half.nut").write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    result = painted(tmp_path / "half.nut", tmp_path / "out.nut")
    assert result.problem == f"standard input broke off after {result.frames} frames"
    assert len(pictures(tmp_path / "out.nut")) == result.frames > 0


def test_nothing_is_kept_of_finished_frames(clip, tmp_path, monkeypatch):
    """Memory does not grow with the stream: no list of frames but of those that looked wrong."""
    from videostyle.pipeline import pipe

    made = []
    reporter = pipe.Reporter
    monkeypatch.setattr(pipe, "Reporter", lambda *a, **k: made.append(reporter(*a, **k)) or made[-1])
    painted(clip, tmp_path / "out.nut")
    assert made[0].count == 8 and not made[0].finished


REFUSED = [
    (as_look(BRUSH).replace(frames=(PaintedFrame("mine.png", 1.0),)), "mine.png is for the frame at 1 s"),
    (as_look(BRUSH).replace(regions=(RegionLook("mask.png", 1.0),)), "a picture as a mask, for all frames"),
    (as_look(BRUSH).replace(regions=(RegionLook(str(sample("clip.mp4"))),)), "a picture as a mask, for all frames"),
    (as_look(BRUSH).replace(regions=(RegionLook("nowhere.png"),)), "nowhere.png"),
    (as_look(BRUSH).replace(changing=(("strength", curve_of([["50%", 0.2], ["end", 0.9]], "s")),)), "times in seconds"),
    (as_look(BRUSH).replace(changing=(("strength", curve_of([[0, 0.2], ["cut", 0.9]], "s")),)), "times in seconds"),
    (
        as_look(BRUSH).replace(changing=(("strength", curve_of({"drive": "audio", "low": 0.3, "high": 0.7}, "s")),)),
        "has no sound",
    ),
    (as_look(Path("nowhere.jpg")), "nowhere.jpg"),
]


@pytest.mark.parametrize(("look", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_needs_the_whole_clip_is_refused_in_one_line(clip, tmp_path, look, words):
    with pytest.raises(VideoStyleError, match=words) as caught:
        painted(clip, tmp_path / "out.nut", look)
    assert "\n" not in str(caught.value) and (tmp_path / "out.nut").stat().st_size == 0


def test_a_look_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(UsageError, match=r"mine\.png"):
        painted(tmp_path / "empty", tmp_path / "out", REFUSED[0][0])


def test_memory_that_runs_out_names_a_size(clip, tmp_path, monkeypatch):
    from videostyle.stylise.sequence import EveryFrame

    def fails(self, *_):
        raise MemoryError

    monkeypatch.setattr(EveryFrame, "next_frame", fails)
    with pytest.raises(VideoStyleError, match=r"cpu ran out of memory at 48x32; --size \d+ would fit$"):
        painted(clip, tmp_path / "out.nut")


def test_a_y4m_from_ffmpeg_is_painted(tmp_path):
    command = [find_ffmpeg().path, "-v", "error", "-i", str(sample("clip.mp4")), "-frames:v", "3"]
    subprocess.run([*command, "-f", "yuv4mpegpipe", tmp_path / "in.y4m"], check=True, timeout=60)
    result = painted(tmp_path / "in.y4m", tmp_path / "out.y4m")
    assert result.frames == 3 and "BT.601 is assumed" in " ".join(result.notices)
    assert [p.shape for p in pictures(tmp_path / "out.y4m")] == [(28, 48, 3)] * 3
