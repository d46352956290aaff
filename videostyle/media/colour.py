"""Filter chains between a clip's own colours and RGB, in both directions.

FFmpeg's conversions guess what they are not told (BT.601 at every size, and differently between versions), so both
chains say everything: matrix and range on the way in, matrix, range and all four tags on the way out.
"""

from typing import Any

from videostyle.frame import VideoInfo

SCALER = "bicubic+accurate_rnd+full_chroma_int"
HDR_TRANSFERS = ("arib-std-b67", "smpte2084")  # HLG and PQ
WIDE_PRIMARIES = ("bt2020", "smpte432", "smpte431", "smpte170m", "smpte240m", "bt470bg", "bt470m")

# swscale's names for the matrices that it knows
SCALE_MATRICES = {
    "bt709": "bt709", "bt470bg": "bt601", "smpte170m": "bt601", "fcc": "fcc", "smpte240m": "smpte240m",
    "bt2020nc": "bt2020", "bt2020c": "bt2020",
}  # fmt: skip

TURNS = {
    0: (),
    90: (("transpose", "clock"),),
    180: (("hflip",), ("vflip",)),
    270: (("transpose", "cclock"),),
}

# Full-range RGB to BT.709. On FFmpeg 9 the tags of RGB input are not written by -colorspace and its kin: setparams too.
BT709_TAGS = {"color_primaries": "bt709", "color_trc": "bt709", "colorspace": "bt709", "color_range": "tv"}


def to_rgb(video: Any, info: VideoInfo, size: tuple[int, int], pixel_format: str) -> Any:
    """The chain from a decoded stream (an ffmpeg-python node) to upright RGB frames of ``size`` with square pixels."""
    if info.interlaced:  # one frame for one; by default bwdif makes two
        video = video.filter("bwdif", mode="send_frame", parity="auto", deint="interlaced")
    matrix, full = info.color_matrix, info.full_range
    if is_hdr(info):
        video, matrix, full = tone_mapped(video), "bt709", False
    source = {}
    if matrix is not None:
        source = {"in_color_matrix": SCALE_MATRICES.get(matrix, "auto"), "in_range": "pc" if full else "tv"}
    if info.has_alpha:
        video = on_white(video.filter("scale", flags=SCALER, **source).filter("format", "rgba"))
        source = {}
    width, height = size if info.rotation_degrees in (0, 180) else size[::-1]
    video = video.filter("scale", width, height, flags=SCALER, out_range="pc", **source).filter("format", pixel_format)
    if info.mirrored:
        video = video.filter("hflip")
    for turn in TURNS[info.rotation_degrees]:
        video = video.filter(*turn)
    if needs_primaries(info):
        video = to_709_primaries(video, info.color_primaries).filter("format", pixel_format)
    return video.filter("setsar", 1)


def notices(info: VideoInfo) -> list[str]:
    """What of this is a departure from the source that its owner should know of."""
    found = []
    if is_hdr(info):
        found.append(f"the clip is HDR ({info.color_transfer}); its light is mapped to standard range")
    if info.has_alpha:
        found.append("the clip can be transparent; it is laid on white")
    if info.interlaced:
        found.append("the clip is interlaced; each frame is deinterlaced")
    return found


def needs(info: VideoInfo) -> tuple[str, ...]:
    """The filters that a build of FFmpeg may lack and this clip cannot do without."""
    return ("zscale", "tonemap") if is_hdr(info) else ("zscale",) if needs_primaries(info) else ()


def needs_primaries(info: VideoInfo) -> bool:
    """Whether the clip says that its red, green and blue are other ones than BT.709's."""
    return info.color_primaries in WIDE_PRIMARIES and not is_hdr(info)


def to_709_primaries(video: Any, primaries: str | None) -> Any:
    """The same colours in BT.709's primaries, through linear light; the transfer curve stays as it is."""
    curve = {"tin": "bt709", "t": "bt709", "min": "gbr", "m": "gbr", "rin": "full", "r": "full"}
    return video.filter("format", "gbrp16le").filter("zscale", pin=primaries, p="bt709", **curve)


def is_hdr(info: VideoInfo) -> bool:
    return info.color_transfer in HDR_TRANSFERS


def tone_mapped(video: Any) -> Any:
    """HLG or PQ to BT.709, limited range, 10 bits."""
    return (
        video.filter("zscale", t="linear", npl=100)
        .filter("format", "gbrpf32le")
        .filter("zscale", p="bt709")
        .filter("tonemap", "hable", desat=0)
        .filter("zscale", t="bt709", m="bt709", r="tv")
        .filter("format", "yuv444p10le")
    )


def on_white(video: Any) -> Any:
    """An RGBA stream laid on white, before any scaling: afterwards hidden colours would bleed into visible ones."""
    both = video.filter_multi_output("split")
    white = both[1].filter("lutrgb", r="maxval", g="maxval", b="maxval", a="maxval")  # 5.1 crashes on drawbox=replace
    return white.overlay(both[0], format="rgb")


def to_bt709(pixel_format: str) -> str:
    """Filters from full-range RGB to limited-range BT.709, converted and tagged."""
    tags = "color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
    return (
        f"scale=flags={SCALER}:in_range=pc:out_color_matrix=bt709:out_range=tv,format={pixel_format},setparams={tags}"
    )
