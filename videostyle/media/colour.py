"""Filter chains between a clip's own colours and RGB, in both directions.

FFmpeg's conversions guess what they are not told (BT.601 at every size, and differently between versions), so both
chains say everything: matrix and range on the way in, matrix, range and all four tags on the way out.
"""

from typing import Any

from videostyle.frames import VideoInfo

SCALER = "bicubic+accurate_rnd+full_chroma_int"
HDR_TRANSFERS = ("arib-std-b67", "smpte2084")  # HLG and PQ
WIDE_PRIMARIES = ("bt2020", "smpte432", "smpte431", "smpte170m", "smpte240m", "bt470bg", "bt470m")
# Curves that no player shows as if they were BT.709's. sRGB, gamma 2.2 and SMPTE 240M are left as they are: players do
# not tell them from BT.709, and a screen recording must not change its looks.
OTHER_CURVES = {"linear": "linear", "gamma28": "bt470bg"}
# swscale's names for the matrices that it knows
SCALE_MATRICES = {
    "bt709": "bt709", "bt470bg": "bt601", "smpte170m": "bt601", "fcc": "fcc", "smpte240m": "smpte240m",
    "bt2020nc": "bt2020", "bt2020c": "bt2020",
}  # fmt: skip
# Where `pad` would convert what it does not know, the planes of the same picture, of which it does.
PADDED_FORMATS = {"rgb24": "rgb24", "rgba": "rgba", "rgb48le": "gbrp16le", "rgba64le": "gbrap16le"}
TURNS = {
    0: (),
    90: (("transpose", "clock"),),
    180: (("hflip",), ("vflip",)),
    270: (("transpose", "cclock"),),
}
# Full-range RGB to BT.709. On FFmpeg 9 the tags of RGB input are not written by -colorspace and its kin: setparams too.
BT709_TAGS = {"color_primaries": "bt709", "color_trc": "bt709", "colorspace": "bt709", "color_range": "tv"}


def to_rgb(video: Any, info: VideoInfo, size: tuple[int, int]) -> Any:
    """The chain from a decoded stream (an ffmpeg-python node) to upright frames of ``size`` with square pixels.

    They come in `raw_format`: RGB, or RGBA with the colours already multiplied by alpha.
    """
    if info.interlaced:  # one frame for one; by default bwdif makes two
        video = video.filter("bwdif", mode="send_frame", parity="auto", deint="interlaced")
    matrix, full = info.color_matrix, info.full_range
    if is_hdr(info):
        video, matrix, full = tone_mapped(video), "bt709", False
    source = {}
    if matrix is not None:
        source = {"in_color_matrix": SCALE_MATRICES.get(matrix, "auto"), "in_range": "pc" if full else "tv"}
    if has_alpha(info):
        video, source = premultiplied(video.filter("scale", flags=SCALER, **source), info), {}
    width, height = size if info.rotation_degrees in (0, 180) else size[::-1]
    video = fitted(video, info, width, height, out_range="pc", **source)
    video = video.filter("format", raw_format(info))
    if info.mirrored:
        video = video.filter("hflip")
    for turn in TURNS[info.rotation_degrees]:
        video = video.filter(*turn)
    if needs_primaries(info) and not has_alpha(info):
        video = to_709(video, info, "gbrp16le").filter("format", raw_format(info))
    return video.filter("setsar", 1)


def fitted(video: Any, info: VideoInfo, width: int, height: int, **options: Any) -> Any:
    """Scaled to ``width`` x ``height``. Frames that come in another shape in mid-stream, as when a phone is turned
    during a call, keep it and are laid on black: FFmpeg sets the filters up anew for them, and asks these again."""
    usual = f"lt(abs(a*{info.coded_height}/{info.coded_width}-1),0.01)"
    aspect = f"a*{info.sample_aspect_ratio.numerator}/{info.sample_aspect_ratio.denominator}"
    wide = f"if({usual},{width},clip(2*round({height}*{aspect}/2),2,{width}))"
    high = f"if({usual},{height},clip(2*round({width}/({aspect})/2),2,{height}))"
    video = video.filter("scale", wide, high, flags=SCALER, **options)
    video = video.filter("format", PADDED_FORMATS[raw_format(info)])
    return video.filter("pad", width, height, "(ow-iw)/2", "(oh-ih)/2")


def raw_format(info: VideoInfo) -> str:
    """How frames leave FFmpeg: 16 bits a channel for a source of more than 8, a fourth channel for transparency."""
    deep = info.bit_depth > 8
    if has_alpha(info):
        return "rgba64le" if deep else "rgba"
    return "rgb48le" if deep else "rgb24"


def has_alpha(info: VideoInfo) -> bool:
    """Whether transparency comes through; tone mapping loses it."""
    return info.has_alpha and not is_hdr(info)


def premultiplied(video: Any, info: VideoInfo) -> Any:
    """Colours times alpha, before any scaling: afterwards hidden colours would bleed into visible ones.

    8 bits stay 8: swscale's way from 8 to 16 makes an opaque pixel of 255 a nearly opaque one of 65280.
    """
    deep = info.bit_depth > 8
    video = video.filter("format", "gbrap16le" if deep else "gbrap")
    if needs_primaries(info):
        video = to_709(video, info, "gbrap16le").filter("format", "gbrap16le" if deep else "gbrap")
    return video.filter("premultiply", inplace=1)


def notices(info: VideoInfo) -> list[str]:
    """What of this is a departure from the source that its owner should know of."""
    found = []
    if is_hdr(info):
        lost = "; its transparency is lost by that" if info.has_alpha else ""
        found.append(f"the clip is HDR ({info.color_transfer}); its light is mapped to standard range{lost}")
    if info.interlaced:
        found.append("the clip is interlaced; each frame is deinterlaced")
    return found


def needs(info: VideoInfo) -> tuple[str, ...]:
    """The filters that a build of FFmpeg may lack and this clip cannot do without."""
    return ("zscale", "tonemap") if is_hdr(info) else ("zscale",) if needs_primaries(info) else ()


def needs_primaries(info: VideoInfo) -> bool:
    """Whether the clip says that its red, green and blue, or its curve, are others than BT.709's."""
    other = info.color_primaries in WIDE_PRIMARIES or info.color_transfer in OTHER_CURVES
    return other and not is_hdr(info)


def to_709(video: Any, info: VideoInfo, pixel_format: str) -> Any:
    """The same colours in BT.709's primaries and curve, through linear light."""
    primaries = info.color_primaries if info.color_primaries in WIDE_PRIMARIES else "bt709"
    curve = {"tin": OTHER_CURVES.get(info.color_transfer or "", "bt709"), "t": "bt709"}
    plain = {"min": "gbr", "m": "gbr", "rin": "full", "r": "full"}
    return video.filter("format", pixel_format).filter("zscale", pin=primaries, p="bt709", **curve, **plain)


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


def to_bt709(pixel_format: str) -> str:
    """Filters from full-range RGB to limited-range BT.709, converted and tagged."""
    tags = "color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
    return f"{to_planes(pixel_format, 'bt709', 'tv')},setparams={tags}"


def to_planes(pixel_format: str, matrix: str, levels: str) -> str:
    """Filters from full-range RGB to a YUV ``pixel_format``. ``matrix``: of SCALE_MATRICES. ``levels``: tv or pc."""
    scaled = f"scale=flags={SCALER}:in_range=pc:out_color_matrix={SCALE_MATRICES[matrix]}:out_range={levels}"
    return f"{scaled},format={pixel_format}"
