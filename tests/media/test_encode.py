"""What is written: frames, times, colours, streams; and what is not written when something fails."""

import json
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from media_tools import PICTURES, MakeClip, info_of, kinds, passthrough, read_frames, read_json, running_ffmpegs, times

from videostyle.errors import MediaError, UsageError
from videostyle.frames import Frame, StreamInfo, to_array
from videostyle.media import ffmpeg, formats, publish
from videostyle.media.decode import decode
from videostyle.media.encode import Encoder, check_output, check_space
from videostyle.media.formats import OutputFormat
from videostyle.media.probe import probe
from videostyle.media.streams import plan_streams
from videostyle.settings import MediaSettings

TICKS = {
    ".mp4": Fraction(1, 90_000),
    ".mov": Fraction(1, 90_000),
    ".mkv": Fraction(1, 1000),
    ".webm": Fraction(1, 1000),
}


def jittered(make_clip: MakeClip) -> Path:
    return make_clip(
        "jittered.mkv", "-f", "lavfi", "-i", "testsrc2=s=65x49:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1.2",
        "-vf", "scale=65:49,settb=1/1000,setpts=40*N+random(0)*30", "-fps_mode", "passthrough",
        "-enc_time_base", "1/90000", "-c:v", "ffv1", "-pix_fmt", "yuv444p", "-c:a", "aac",
    )  # fmt: skip


@pytest.mark.parametrize("suffix", TICKS)
def test_passthrough_keeps_frames_times_and_sound(
    suffix: str, make_clip: MakeClip, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg
) -> None:
    source, output = jittered(make_clip), tmp_path / f"out{suffix}"
    decoder, encoder = passthrough(source, output)
    wanted, found = times(source), times(output)
    assert decoder.frames == encoder.frames == len(found) == 25
    assert max(abs(a - b) for a, b in zip(wanted, found, strict=True)) <= TICKS[suffix] / 2
    assert kinds(output) == ["video", "audio"]
    assert os.listdir(tmp_path) == [output.name]
    with av.open(str(output)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        expected = (65, 49) if suffix == ".webm" else (64, 48)
        assert (context.width, context.height) == expected


def test_gif(plain: Path, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    _, encoder = passthrough(plain, tmp_path / "out.gif")
    assert times(tmp_path / "out.gif") == [Fraction(4 * n, 100) for n in range(25)]
    assert any("gif has no sound" in notice for notice in encoder.notices)


def test_gif_of_a_fast_clip_drops_what_it_cannot_show(make_clip: MakeClip, tmp_path: Path) -> None:
    fast = make_clip("fast.mp4", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=120:d=0.5", "-c:v", "libx264")
    _, encoder = passthrough(fast, tmp_path / "out.gif")
    assert encoder.frames < 60
    assert any("at most 50 a second" in notice for notice in encoder.notices)


def test_folder_is_exact(plain: Path, tmp_path: Path) -> None:
    passthrough(plain, f"{tmp_path}/out/", comment="note")
    frames = list(decode(probe(plain)))
    record = read_json(tmp_path / "out" / "timestamps.json")
    assert record["comment"] == "note"
    assert [n * Fraction(record["time_base"]) for n in record["timestamps"]] == [f.time_seconds for f in frames]
    from PIL import Image

    for number, frame in enumerate(frames):
        with Image.open(tmp_path / "out" / f"{number:06d}.png") as picture:
            assert np.array_equal(np.asarray(picture), to_array(frame.pixels))
    assert sorted(os.listdir(tmp_path)) == ["out"]


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv"])
def test_colours_are_bt709(suffix: str, plain: Path, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    """Flat colours come out as the formula of BT.709 says, within 2, whatever the player assumes."""
    info, output = probe(plain), tmp_path / f"out{suffix}"
    settings = MediaSettings(audio="none", crf=4)
    with Encoder(OutputFormat.of(output, settings), info, size=(64, 48), time_base=Fraction(1, 90_000)) as encoder:
        for number, colour in enumerate([(200, 40, 60), (20, 180, 90), (250, 250, 250)] * 2):
            pixels = (torch.tensor(colour, dtype=torch.float32) / 255).view(1, 3, 1, 1).expand(1, 3, 48, 64)
            encoder.write(Frame(pixels, number * 3600, Fraction(1, 90_000)))
    with av.open(str(output)) as container:
        planes = [
            [np.frombuffer(p, np.uint8)[p.line_size * 8 + 8] for p in f.planes] for f in container.decode(video=0)
        ]
    for found, wanted in zip(planes, [(81, 120, 197), (136, 104, 61), (231, 128, 128)] * 2, strict=True):
        assert np.abs(np.asarray(found, int) - wanted).max() <= 2


@pytest.mark.parametrize(
    ("suffix", "codec", "pixel_format"), [(".mp4", "hevc", "yuv420p10le"), (".mov", "prores", "yuv422p10le")]
)
def test_ten_bits_out(suffix: str, codec: str, pixel_format: str, plain: Path, tmp_path: Path, each_ffmpeg) -> None:
    output = tmp_path / f"out{suffix}"
    passthrough(plain, output, MediaSettings(codec=codec))
    info = probe(output)
    assert (info.codec, info.pixel_format, info.frames) == (codec, pixel_format, 25)


def flash(make_clip: MakeClip) -> Path:
    """A white flash and a click at 1.2 s, in a clip whose sound starts 0.4 s late."""
    return make_clip(
        "flash.mkv", "-f", "lavfi", "-i",
        "color=black:s=64x48:r=25:d=3,drawbox=c=white:t=fill:enable='between(t,1.19,1.23)'",
        "-itsoffset", "0.4", "-f", "lavfi", "-i", "aevalsrc='if(between(t,0.8,0.84),0.8*sin(3000*t),0)':s=48000:d=2",
        "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac",
    )  # fmt: skip


def flash_and_click(path: Path) -> tuple[float, float]:
    """When the picture turns white and when the sound starts, in seconds of the file's clock."""
    frames = read_frames(path)
    white = next(float(moment) for moment, array in frames if array.mean() > 128)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.1)
            if loud.size:
                return white, float(frame.pts * frame.time_base) + loud[0] / frame.sample_rate
    raise AssertionError("no click")


@pytest.mark.parametrize(
    ("suffix", "audio", "start"),
    [
        (".mp4", "auto", 0.0),
        (".mp4", "auto", 0.7),
        (".mp4", "transcode", 0.7),
        (".mkv", "auto", 0.0),
        (".mkv", "auto", 0.7),
        (".webm", "auto", 0.7),
    ],
)
def test_sound_stays_in_step(
    suffix: str, audio: str, start: float, make_clip: MakeClip, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg
) -> None:
    output = tmp_path / f"out{suffix}"
    settings = MediaSettings(start_seconds=start, duration_seconds=1.5, audio=audio)
    passthrough(flash(make_clip), output, settings)
    white, click = flash_and_click(output)
    assert abs(white - (1.2 - start)) < 0.002
    assert abs(click - white) < 0.02
    with av.open(str(output)) as container:
        assert container.duration is not None and container.duration / 1e6 < 1.65


def everything(make_clip: MakeClip) -> Path:
    """Two sounds with languages, subtitles, chapters, metadata and a font."""
    folder = make_clip("silent.mp4", *PICTURES, "-c:v", "libx264", "-pix_fmt", "yuv420p").parent
    (folder / "words.srt").write_text("1\n00:00:00,200 --> 00:00:00,800\nHello\n")
    (folder / "chapters.txt").write_text(
        ";FFMETADATA1\ntitle=A title\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=One\n"
    )
    (folder / "font.ttf").write_bytes(b"not really a font")
    return make_clip(
        "everything.mkv", *PICTURES, "-f", "lavfi", "-i", "sine=d=1", "-f", "lavfi", "-i", "sine=f=880:d=1",
        "-i", str(folder / "words.srt"), "-i", str(folder / "chapters.txt"), "-map", "0", "-map", "1", "-map", "2",
        "-map", "3", "-map_metadata", "4", "-map_chapters", "4", "-attach", str(folder / "font.ttf"),
        "-metadata:s:t", "mimetype=font/ttf", "-c:v", "libx264", "-c:a:0", "flac", "-c:a:1", "aac", "-c:s", "srt",
        "-metadata:s:a:1", "language=ger",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        (".mkv", {"video": 1, "audio": 2, "subtitle": 1, "attachment": 1}),
        (".mp4", {"video": 1, "audio": 2, "subtitle": 1}),
        (".webm", {"video": 1, "audio": 2, "subtitle": 1}),
        (".mov", {"video": 1, "audio": 2, "subtitle": 1}),
    ],
)
def test_everything_else_is_carried_or_named(suffix, expected, make_clip, tmp_path, each_ffmpeg) -> None:
    output = tmp_path / f"out{suffix}"
    _, encoder = passthrough(everything(make_clip), output, comment=json.dumps({"a": "b"}))
    with av.open(str(output)) as container:
        found = [stream.type for stream in container.streams if stream.type != "data"]  # mov's chapter track
        assert {kind: found.count(kind) for kind in found} == expected
        if hasattr(container, "chapters"):  # PyAV 16
            assert [chapter["metadata"].get("title") for chapter in container.chapters()] == ["One"]
        tags = {key.lower(): value for key, value in container.metadata.items()}
        assert tags["title"] == "A title" and json.loads(tags["comment"]) == {"a": "b"}
        assert container.streams.audio[1].metadata.get("language") == "ger"
    named = " ".join(encoder.notices)
    assert ("attachment stream" in named) == (suffix != ".mkv")
    assert ("flac) is transcoded" in named) == (suffix != ".mkv")


def test_copy_is_refused_where_it_cannot_be(make_clip: MakeClip, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="audio is to be copied, and mp4 does not take flac"):
        passthrough(everything(make_clip), tmp_path / "out.mp4", MediaSettings(audio="copy"))
    assert not os.listdir(tmp_path)


def test_rehearsal_transcodes_what_the_table_promised_wrongly(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = formats.CONTAINERS[".webm"]
    liar = formats.Container(**{**vars(container), "copies": frozenset({"aac", "flac"})})
    monkeypatch.setitem(formats.CONTAINERS, ".webm", liar)
    passthrough(everything(make_clip), tmp_path / "out.webm")
    with av.open(str(tmp_path / "out.webm")) as container:
        assert {stream.codec_context.name for stream in container.streams.audio} == {"opus"}


AUDIO = st.sampled_from(["aac", "opus", "vorbis", "flac", "pcm_s16le", "mp3float", "ac3", "dts", "unknown"])
OTHERS = st.sampled_from(["subrip", "ass", "mov_text", "dvdsub", "pgssub", "bin_data", "ttf", "mjpeg"])


@given(
    sounds=st.lists(AUDIO, max_size=3),
    others=st.lists(OTHERS, max_size=3),
    suffix=st.sampled_from([*formats.CONTAINERS]),
    audio=st.sampled_from(["auto", "transcode"]),
)
def test_every_stream_is_carried_or_named(sounds, others, suffix, audio) -> None:
    kind = {"subrip": "subtitle", "ass": "subtitle", "mov_text": "subtitle", "dvdsub": "subtitle", "pgssub": "subtitle",
            "bin_data": "data", "ttf": "attachment", "mjpeg": "cover art"}  # fmt: skip
    streams = [StreamInfo(n + 1, "audio", codec) for n, codec in enumerate(sounds)]
    streams += [StreamInfo(n + 1 + len(sounds), kind[codec], codec) for n, codec in enumerate(others)]
    info = info_of(64, 48)
    info = type(info)(**{**vars(info), "streams": tuple(streams)})
    plan = plan_streams(info, formats.CONTAINERS[suffix], MediaSettings(audio=audio))
    carried = {stream.index for stream in plan.carried}
    left_out = [notice for notice in plan.notices if "left out" in notice]
    assert len(carried) + len(left_out) == len(streams)
    assert all(f"stream {stream.index} " in " ".join(left_out) for stream in streams if stream.index not in carried)


def refusals(folder: Path, source: Path) -> dict[str, tuple[str, MediaSettings]]:
    (folder / "there.mp4").write_bytes(b"precious")
    (folder / "full").mkdir()
    (folder / "full" / "letter.txt").write_text("precious")
    plain = MediaSettings()
    return {
        "exists already": (f"{folder}/there.mp4", plain),
        "is not a folder": (f"{folder}/missing/out.mp4", plain),
        "has no ending": (f"{folder}/out.txt", plain),
        "is the source itself": (str(source), MediaSettings(overwrite=True)),
        "holds other files": (f"{folder}/full/", MediaSettings(overwrite=True)),
        "does not go into webm": (f"{folder}/out.webm", MediaSettings(codec="h264")),
        "has no such scale": (f"{folder}/out.gif", MediaSettings(crf=20)),
        "at most 51": (f"{folder}/out.mp4", MediaSettings(crf=60)),
    }


def test_outputs_that_cannot_be_are_refused_early(silent: Path, tmp_path: Path) -> None:
    for words, (output, settings) in refusals(tmp_path, silent).items():
        with pytest.raises(UsageError, match=words):
            check_output(OutputFormat.of(output, settings), silent)
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["full", "there.mp4"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="cannot be written to"):
        check_output(OutputFormat.of(tmp_path / "out.mp4"))


@pytest.mark.slow
def test_overwrite(silent: Path, tmp_path: Path) -> None:
    for output in (f"{tmp_path}/out.mkv", f"{tmp_path}/out/"):
        passthrough(silent, output)
        with pytest.raises(UsageError, match="exists already"):
            passthrough(silent, output)
        passthrough(silent, output, MediaSettings(overwrite=True, duration_seconds=0.2))
    assert sorted(os.listdir(tmp_path)) == ["out", "out.mkv"]
    assert len(list((tmp_path / "out").glob("*.png"))) == len(times(tmp_path / "out.mkv")) == 5


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("name", ["out.mp4", "out/"])
@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt, ValueError])
def test_nothing_stays_after_an_exception(name: str, error: type[BaseException], silent: Path, tmp_path: Path) -> None:
    with pytest.raises(error), Encoder(
        OutputFormat.of(f"{tmp_path}/{name}"), probe(silent), size=(96, 64), time_base=Fraction(1, 90_000)
    ) as encoder:  # fmt: skip
        for frame in decode(probe(silent)):
            encoder.write(frame)
            if encoder.frames == 5:
                raise error
    assert not os.listdir(tmp_path) and not running_ffmpegs()


def test_a_dead_encoder_is_an_error_with_its_words(silent: Path, tmp_path: Path) -> None:
    info = probe(silent)
    frames = list(decode(info)) * 50
    with pytest.raises(MediaError, match="FFmpeg could not write the mp4: it ended with status"), Encoder(
        OutputFormat.of(tmp_path / "out.mp4"), info, size=(96, 64), time_base=Fraction(1, 90_000)
    ) as encoder:  # fmt: skip
        for frame in frames:
            encoder.write(Frame(frame.pixels, encoder.frames * 3600, frame.time_base))
            if encoder.frames == 5:
                (writer,) = running_ffmpegs()
                os.kill(writer, signal.SIGKILL)
    assert not os.listdir(tmp_path)


def test_a_result_that_is_not_whole_is_not_published(silent: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("videostyle.media.mux.compare", lambda *_: "3 of 25 frames can be decoded")
    (tmp_path / "out.mkv").write_bytes(b"old")
    info = probe(silent)
    settings = MediaSettings(overwrite=True)
    with pytest.raises(MediaError, match="not whole: 3 of 25"), Encoder(
        OutputFormat.of(tmp_path / "out.mkv", settings), info, size=(96, 64), time_base=Fraction(1, 90_000)
    ) as encoder:  # fmt: skip
        for frame in decode(info):
            encoder.write(frame)
    assert (tmp_path / "out.mkv").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.mkv"]


def test_no_frames_is_an_error(silent: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no frame to write"), Encoder(
        OutputFormat.of(tmp_path / "out.mp4"), probe(silent), size=(96, 64), time_base=Fraction(1, 25)
    ):  # fmt: skip
        pass
    assert not os.listdir(tmp_path)


def test_odd_size_is_refused_where_even_is_needed(silent: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="even sides only"):
        Encoder(OutputFormat.of(tmp_path / "o.mp4"), probe(silent), size=(95, 64), time_base=Fraction(1, 25))


@pytest.mark.parametrize("name", ["-out.mp4", "a b'c\"%03d é ü.mkv", "pipe:1.mkv"])
def test_output_names_are_only_names(name: str, silent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    passthrough(silent, name)
    assert os.listdir(tmp_path) == [name]
    assert len(times(tmp_path / name)) == 25


def test_one_frame(make_clip: MakeClip, tmp_path: Path, each_ffmpeg: ffmpeg.Ffmpeg) -> None:
    clip = make_clip("one.mkv", "-f", "lavfi", "-i", "testsrc2=s=64x48:d=1:r=1", "-frames:v", "1", "-c:v", "ffv1")
    for name in ("out.mp4", "out.webm", "out.gif"):
        passthrough(clip, tmp_path / name)
        assert len(times(tmp_path / name)) == 1


@pytest.mark.slow
def test_no_child_outlives_the_interpreter(silent: Path, tmp_path: Path) -> None:
    """An owner that closes nothing: the decoder's FFmpeg ends with the process all the same."""
    code = (
        "import sys; from videostyle.media.decode import Decoder; from videostyle.media.probe import probe\n"
        "from media_tools import running_ffmpegs\n"
        "d = Decoder(probe(sys.argv[1])); next(iter(d)); print(*running_ffmpegs(), flush=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(silent)], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_what_a_killed_run_left_is_taken_away(silent: Path, tmp_path: Path) -> None:
    """A part of a process that is gone goes at the next run on that output; another's and a living one's stay."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = publish.host()
    names = [
        f".out.mkv.{host}-{ended.pid}-0123abcd.part",
        f".out.mkv.{host}-{os.getpid()}-0123abcd.part",
        f".out.mkv.00000000-{ended.pid}-0123abcd.part",
        f".other.mkv.{host}-{ended.pid}-0123abcd.part",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    passthrough(silent, tmp_path / "out.mkv")
    assert sorted(os.listdir(tmp_path)) == sorted([*names[1:], "out.mkv"])


def test_a_full_disk_is_seen_before_the_work(silent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = type("Usage", (), {"free": 5_000_000})
    monkeypatch.setattr("videostyle.media.publish.shutil.disk_usage", lambda _: free)
    info = probe(silent)
    output = OutputFormat.of(tmp_path / "out.mp4")
    check_space(output, info, size=(96, 64), frames=25)
    with pytest.raises(MediaError, match="needs about 346 MB, and 5 MB are free there"):
        check_space(output, info, size=(1920, 1080), frames=1111)
