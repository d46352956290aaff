"""Streams from pipe to pipe without painting: frames, times, layouts, colours; what is no stream, or not whole."""

import io
import os
import subprocess
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videostyle.errors import MediaError, UsageError, VideoStyleError
from videostyle.frames import Frame
from videostyle.media.ffmpeg import find_ffmpeg
from videostyle.media.pipe_input import PipeDecoder, PipeHead, read_head
from videostyle.media.pipe_output import PipeEncoder, PipeFormat

SIZE = 48, 32
PICTURES = ("-f", "lavfi", "-i", "testsrc2=size=48x32:rate=25:duration=0.4")  # 10 frames


def written(*arguments: str, container: str = "yuv4mpegpipe") -> bytes:
    """What ffmpeg writes to a pipe."""
    command = [find_ffmpeg().path, "-v", "error", *arguments, "-strict", "-1", "-f", container, "-"]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def nut(times: Sequence[int], tick: Fraction, size: tuple[int, int] = SIZE) -> bytes:
    """Raw RGB with these times, in ticks."""
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as container:
        stream = container.add_stream("rawvideo", rate=1000)
        stream.width, stream.height = size
        stream.pix_fmt, stream.codec_context.time_base = "rgb24", tick
        stream.time_base = tick
        for number, pts in enumerate(times):
            array = np.full((size[1], size[0], 3), 5 * number % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts, frame.time_base = pts, tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def head_of(data: bytes) -> PipeHead:
    """Through a real pipe, as far as one holds it."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb", buffering=0) as other:
        feeder = threading.Thread(target=_fed, args=(other, data))
        feeder.start()
        try:
            return read_head(pipe)
        finally:
            pipe.close()
            feeder.join()


def _fed(pipe: io.RawIOBase, data: bytes) -> None:
    try:
        pipe.write(data)
        pipe.close()
    except BrokenPipeError:
        pass


def copied(data: bytes, folder: Path, size: tuple[int, int] | None = None) -> tuple[Path, PipeDecoder]:
    """The stream from one open file to another, and its decoder."""
    source, target = folder / "in", folder / "out"
    source.write_bytes(data)
    with source.open("rb") as reads, target.open("wb") as writes:
        head = read_head(reads)
        size = size or (head.info.width, head.info.height)
        decoder = PipeDecoder(head, reads, size)
        with decoder, PipeEncoder(writes, head.info, size=size, time_base=decoder.time_base) as encoder:
            for frame in decoder:
                encoder.write(frame)
    return target, decoder


def frames_of(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(
    ("pixel_format", "levels", "expected"),
    [
        ("yuv420p", "tv", "C420jpeg XYSCSS=420JPEG XCOLORRANGE=LIMITED"),
        ("yuv422p", "tv", "C422 XYSCSS=422 XCOLORRANGE=LIMITED"),
        ("yuv444p", "pc", "C444 XYSCSS=444 XCOLORRANGE=FULL"),
        ("yuv420p10le", "tv", "C420p10 XYSCSS=420P10 XCOLORRANGE=LIMITED"),
        ("yuv444p16le", "pc", "C444p16 XYSCSS=444P16 XCOLORRANGE=FULL"),
        ("gray", "pc", "C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL"),
        ("yuva444p", "tv", "C444 XYSCSS=444 XCOLORRANGE=LIMITED"),
    ],
)
def test_a_y4m_keeps_its_layout_range_and_rate(tmp_path, pixel_format, levels, expected):
    data = written(*PICTURES, "-vf", f"scale=out_range={levels},format={pixel_format},setparams=range={levels}")
    if not data:
        pytest.skip(f"this ffmpeg writes no {pixel_format}")
    out, decoder = copied(data, tmp_path)
    header = out.read_bytes().partition(b"\n")[0].decode()
    assert header == f"YUV4MPEG2 W48 H32 F25:1 Ip A1:1 {expected}"
    assert len(frames_of(out)) == decoder.frames == 10 and not decoder.broke_off


@pytest.mark.parametrize("rate", ["30000/1001", "25", "12.5"])
def test_a_y4m_keeps_its_rate(tmp_path, rate):
    out, _ = copied(written("-f", "lavfi", "-i", f"testsrc2=size=48x32:rate={rate}", "-frames:v", "7"), tmp_path)
    with av.open(str(out)) as container:
        assert container.streams.video[0].average_rate == Fraction(rate)
        assert [f.pts for f in container.decode(video=0)] == list(range(7))


@settings(max_examples=12)
@given(
    steps=st.lists(st.integers(1, 200_000), min_size=1, max_size=6),
    first=st.integers(0, 10_000_000),
    tick=st.sampled_from([Fraction(1, 1000), Fraction(1001, 30000), Fraction(1, 25), Fraction(1, 90000)]),
)
def test_a_nut_keeps_every_time(tmp_path_factory, steps, first, tick):
    times = [first + sum(steps[:n]) for n in range(len(steps) + 1)]
    out, decoder = copied(nut(times, tick), tmp_path_factory.mktemp("nut"))
    assert [f.pts * f.time_base for f in frames_of(out)] == [t * tick for t in times]
    assert not decoder.broke_off and not decoder.warnings


def test_rgb_comes_through_to_the_bit(tmp_path):
    out, _ = copied(nut(range(9), Fraction(1, 25)), tmp_path)
    pixels = [f.to_ndarray(format="rgb24") for f in frames_of(out)]
    assert [int(p.min()) for p in pixels] == [int(p.max()) for p in pixels] == [5 * n for n in range(9)]


def test_colours_come_back(tmp_path):
    """In the coding that came in, where the height does not change: the same planes, but for rounding."""
    data = written(*PICTURES, "-vf", "format=rgb24,format=yuv444p")  # no colour that RGB has not
    copied(data, tmp_path)
    before, after = (frames_of(tmp_path / name) for name in ("in", "out"))
    for a, b in zip(before, after, strict=True):
        assert np.abs(a.to_ndarray().astype(int) - b.to_ndarray().astype(int)).max() <= 2


def test_the_matrix_is_the_one_that_a_reader_assumes():
    info = head_of(written("-f", "lavfi", "-i", "testsrc2=size=1280x720", "-frames:v", "1")).info
    assert info.color_matrix == "bt709" and any("BT.709" in notice for notice in info.notices)
    assert "out_color_matrix=bt709" in PipeFormat.of(info, (1280, 720)).filters
    assert "out_color_matrix=bt601" in PipeFormat.of(info, (640, 360)).filters


def test_pixels_that_are_not_square_become_so(tmp_path):
    out, decoder = copied(written(*PICTURES, "-vf", "setsar=4/3"), tmp_path)
    assert decoder.size == (64, 32) and b" A1:1 " in out.read_bytes()[:80]


def test_frames_come_out_before_the_next_ones_go_in(tmp_path):
    """A frame is there when one more has come: nothing waits for a full buffer or the end."""
    data = written(*PICTURES, "-pix_fmt", "yuv444p")
    head = len(data.partition(b"\n")[0]) + 1
    each = (len(data) - head) // 10
    (source, fed), (taken, target) = os.pipe(), os.pipe()
    came: list[int] = []

    def work() -> None:
        with os.fdopen(source, "rb") as reads, os.fdopen(target, "wb") as writes:
            known = read_head(reads)
            decoder = PipeDecoder(known, reads, SIZE)
            with decoder, PipeEncoder(writes, known.info, size=SIZE, time_base=decoder.time_base) as encoder:
                for frame in decoder:
                    came.append(frame.pts)
                    encoder.write(frame)

    thread = threading.Thread(target=work)
    thread.start()
    count = 0
    with os.fdopen(fed, "wb", buffering=0) as pipe:
        pipe.write(data[: head + 8 * each])
        while count < 6 * each:  # would wait for ever if they were held back
            count += len(os.read(taken, 1 << 20))
        pipe.write(data[head + 8 * each :])
    while piece := os.read(taken, 1 << 20):
        count += len(piece)
    os.close(taken)
    thread.join()
    assert len(came) == 10 and abs(count - len(data)) < 100


@pytest.mark.parametrize("share", [0.5, 0.97])
@pytest.mark.parametrize("container", ["yuv4mpegpipe", "nut"])
def test_a_stream_that_breaks_off_is_told(tmp_path, container, share):
    coding = ("-c:v", "rawvideo") if container == "nut" else ()
    data = written(*PICTURES, "-pix_fmt", "yuv420p", *coding, container=container)
    out, decoder = copied(data[: int(share * len(data))], tmp_path)
    assert decoder.broke_off and 0 < decoder.frames < 10 and len(frames_of(out)) == decoder.frames


def test_a_whole_nut_is_whole(tmp_path):
    _, decoder = copied(written(*PICTURES, "-c:v", "rawvideo", container="nut"), tmp_path)
    assert decoder.frames == 10 and not decoder.broke_off


HEADER = b"YUV4MPEG2 W48 H32 F25:1 C420\n"


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", MediaError, "ended before it began"),
        (b"hello\n", UsageError, "begins with b'hello"),
        (b"YUV4", UsageError, "begins with"),
        (HEADER, MediaError, "first frame|cannot be read"),
        (HEADER + b"FRAME\n" + b"x" * 99, MediaError, "first frame|cannot be read"),
        (HEADER + b"NOISE\n" + b"x" * 9999, MediaError, "cannot be read as y4m"),
        (b"YUV4MPEG2 W99999 H99999 F25:1 C420\nFRAME\n" + b"x" * 9999, MediaError, "megapixels|cannot be read as y4m"),
        (b"YUV4MPEG2 W0 H0 F25:1 C420\nFRAME\n" + b"x" * 9999, MediaError, "cannot be read as y4m"),
        (b"nut/multimedia container\0" + b"\xff" * 9999, MediaError, "cannot be read as NUT"),
    ],
)
def test_what_is_no_stream_is_one_line(data, kind, words):
    with pytest.raises(kind, match=words) as caught:
        head_of(data)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=400))
@settings(max_examples=30)
def test_any_bytes_after_a_header_are_refused_or_read(noise):
    with pytest.raises(VideoStyleError):
        head_of(HEADER + noise)


def test_coded_video_and_sound_alone_are_refused():
    with pytest.raises(UsageError, match="holds mpeg4; expected raw video: add -c:v rawvideo"):
        head_of(written(*PICTURES, "-c:v", "mpeg4", container="nut"))
    with pytest.raises(UsageError, match="no video stream"):
        head_of(written("-f", "lavfi", "-i", "sine=duration=0.2", container="nut"))


def test_sound_beside_the_picture_is_left_out_and_told():
    sound = ("-f", "lavfi", "-i", "sine=duration=0.4")
    info = head_of(written(*PICTURES, *sound, "-c:v", "rawvideo", container="nut")).info
    assert any("audio stream 1" in notice and "left out" in notice for notice in info.notices)


def test_a_reader_that_has_gone_is_told(tmp_path):
    head = head_of(nut([0], Fraction(1, 25)))
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        encoder = PipeEncoder(pipe, head.info, size=SIZE, time_base=Fraction(1, 90000))
        with pytest.raises(MediaError, match="whoever reads standard output has gone"), encoder:
            for number in range(10_000):
                encoder.write(Frame(torch.zeros(1, 3, *SIZE[::-1]), number, Fraction(1, 90000)))
        assert encoder.frames < 10_000


def test_what_is_written_before_an_error_is_whole(tmp_path):
    head, out = head_of(written(*PICTURES)), tmp_path / "out.y4m"
    with out.open("wb") as pipe:
        encoder = PipeEncoder(pipe, head.info, size=SIZE, time_base=Fraction(1, 25))
        with pytest.raises(ZeroDivisionError), encoder:
            for number in range(3):
                encoder.write(Frame(torch.zeros(1, 3, *SIZE[::-1]), number, Fraction(1, 25)))
            raise ZeroDivisionError
    assert len(frames_of(out)) == 3
