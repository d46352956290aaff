"""The files of the media matrix, made with FFmpeg: one of every kind of clip that a user may bring."""

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from videostyle.media.ffmpeg import file_argument, find_ffmpeg

PATCHES = ("C8283C", "1EB45A", "143CDC", "808080", "FAFAFA", "202020")
PATCH = 32  # side of a flat patch in pixels
SOUNDS = {
    "aac": "aac", "opus": "libopus", "vorbis": "libvorbis", "flac": "flac", "pcm": "pcm_s16le", "mp3": "libmp3lame",
    "ac3": "ac3",
}  # fmt: skip
PICTURES = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1")
TONE = ("-f", "lavfi", "-i", "sine=d=1")
H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
LOSSLESS = ("-c:v", "ffv1")
MATRICES = {"601": ("smpte170m", "smpte170m"), "709": ("bt709", "bt709"), "2020": ("bt2020nc", "bt2020")}
ZSCALE = {"smpte170m": "170m", "bt709": "709", "bt2020nc": "2020_ncl"}  # its own names
TURNS = {
    "turned-90": (0, 1, -1, 0), "turned-180": (-1, 0, 0, -1), "turned-270": (0, -1, 1, 0), "mirrored": (-1, 0, 0, 1),
    "mirrored-turned": (0, 1, 1, 0),
}  # fmt: skip


def make(folder: Path) -> dict[str, Path]:
    """Every file of the matrix by its name, in ``folder``."""
    recipes = dict(_recipes(folder))
    found = {name: _ffmpeg(folder / name, *arguments) for name, arguments in recipes.items()}
    for name, matrix in TURNS.items():
        found[f"{name}.mp4"] = _turned(found["plain.mp4"], folder / f"{name}.mp4", matrix)
    return found | dict(_broken(folder, found["plain.mp4"], found["plain.mkv"]))


def _recipes(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(name, FFmpeg's arguments), what others need first."""
    yield "plain.mp4", (*PICTURES, *TONE, *H264, "-c:a", "aac")
    yield "plain.mkv", (*PICTURES, *H264)
    yield from _colours()
    yield from _geometry_and_time()
    yield from _sounds()
    yield from _other_streams(folder)


def _colours() -> Iterator[tuple[str, tuple[str, ...]]]:
    colours = ";".join(f"color=0x{c}:s={PATCH}x{PATCH}:r=10:d=0.3[c{n}]" for n, c in enumerate(PATCHES))
    labels = "".join(f"[c{n}]" for n in range(len(PATCHES)))
    source = f"{colours};{labels}hstack={len(PATCHES)},format=gbrp"
    for name, (matrix, primaries) in MATRICES.items():
        for spoken, short in {"limited": "tv", "full": "pc"}.items():
            for deep in ("yuv444p", "yuv420p10le"):
                chain = f"setparams=colorspace=gbr:range=pc,zscale=m={ZSCALE[matrix]}:r={spoken},format={deep}"
                tagged = _tagged(source, chain, matrix, primaries, "bt709", short)
                yield f"{name}-{spoken}-{deep}.mkv", tagged
    for name, curve in {"hlg": "arib-std-b67", "pq": "smpte2084"}.items():
        chain = "setparams=colorspace=gbr:range=pc,zscale=m=2020_ncl:r=limited,format=yuv420p10le"
        yield f"{name}.mkv", _tagged(source, chain, "bt2020nc", "bt2020", curve, "tv")
    yield "rgb.mkv", ("-f", "lavfi", "-i", source, *LOSSLESS)
    alpha = "testsrc2=s=96x64:r=25:d=0.4,format=yuva420p,colorchannelmixer=aa=0.5"
    yield "alpha.webm", ("-f", "lavfi", "-i", alpha, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p")


def _tagged(source: str, chain: str, matrix: str, primaries: str, curve: str, spoken: str) -> tuple[str, ...]:
    """A lossless file whose tags say so: FFmpeg 5 takes them from its options, FFmpeg 9 from the frames."""
    frames = f"setparams=colorspace={matrix}:color_primaries={primaries}:color_trc={curve}:range={spoken}"
    options = ("-colorspace", matrix, "-color_primaries", primaries, "-color_trc", curve, "-color_range", spoken)
    return ("-f", "lavfi", "-i", source, "-vf", f"{chain},{frames}", *LOSSLESS, *options)


def _geometry_and_time() -> Iterator[tuple[str, tuple[str, ...]]]:
    kept = ("-fps_mode", "passthrough", "-enc_time_base", "1/90000")
    yield "odd.mkv", (*PICTURES, "-vf", "scale=65:49", *LOSSLESS, "-pix_fmt", "yuv420p")
    yield "wide-pixels.mkv", (*PICTURES, "-vf", "setsar=128/117", *LOSSLESS)
    yield "variable.mkv", (*PICTURES, "-vf", "settb=1/1000,setpts=N*N+7*N", *kept, *H264)
    yield "repeated.mkv", (*PICTURES, "-vf", "settb=1/1000,setpts=40*(N-mod(N\\,2))", *kept, *LOSSLESS)
    yield "gaps.webm", (*PICTURES, "-vf", "settb=1/1000,setpts=40*N+3000*gt(N\\,10)", *kept, "-c:v", "libvpx")
    for name, order in {"top": "tff", "bottom": "bff"}.items():
        chain = f"tinterlace=interleave_{name},setfield={order}"
        yield f"interlaced-{name}.mpg", (*PICTURES, "-vf", chain, "-c:v", "mpeg2video", "-flags", "+ilme+ildct")
    yield "one-frame.mp4", (*PICTURES, "-frames:v", "1", *H264)
    yield "mov-rate.mov", ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=30000/1001:d=1", *H264)
    yield "transport.ts", (*PICTURES, *TONE, "-c:v", "mpeg2video", "-c:a", "mp2", "-output_ts_offset", "5000.3")


def _sounds() -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, encoder in SOUNDS.items():
        yield f"sound-{name}.mkv", (*PICTURES, "-itsoffset", "0.3", *TONE, *H264, "-c:a", encoder)
    yield "sound-longer.mp4", (*PICTURES, "-f", "lavfi", "-i", "sine=d=2", *H264, "-c:a", "aac")


def _other_streams(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    words, chapters = folder / "words.srt", folder / "chapters.txt"
    words.write_text("1\n00:00:00,200 --> 00:00:00,800\nHello\n", encoding="utf-8")
    chapters.write_text(";FFMETADATA1\ntitle=T\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\n", encoding="utf-8")
    four = (*PICTURES, *TONE, "-i", str(words), "-i", str(chapters), "-map", "0", "-map", "1", "-map", "2")
    both = (*four, "-map_metadata", "3", "-map_chapters", "3", *H264, "-c:a", "aac")
    yield "subtitles.mkv", (*both, "-c:s", "srt")
    yield "subtitles.mp4", (*both, "-c:s", "mov_text")
    second = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1")
    yield "two-videos.mkv", (*PICTURES, *second, "-map", "0", "-map", "1", *H264)
    yield "cover.png", ("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", "-update", "1")
    art = ("-i", str(folder / "cover.png"), "-map", "0", "-map", "1", "-c:v:0", "libx264", "-c:v:1", "png")
    yield "cover-art.mp4", (*PICTURES, *art, "-disposition:v:1", "attached_pic")


def _ffmpeg(path: Path, *arguments: str) -> Path:
    if not path.exists():
        command = [find_ffmpeg().path, "-v", "error", "-nostdin", *arguments, file_argument(path)]
        subprocess.run(command, check=True, timeout=120)
    return path


def _turned(source: Path, path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """The same mp4 with another display matrix in the header of its first track."""
    data = bytearray(source.read_bytes())
    position = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (65536 * entry for entry in matrix)
    data[position : position + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def _broken(folder: Path, mp4: Path, mkv: Path) -> Iterator[tuple[str, Path]]:
    """What cannot be a clip, or not a whole one."""
    contents = {
        "truncated.mkv": mkv.read_bytes()[: mkv.stat().st_size * 2 // 3],
        "truncated.mp4": mp4.read_bytes()[: mp4.stat().st_size // 2],  # its index is at the end
        "garbage.mp4": bytes(range(256)) * 40,
        "empty.mp4": b"",
        "zero-frames.mp4": struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 512) + struct.pack(">I4s", 8, b"mdat"),
        "playlist.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nplain.mp4\n#EXT-X-ENDLIST\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        yield name, folder / name
