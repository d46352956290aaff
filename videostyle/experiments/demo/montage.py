"""The demo video by FFmpeg: scenes of the canvas's size and rate and of exact length, with the clip's sound."""

import contextlib
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from videostyle.errors import MediaError, StalledError
from videostyle.media.ffmpeg import Ffmpeg, file_argument, find_ffmpeg, has, run

BACKGROUND = "0x141311"
SAMPLE_RATE = 48000
TIME_LIMIT = 1800.0  # seconds
PATIENCE, PATIENCE_PER_FRAME, PATIENCES = 8.0, 0.25, (1, 1, 2, 4, 8)  # seconds for a scene, and times as much
_numbers = itertools.count(64)
LINE = 4  # pixels, the width of a wipe's edge
ANIMATIONS = (
    (640, 12, 60),
    (560, 12, 50),
    (480, 10, 45),
    (440, 8, 45),
    (360, 8, 35),
    (320, 8, 25),
)  # width, frames/s, quality


@dataclass(frozen=True)
class Canvas:
    """What every scene is brought to: (width, height) in pixels and frames per second."""

    size: tuple[int, int]
    rate: Fraction
    sound: Path | None = None  # the clip whose sound is heard
    inside: tuple[int, int] | None = None  # what a clip fills of it; the whole by default


@dataclass(frozen=True)
class Part:
    """A clip in a scene: where it lies (x, y, width, height; None: the whole canvas), how many of its frames play."""

    clip: Path
    frames: int
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Scene:
    """``parts`` in turn or, with boxes, side by side; or a wipe between two. ``under``, ``over``: PNGs of its size."""

    frames: int
    parts: tuple[Part, ...] = ()
    under: Path | None = None
    over: Path | None = None
    overs: tuple[Path, ...] = ()  # for parts in turn, a PNG each
    wipe: bool = False
    sound: bool = True  # the clip's, from its beginning


def compose(scenes: Sequence[Scene], canvas: Canvas, output: Path) -> None:
    """Write all scenes to an mp4 that browsers and slides play. Raises MediaError with FFmpeg's words.

    Each scene by itself, then joined without encoding the pictures again: one graph of all inputs can hang FFmpeg.
    """
    with tempfile.TemporaryDirectory(dir=output.absolute().parent) as name:
        folder = Path(name)
        for number, scene in enumerate(scenes):
            _compose_scene(scene, canvas, folder / f"{number}.mov")
        listed = folder / "scenes.txt"
        # Absolute: FFmpeg takes other names from the list's own URL, which ends for it at a # or a ?.
        quoted = (file_argument(folder / f"{n}.mov").replace("'", r"'\''") for n in range(len(scenes)))
        listed.write_text("".join(f"file '{name}'\n" for name in quoted), encoding="utf-8")
        joined = ffmpeg.input(file_argument(listed), format="concat", safe=0)
        options = {"format": "mp4", "vcodec": "copy", "movflags": "+faststart"}
        options |= {"acodec": "aac", "audio_bitrate": "160k"} if canvas.sound else {}
        _execute(ffmpeg.output(joined, file_argument(output), **options))


def _compose_scene(scene: Scene, canvas: Canvas, output: Path) -> None:
    options: dict[str, Any] = {"vcodec": "libx264", "crf": 19, "preset": "medium", "r": str(canvas.rate)}
    options |= dict.fromkeys(("colorspace", "color_primaries", "color_trc"), "bt709") | {"color_range": "tv"}
    if canvas.sound:
        options |= {"acodec": "pcm_s16le", "ar": SAMPLE_RATE}
    graph = ffmpeg.output(*_streams(scene, canvas), file_argument(output), format="mov", pix_fmt="yuv420p", **options)
    # FFmpeg may hang or be busy on a slow machine: its time grows from try to try.
    patience = PATIENCE + PATIENCE_PER_FRAME * scene.frames
    for longer in PATIENCES:
        with contextlib.suppress(StalledError):
            return _execute(graph, seconds=longer * patience)
    _execute(graph)


def _streams(scene: Scene, canvas: Canvas) -> list[Any]:
    picture = _wiped(scene, canvas) if scene.wipe else _in_turn(scene, canvas)
    if scene.parts and scene.parts[0].box:
        picture = _beside(scene, canvas)
    if scene.over:
        picture = picture.overlay(_still(scene.over, scene.frames, canvas), format="yuv420")
    picture = _exactly(picture, scene.frames, canvas)
    return [picture, _sound(scene, canvas)] if canvas.sound else [picture]


def _in_turn(scene: Scene, canvas: Canvas) -> Any:
    """Parts one after the other over the whole canvas, each with its own PNG; none: the PNG below alone."""
    if not scene.parts:
        return _still(scene.under, scene.frames, canvas)
    shown = []
    for i, part in enumerate(scene.parts):
        picture = _fitted(_clip(part, canvas), canvas)
        if scene.overs:
            picture = picture.overlay(_still(scene.overs[i], part.frames, canvas), format="yuv420")
        shown.append(_exactly(picture, part.frames, canvas))
    return ffmpeg.concat(*shown, v=1, a=0) if len(shown) > 1 else shown[0]


def _beside(scene: Scene, canvas: Canvas) -> Any:
    """Parts in their boxes over a still page, in step: all begin with their first frame."""
    picture = _still(scene.under, scene.frames, canvas)
    for part in scene.parts:
        assert part.box is not None
        x, y, width, height = part.box
        clip = _clip(part, canvas).filter("scale", width, height, flags="lanczos").filter("setsar", 1)
        picture = picture.overlay(clip, x=x, y=y, format="yuv420", eof_action="repeat")
    return picture


def _wiped(scene: Scene, canvas: Canvas) -> Any:
    """The second part over the first up to an edge that sweeps over the canvas and back."""
    width, height = canvas.size
    below, above = (_fitted(_clip(part, canvas), canvas) for part in scene.parts)
    seconds = float(scene.frames / canvas.rate)
    edge = f"{width}*(0.5-0.5*cos(2*PI*t/{seconds:.6f}))"
    timing = f"r={canvas.rate}:d={seconds + 1}"
    black, white = (_open(f"color=c={c}:s={width}x{height}:{timing}", format="lavfi") for c in ("black", "white"))
    mask = black.overlay(white, x=f"{edge}-{width}", y=0, format="yuv444").filter("format", "gray")
    shown = below.overlay(ffmpeg.filter([above.filter("format", "yuva420p"), mask], "alphamerge"), format="yuv420")
    line = _open(f"color=c=white:s={LINE}x{height}:{timing}", format="lavfi")
    return shown.overlay(line, x=f"{edge}-{LINE // 2}", y=0, format="yuv420")


def _open(name: str, **options: Any) -> Any:
    """An input of its own: ffmpeg-python takes two that are alike for one, which can be used only once."""
    return ffmpeg.input(name, thread_queue_size=next(_numbers), **options)


def _clip(part: Part, canvas: Canvas) -> Any:
    return _open(file_argument(part.clip)).video.filter("fps", str(canvas.rate)).filter("setpts", "PTS-STARTPTS")


def _fitted(picture: Any, canvas: Canvas) -> Any:
    """Every clip in the same place, though their sizes were rounded; the rest in the background's colour."""
    inside = picture.filter("scale", *(canvas.inside or canvas.size), flags="lanczos")
    return inside.filter("pad", *canvas.size, "(ow-iw)/2", "(oh-ih)/2", color=BACKGROUND).filter("setsar", 1)


def _still(path: Path | None, frames: int, canvas: Canvas) -> Any:
    """A PNG as a stream, in the colours of the clips."""
    assert path is not None
    read = _open(file_argument(path), loop=1, framerate=str(canvas.rate), t=float(frames / canvas.rate) + 0.5)
    scaled = read.filter("scale", out_color_matrix="bt709", out_range="tv")
    return scaled.filter("format", "yuva420p").filter("setsar", 1)


def _exactly(picture: Any, frames: int, canvas: Canvas) -> Any:
    """So many frames, the last one held where there are fewer."""
    held = picture.filter("fps", str(canvas.rate)).filter("tpad", stop_mode="clone", stop=frames)
    return held.filter("trim", end_frame=frames).filter("setpts", "PTS-STARTPTS").filter("format", "yuv420p")


def _sound(scene: Scene, canvas: Canvas) -> Any:
    """The clip's sound or silence, exactly as long as the picture, softened at both ends."""
    seconds = float(scene.frames / canvas.rate)
    if scene.sound and canvas.sound:
        heard = _open(file_argument(canvas.sound)).audio.filter("aresample", SAMPLE_RATE).filter("apad")
        heard = heard.filter("afade", type="in", duration=0.15)
        heard = heard.filter("afade", type="out", start_time=max(0.0, seconds - 0.15), duration=0.15)
    else:
        heard = _open(f"anullsrc=r={SAMPLE_RATE}:cl=stereo", format="lavfi").audio
    heard = heard.filter("aformat", sample_rates=SAMPLE_RATE, channel_layouts="stereo")
    return heard.filter("atrim", duration=seconds).filter("asetpts", "PTS-STARTPTS")


def animate(video: Path, folder: Path, most_bytes: int) -> Path:
    """An animated WebP below ``most_bytes`` (a GIF where this FFmpeg writes no WebP), as large as it may be."""
    found = find_ffmpeg()
    webp = has(found, "encoders", "libwebp")
    output = folder / (f"{video.stem}.webp" if webp else f"{video.stem}.gif")
    for width, rate, quality in ANIMATIONS:
        picture = _open(file_argument(video)).video.filter("fps", rate).filter("scale", width, -2, flags="lanczos")
        _execute(_animation(picture, output, quality, webp), found)
        if output.stat().st_size <= most_bytes:
            return output
    output.unlink()
    raise MediaError(f"no animation of {video} is below {most_bytes} bytes; take a shorter clip")


def _animation(picture: Any, output: Path, quality: int, webp: bool) -> Any:
    if webp:
        # Every frame whole: libwebp_anim leaves blocks that change slowly as they were.
        options = {"vcodec": "libwebp", "quality": quality, "compression_level": 4, "loop": 0}
        return ffmpeg.output(picture, file_argument(output), format="webp", pix_fmt="yuv420p", **options)
    split = picture.filter_multi_output("split")
    drawn = ffmpeg.filter([split[0], split[1].filter("palettegen")], "paletteuse", dither="bayer", bayer_scale=4)
    return ffmpeg.output(drawn, file_argument(output), format="gif", loop=0)


def _execute(graph: Any, found: Ffmpeg | None = None, seconds: float = TIME_LIMIT) -> None:
    arguments = ffmpeg.get_args(graph.global_args("-hide_banner", "-nostdin", "-v", "error"), overwrite_output=True)
    status, _, words = run([(found or find_ffmpeg()).path, *arguments], seconds=seconds)
    if status != 0:
        last = words.strip().splitlines()[-1:] or ["it said nothing"]
        raise MediaError(f"FFmpeg could not compose the video: {last[0]}")
