"""Every kind of clip through everything but the stylisation, checked: frames, times, colours, streams, or one line.

    python scripts/benchmark/media.py --clips ../shared/clips -o out/media

Real clips (``--clips``) and files made with FFmpeg (`media_files.py`) go through `videostyle video --passthrough`.
For every one: frames out are the frames that PyAV decodes, times relative to the first lie within half a tick of the
output's, flat patches within 2/255 of FFmpeg's zscale chain, the sound's offset within one frame of the source's, every
stream is there or named; or the status is not zero, one line says why, and nothing lies at the output's path. Prints a
table; exit status 1 if a check fails.
"""

import argparse
import contextlib
import fnmatch
import io
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import media_files
import numpy as np
from common import say, write_json

from videostyle.cli.main import main as videostyle
from videostyle.errors import VideoStyleError
from videostyle.frames import VideoInfo
from videostyle.media.ffmpeg import file_argument, find_ffmpeg
from videostyle.media.probe import probe

FINE = Fraction(1, 90_000)  # a repeated time comes out one such tick later
OUTPUTS = (".mp4", ".mov", ".webm", ".mkv")
REFUSED = {"truncated.mp4", "garbage.mp4", "empty.mp4", "zero-frames.mp4", "playlist.m3u8", "cover.png"}
DAMAGED = {"truncated.mkv", "decord_corrupted.mp4"}  # PyAV's count is a lower bound
HDR = (
    "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,"
    "zscale=t=bt709:m=bt709:r=tv,format=yuv444p10le,"
)


@dataclass
class Row:
    """What came of one file in one container. ``problems`` is empty where all is as it must be."""

    name: str
    output: str
    frames: str = "-"
    ticks: float | None = None  # the worst time, in ticks of the output
    colour: float | None = None  # the worst flat patch, of 255
    sound: float | None = None  # how far the sound's offset moved, in seconds
    said: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        shown = ["-" if v is None else f"{v:.3f}" for v in (self.ticks, self.colour, self.sound)]
        verdict = "; ".join(self.problems) or "ok"
        return f"{self.name:28} {self.output:5} {self.frames:>9} {' '.join(f'{v:>7}' for v in shown)}  {verdict}"


def check(source: Path, suffix: str, folder: Path) -> Row:
    """Copy one file to one kind of container and compare."""
    row, output = Row(source.name, suffix), folder / f"{source.stem}-{source.suffix[1:]}{suffix}"
    output.unlink(missing_ok=True)
    arguments = ["video", str(source), "--passthrough", "--size", "8000", "-o", str(output), "--crf", "4"]
    status, row.said = run(arguments)
    try:
        info = probe(source)
    except VideoStyleError:
        info = None
    if (status != 0) or info is None or source.name in REFUSED:
        refusal(row, status, output)
    else:
        compare(row, info, output)
    if children():
        row.problems.append("a process was left behind")
    return row


def run(arguments: list[str]) -> tuple[int, list[str]]:
    """Exit status and the lines on stderr."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = videostyle(arguments)
    lines = said.getvalue().splitlines()
    return status, [line for line in lines if line.startswith(("note:", "videostyle:", "Traceback"))]


def refusal(row: Row, status: int, output: Path) -> None:
    """A file that cannot be used: one line, a status, and nothing written."""
    complaints = [line for line in row.said if line.startswith("videostyle:")]
    row.frames = "refused"
    if row.name not in REFUSED:
        row.problems.append("refused: " + " ".join(row.said))
    if status == 0 or len(complaints) != 1 or "should not happen" in complaints[0]:
        row.problems.append(f"status {status}, {len(complaints)} lines")
    if output.exists():
        row.problems.append("there is an output")


def compare(row: Row, info: VideoInfo, output: Path) -> None:
    """An output against its source, with PyAV alone."""
    wanted, made = times(info.path, info.stream_index), times(output, 0)
    row.frames = f"{len(wanted)}/{len(made)}"
    if len(made) != len(wanted) and not (row.name in DAMAGED and len(made) > len(wanted)):
        row.problems.append("frames")
    with av.open(str(output)) as container:
        tick = container.streams.video[0].time_base
        found = Counter(str(stream.type) for stream in container.streams)
    assert tick is not None
    row.ticks = float(max(abs(a - b) / tick for a, b in zip(wanted, made, strict=False)))
    if row.ticks > 0.5:
        row.problems.append("times")
    compare_streams(row, info, output, found)
    if info.path.name.startswith(("601-", "709-", "2020-", "hlg", "pq", "rgb")):
        row.colour = float(np.abs(patches(info.path, reference(info)) - patches(output, "format=rgb24")).max())
        if row.colour > 2:
            row.problems.append("colours")


def compare_streams(row: Row, info: VideoInfo, output: Path, found: Counter[str]) -> None:
    """Every other stream is there, or a line names it; the sound begins where it began."""
    named = " ".join(row.said)
    for kind in ("audio", "subtitle"):
        ours = [stream for stream in info.streams if stream.kind == kind]
        left = sum(
            f"{kind} stream {s.index} " in named and "left out" in named for s in ours if found[kind] < len(ours)
        )
        if found[kind] + left < len(ours):
            row.problems.append(f"{kind} streams")
    for stream in info.streams:
        if stream.kind not in ("audio", "subtitle") and f"stream {stream.index} " not in named:
            row.problems.append(f"{stream.kind} stream {stream.index} is not named")
    if found["audio"]:
        both = zip(offsets(info.path, info.stream_index), offsets(output, 0), strict=True)
        row.sound = float(min(abs(wanted - made) for wanted, made in both))
        if row.sound > 0.04:
            row.problems.append("sound moved")


def times(path: Path, index: int) -> list[Fraction]:
    """Seconds of every frame from the first on; a time that repeats, or runs backwards, comes one fine tick later."""
    found: list[Fraction] = []
    with av.open(str(path)) as container, contextlib.suppress(av.FFmpegError):
        for frame in container.decode(container.streams[index]):
            assert isinstance(frame, av.VideoFrame) and frame.pts is not None and frame.time_base is not None
            moment = frame.pts * frame.time_base
            found.append(max(moment, found[-1] + FINE) if found else moment)
    return [moment - found[0] for moment in found]


def offsets(path: Path, index: int) -> tuple[Fraction, Fraction]:
    """Seconds from the first picture to the first sound: as the container says, and by the first packet of sound.

    They differ by the encoder's priming, which mp4 hides by an edit list and Matroska shows: one of them must hold.
    """
    with av.open(str(path)) as container:
        video, audio = container.streams[index], container.streams.audio[0]
        starts = [(s.start_time or 0) * (s.time_base or Fraction(0)) for s in (video, audio)]
        first = next(packet for packet in container.demux(audio) if packet.pts is not None)
        assert first.pts is not None and audio.time_base is not None
        return starts[1] - starts[0], first.pts * audio.time_base - starts[0]


def reference(info: VideoInfo) -> str:
    """FFmpeg's zscale chain from a file of flat patches to RGB in BT.709's primaries."""
    if info.color_matrix is None:
        return "format=rgb24"
    hdr = HDR if info.color_transfer in ("arib-std-b67", "smpte2084") else ""
    primaries = "" if hdr else ":p=709:t=709"
    return f"{hdr}zscale=m=gbr:r=full{primaries},format=gbrp,format=rgb24"


def patches(path: Path, chain: str) -> np.ndarray:
    """(n, 3): the flat patches' centres in the first frame."""
    side = media_files.PATCH
    if chain == "format=rgb24":
        chain = f"scale=flags=bicubic+accurate_rnd+full_chroma_int,{chain}"
    command = [find_ffmpeg().path, "-v", "error", "-i", file_argument(path), "-frames:v", "1", "-vf", chain]
    done = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, check=True, timeout=60)
    picture = np.frombuffer(done.stdout, np.uint8).reshape(side, -1, 3)
    return picture[side // 2, side // 2 :: side].astype(int)


def children() -> list[str]:
    """The processes that this one has started and that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.append(stat.parent.name)
    return found


def outputs(path: Path) -> tuple[str, ...]:
    """Everything goes to .mp4; sound and subtitles to every container."""
    return OUTPUTS if path.name.startswith(("sound-", "subtitles")) else OUTPUTS[:1]


def jobs(folder: Path, clips: Path | None) -> Iterator[tuple[Path, str]]:
    """(file, container): the files that were made, and real clips to every container."""
    yield from ((path, suffix) for path in media_files.make(folder).values() for suffix in outputs(path))
    yield from ((path, suffix) for path in sorted(clips.iterdir() if clips else ()) for suffix in OUTPUTS)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="a folder of real clips")
    parser.add_argument("--only", metavar="PATTERN", default="*", help="files whose names match, such as 'sound-*'")
    parser.add_argument("-o", "--output", type=Path, help="keep the outputs here")
    parser.add_argument("--json", type=Path, help="write the table")
    arguments = parser.parse_args(argv)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.output or Path(scratch) / "out"
        folder.mkdir(parents=True, exist_ok=True)
        (Path(scratch) / "made").mkdir()
        say(f"ffmpeg {find_ffmpeg().version}")
        say(f"{'file':28} {'to':5} {'frames':>9} {'ticks':>7} {'colour':>7} {'sound':>7}")
        for path, suffix in jobs(Path(scratch) / "made", arguments.clips):
            if not fnmatch.fnmatch(path.name, arguments.only):
                continue
            rows.append(check(path, suffix, folder))
            say(rows[-1].line())
    wrong = sum(bool(row.problems) for row in rows)
    say(f"{len(rows)} files, {wrong} wrong")
    if arguments.json:
        results: dict[str, Any] = {f"{row.name} {row.output}": vars(row) for row in rows}
        write_json(arguments.json, "media matrix", {"ffmpeg": find_ffmpeg().version}, results)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
