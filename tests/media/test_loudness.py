"""The loudness of a clip's sound: tones whose level is known, at the times of the frames, in many forms."""

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_tools import PICTURES, MakeClip

from videostyle.errors import MediaError, UsageError, VideoStyleError
from videostyle.media.decode import Decoder
from videostyle.media.loudness import Loudness, loudness, read_sound
from videostyle.media.probe import probe

RATE = 16_000
# A second of dark pictures with a tenth of white at half a second, and a beep with it
FLASH = ("-f", "lavfi", "-i", "color=black:s=64x48:r=50:d=1,drawbox=c=white:t=fill:enable='between(t,0.495,0.595)'")
BEEP = ("-f", "lavfi", "-i", "aevalsrc='0.5*sin(2*PI*440*t)*between(t,0.5,0.6)':s=48000:d=1")


def tone(hertz: float, seconds: float, level: float | np.ndarray = 0.5, rate: int = RATE) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE))


def written(path: Path, *parts: np.ndarray, rate: int = RATE) -> Path:
    """A WAV file of 16 bits; the rows of parts are channels."""
    samples = np.concatenate(parts, axis=-1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(np.atleast_2d(samples)))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(samples.T * 32767).astype("<i2").tobytes())
    return path


def curve(found: Loudness, begin: float, end: float) -> np.ndarray:
    return np.array([found(t) for t in np.arange(begin, end, 0.005)])


def edge(found: Loudness, begin: float, end: float, level: float = 0.5) -> float:
    """When the loudness first reaches a level."""
    times = np.arange(begin, end, 0.001)
    return float(times[np.argmax(np.array([found(t) for t in times]) >= level)])


def test_bursts_are_one_and_the_silence_between_is_zero(tmp_path: Path) -> None:
    sounds = [tone(440, 1.0), silence(1.0)] * 3
    found = loudness(written(tmp_path / "bursts.wav", *sounds), "audio", 0.0)
    for start in (0, 2, 4):
        assert (curve(found, start + 0.05, start + 0.95) > 0.9).all()
        assert (curve(found, start + 1.05, start + 1.95) == 0).all()
    assert edge(found, 1.5, 2.5) == pytest.approx(2.0, abs=0.03)


@pytest.mark.parametrize("smooth", [0.1, 0.3, 1.0])
def test_smoothing_does_not_lag(smooth: float, tmp_path: Path) -> None:
    clip = written(tmp_path / "burst.wav", silence(2.0), tone(440, 2.0), silence(2.0))
    found = loudness(clip, "audio", smooth)
    assert edge(found, 0, 3) == pytest.approx(2.0, abs=0.03)
    rise, fall = curve(found, 1.0, 3.0), curve(found, 3.0, 5.0)[::-1]
    assert np.abs(rise - fall).max() < 0.06
    assert edge(found, 0, 3, 0.95) - edge(found, 0, 3, 0.05) == pytest.approx(1.35 * smooth, rel=0.3)
    assert np.abs(np.diff(curve(found, 0, 6))).max() < 0.012 / smooth


def test_levels_go_with_decibels(tmp_path: Path) -> None:
    parts = [tone(440, 1.0, 10 ** (-level / 20)) for level in (30, 24, 18, 12, 6)]
    found = loudness(written(tmp_path / "steps.wav", *parts), "audio", 0.0)
    assert [found(t + 0.5) for t in range(5)] == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=0.01)


@pytest.mark.parametrize("drive", ["audio", "bass"])
@pytest.mark.parametrize("kind", ["tone", "noise"])
def test_a_steady_sound_is_about_a_half(kind: str, drive: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 6 * RATE)
    clip = written(tmp_path / "steady.wav", tone(80, 6.0) if kind == "tone" else noise)
    values = curve(loudness(clip, drive, 0.3), 0, 6)
    most = {("tone", "audio"): 0.01, ("tone", "bass"): 0.02, ("noise", "audio"): 0.1, ("noise", "bass"): 0.35}
    assert np.abs(values - 0.5).max() < most[kind, drive]


def test_silence_is_zero(tmp_path: Path) -> None:
    for name, part in (("none", silence(1.0)), ("dither", np.random.default_rng(0).integers(-1, 2, RATE) / 32767)):
        clip = written(tmp_path / f"{name}.wav", part)
        for drive in ("audio", "bass"):
            assert not curve(loudness(clip, drive), -1, 3).any()


def test_bass_hears_50_hz_and_not_2_khz(tmp_path: Path) -> None:
    both = [tone(50, 1.0), tone(2000, 1.0)] * 3
    sound = read_sound(written(tmp_path / "both.wav", *both))
    bass, audio = sound.loudness("bass", 0.0), sound.loudness("audio", 0.0)
    for start in (0, 2, 4):
        assert (curve(bass, start + 0.1, start + 0.9) > 0.9).all()
        assert (curve(bass, start + 1.1, start + 1.9) == 0).all()
    assert np.abs(curve(audio, 0.1, 5.9) - 0.5).max() < 0.15
    high = loudness(written(tmp_path / "high.wav", tone(2000, 2.0)), "bass", 0.0)
    assert not curve(high, 0.1, 1.9).any()  # a tone that begins at once is a click, which holds some bass


def test_the_filter_of_the_bass_in_a_sweep(tmp_path: Path) -> None:
    """From 20 to 400 Hz in ten seconds: flat below 120 Hz, -6 dB at 150, nothing above 190."""
    seconds = np.arange(10 * RATE) / RATE
    sweep = 0.5 * np.sin(2 * np.pi * (20 * seconds + 19 * seconds**2))
    sound = read_sound(written(tmp_path / "sweep.wav", sweep))
    gain = sound.levels["bass"] - sound.levels["audio"]
    hertz = 20 + 38 * (np.arange(len(gain)) + 0.5) / 100
    assert np.abs(gain[(hertz > 30) & (hertz < 115)]).max() < 0.5
    assert gain[np.argmin(np.abs(hertz - 150))] == pytest.approx(-6, abs=1)
    assert gain[(hertz > 190) & (hertz < 395)].max() < -45


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"])
def test_every_sample_format_gives_the_same(codec: str, make_clip: MakeClip) -> None:
    clip = make_clip(f"{codec}.wav", *BEEP, "-ar", "44100", "-c:a", codec)
    found = loudness(clip, "audio", 0.0)
    assert edge(found, 0, 1) == pytest.approx(0.5, abs=0.03) and found(0.55) > 0.9 and found(0.3) == found(0.8) == 0


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (22050, 2), (44100, 1), (44100, 2), (48000, 2), (96000, 1)])
def test_rates_and_channels(rate: int, channels: int, tmp_path: Path) -> None:
    sound = np.concatenate((tone(440, 1.0, 0.05, rate), tone(440, 1.0, 0.5, rate)))
    clip = written(tmp_path / "x.wav", np.stack([sound] * 2) if channels == 2 else sound, rate=rate)
    levels = read_sound(clip).levels["audio"]
    assert len(levels) == pytest.approx(200, abs=1)
    assert levels[[50, 150]] == pytest.approx([-29.03, -9.03], abs=0.1 if channels == 1 else 3.1)
    assert levels[150] - levels[50] == pytest.approx(20, abs=0.05)


@pytest.mark.parametrize("channels", [3, 4, 5, 6, 7, 8])
def test_many_channels(channels: int, tmp_path: Path) -> None:
    clip = written(tmp_path / "many.wav", np.stack([np.concatenate((silence(0.5), tone(440, 0.5)))] * channels))
    assert edge(loudness(clip, "audio", 0.0), 0, 1) == pytest.approx(0.5, abs=0.03)


def test_loud_stereo_is_not_clipped(tmp_path: Path) -> None:
    quiet, loud = (np.stack([tone(440, 1.0, level)] * 2) for level in (0.25, 1.0))
    levels = read_sound(written(tmp_path / "loud.wav", quiet, loud)).levels["audio"]
    assert levels[150] - levels[50] == pytest.approx(12.04, abs=0.02)


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("plain.mp4", ("-c:v", "libx264", "-c:a", "aac")),
        ("plain.mkv", ("-c:v", "libx264", "-c:a", "libopus")),
        ("plain.webm", ("-c:v", "libvpx", "-c:a", "libvorbis")),
        ("plain.mov", ("-c:v", "libx264", "-c:a", "pcm_s16be")),
        ("plain.ts", ("-c:v", "libx264", "-c:a", "mp2")),
        ("plain.avi", ("-c:v", "mpeg4", "-c:a", "libmp3lame")),
        ("b_frames.mkv", ("-c:v", "libx264", "-bf", "2", "-c:a", "flac", "-output_ts_offset", "7")),
    ],
)
def test_a_beep_sounds_when_its_picture_is_shown(name: str, codecs: tuple[str, ...], make_clip: MakeClip) -> None:
    info = probe(make_clip(f"beep_{name}", *FLASH, *BEEP, "-pix_fmt", "yuv420p", *codecs))
    with Decoder(info) as decoder:
        shown = next(float(frame.time_seconds) for frame in decoder if frame.pixels.mean() > 0.5)
    for start in (info.start_seconds, None):
        found = loudness(info.path, "audio", 0.0, start)
        assert edge(found, 0, 1) == pytest.approx(shown, abs=0.04)


@pytest.mark.parametrize(("late", "container"), [("audio", "mkv"), ("audio", "mp4"), ("audio", "ts"), ("video", "mkv")])
def test_a_stream_that_begins_later_keeps_its_place(late: str, container: str, make_clip: MakeClip) -> None:
    """Sound or pictures begin 0.7 s after the other; beep and flash are so far apart as well."""
    offset = ("-itsoffset", "0.7")
    inputs = (*FLASH, *offset, *BEEP) if late == "audio" else (*offset, *FLASH, *BEEP)
    clip = make_clip(
        f"late_{late}.{container}", *inputs, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-c:a", "aac",
    )  # fmt: skip
    info = probe(clip)
    with Decoder(info) as decoder:
        shown = next(float(frame.time_seconds) for frame in decoder if frame.pixels.mean() > 0.5)
    heard = edge(loudness(clip, "audio", 0.0, info.start_seconds), 0, 2)
    assert heard - shown == pytest.approx(0.7 if late == "audio" else -0.7, abs=0.04)
    assert shown == pytest.approx(0.5 if late == "audio" else 1.2, abs=0.03)


def test_a_given_start_moves_the_clock(tmp_path: Path) -> None:
    clip = written(tmp_path / "x.wav", silence(1.0), tone(440, 1.0))
    assert edge(loudness(clip, "audio", 0.0, 0.25), 0, 2) == pytest.approx(0.75, abs=0.03)
    assert edge(loudness(clip, "audio", 0.0, Fraction(-1, 2)), 0, 2) == pytest.approx(1.5, abs=0.03)


def test_sound_that_ends_before_the_pictures_gives_way_to_silence(make_clip: MakeClip) -> None:
    pictures = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=3")
    clip = make_clip("short_sound.mkv", *pictures, *("-f", "lavfi", "-i", "sine=frequency=440:duration=1"))
    found = loudness(clip, "audio", 0.3)
    assert found(0.0) == pytest.approx(1, abs=0.05) and found(0.7) > 0.9
    assert found(1.5) == found(2.9) == found(99) == 0
    assert np.abs(np.diff(curve(found, 0, 3))).max() < 0.05


def test_a_steady_sound_as_long_as_the_pictures_does_not_fade(plain: Path) -> None:
    found = loudness(plain, "audio", 0.3)
    assert np.abs(curve(found, 0, 1) - 0.5).max() < 0.1


def gapped(path: Path, times: list[float]) -> Path:
    """A Matroska file with a tenth of a second of tone at each of these times."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for time in times:
            samples = np.round(tone(400, 0.1) * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, round(time * RATE), Fraction(1, RATE)
            container.mux(stream.encode(frame))
    return path


def test_gaps_are_silent_and_jitter_is_not(tmp_path: Path) -> None:
    found = loudness(gapped(tmp_path / "gap.mkv", [0, 0.1, 0.2, 2.0, 2.1, 2.2]), "audio", 0.0)
    assert found(0.15) > 0.9 and found(2.15) > 0.9 and not curve(found, 0.35, 1.95).any()
    steady = loudness(gapped(tmp_path / "jitter.mkv", [0, 0.12, 0.19, 0.31, 0.4, 0.52]), "audio", 0.0)
    assert curve(steady, 0, 0.6).min() > 0.4


def test_a_clock_that_jumps_for_hours_does_not_fill_the_memory(tmp_path: Path) -> None:
    levels = read_sound(gapped(tmp_path / "jump.mkv", [0, 0.1, 1e6, 1e6 + 0.1])).levels["audio"]
    assert len(levels) == 40 and levels.min() > -15


def test_sound_in_pieces_is_the_same_sound(tmp_path: Path) -> None:
    """What is measured does not depend on where the pieces of a second begin."""
    noise = np.random.default_rng(3).normal(0, 0.1, 3 * RATE)
    sound = read_sound(written(tmp_path / "a.wav", noise))
    later = read_sound(written(tmp_path / "b.wav", silence(0.37), noise))
    for drive, level in sound.levels.items():
        assert np.abs(level[5:290] - later.levels[drive][42:327]).max() < 0.2


def test_values_lie_between_0_and_1_and_are_joined_by_lines() -> None:
    found = Loudness(np.array([0.0, 1.0, 0.5]))
    assert [found(t) for t in (-1, 0.005, 0.01, 0.015, 0.02, 0.025, 9)] == pytest.approx([0, 0, 0.5, 1, 0.75, 0.5, 0.5])
    assert Loudness(np.array([0.3]))(7) == 0.3


def test_a_clip_without_sound_is_refused(silent: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"silent\.mp4 has no sound, and something is to follow it; take a clip"):
        loudness(silent, "audio")
    with pytest.raises(UsageError, match=r"none\.mp4 does not exist; expected a video file$"):
        loudness(tmp_path / "none.mp4", "bass")


def test_what_is_no_clip_is_refused_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no clip\n" * 100)
    with pytest.raises(MediaError, match=r"text\.mp4 cannot be read as a clip \(.+\); expected a video file$"):
        loudness(text, "audio")


def test_damaged_sound_is_read_as_far_as_it_goes(make_clip: MakeClip, tmp_path: Path) -> None:
    whole = make_clip("whole.mkv", *PICTURES, *("-f", "lavfi", "-i", "sine=frequency=440:duration=1"), "-c:a", "ac3")
    data = bytearray(whole.read_bytes())
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: len(data) // 2])
    assert 5 < len(read_sound(cut).levels["audio"]) < 90
    rng = np.random.default_rng(5)
    for _ in range(20):
        broken = bytearray(data)
        for place in rng.integers(600, len(data), 40):
            broken[place] ^= int(rng.integers(1, 256))
        cut.write_bytes(broken)
        try:
            sound = read_sound(cut)
        except VideoStyleError as error:
            assert "\n" not in str(error)
            continue
        assert all(np.isfinite(level).all() for level in sound.levels.values())
        assert all(word.startswith("the sound is damaged: ") for word in sound.warnings)


def test_sound_that_nothing_can_be_decoded_of_is_refused(make_clip: MakeClip, tmp_path: Path) -> None:
    whole = make_clip("flac.mkv", "-f", "lavfi", "-i", "sine=frequency=440:duration=1", "-c:a", "flac").read_bytes()
    begin = whole.index(b"\x1f\x43\xb6\x75")  # the first cluster
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(whole[:begin] + whole[begin:].replace(b"\xff\xf8", b"\x00\x00"))
    with pytest.raises(MediaError, match=r"nothing of its flac sound can be decoded.*; is it whole\?$"):
        loudness(broken, "audio")


def test_channels_that_nothing_mixes_are_refused(tmp_path: Path) -> None:
    clip = written(tmp_path / "nine.wav", np.stack([tone(440, 0.5)] * 9))
    with pytest.raises(MediaError, match=r"nothing of its pcm_s16le sound can be decoded \(.+\); is it whole\?$"):
        loudness(clip, "audio")
