"""Pictures from files and to files: upright, in sRGB, opaque, and floats in [0, 1] whatever the file holds."""

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from videostyle.errors import MediaError, UsageError, VideoStyleError
from videostyle.files import replacing
from videostyle.frames import to_array
from videostyle.media import heif, publish

MAX_PIXELS = 150_000_000  # below Pillow's own refusal; a 4-megapixel style is more than any run uses
# Named one by one: among Pillow's others some start programs (EPS) or read further files.
READ_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", "PPM", "TGA", "AVIF", "ICO", "PCX", "HEIF")
WRITE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
DESCRIPTION = 0x010E  # EXIF ImageDescription
SRGB = ImageCms.createProfile("sRGB")
WHITE = 1.0


def read_picture(path: str | Path, *, longest: int | None = None) -> torch.Tensor:
    """A picture as float32 RGB, shape (1, 3, H, W), sRGB in [0, 1].

    EXIF orientation and embedded colour profiles are applied, transparency is laid on white, 16-bit, CMYK, grey and
    palette pictures converted; of an animation the first picture is taken. HEIC needs pi-heif, AVIF a Pillow that has
    it. ``longest`` bounds the longer side (pixels); nothing is enlarged. Raises UsageError for what is no picture,
    MediaError for a damaged or absurdly large one.
    """
    path = Path(path)
    _check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a strange EXIF block or palette is no reason to speak
            with Image.open(path, formats=_formats()) as image:
                _check_size(path, image.size)
                if longest and image.mode in ("RGB", "L"):
                    image.draft(None, (longest, longest))  # a JPEG can be decoded smaller, never below this
                colours = heif.numbered_colours(path, image.info) if image.format == heif.FORMAT else None
                pixels = _to_floats(ImageOps.exif_transpose(image))
                pixels = heif.to_srgb(pixels, colours) if colours else pixels
    except UnidentifiedImageError:
        raise UsageError(_unknown(path)) from None
    except Image.DecompressionBombError:
        raise MediaError(f"{path} is too large a picture; the limit is {MAX_PIXELS // 1_000_000} megapixels") from None
    except VideoStyleError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly everything
        words = " ".join(str(error).split())
        raise MediaError(f"{path} is damaged or cut off ({words}); expected a whole picture") from error
    return shrink(torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous(), longest)


def _formats() -> list[str]:
    """Those that this build of Pillow has (AVIF and JPEG 2000 are optional), and HEIF once it is enabled."""
    Image.init()
    return [name for name in READ_FORMATS if name in Image.OPEN]


def _check_file(path: Path) -> None:
    if not path.exists():
        raise UsageError(f"{path} does not exist; expected a picture (PNG, JPEG, WebP, TIFF, ...)")
    if not path.is_file():
        raise UsageError(f"{path} is not a file; expected a picture (PNG, JPEG, WebP, TIFF, ...)")
    try:
        head = _head(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    if not head:
        raise MediaError(f"{path} is empty; expected a picture")
    if heif.is_heif(head):
        heif.enable(path)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def _unknown(path: Path) -> str:
    head = _head(path)
    if heif.is_heif(head):
        return f"{path} begins as HEIC does and goes on otherwise; expected a whole picture"
    is_clip = head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3" or (head[:4] == b"RIFF" and head[8:11] == b"AVI")
    if is_clip:
        return f"{path} is a clip; expected a picture (for a clip there is `videostyle video`)"
    return f"{path} is not a picture that can be read; expected PNG, JPEG, WebP, TIFF, BMP or GIF"


def _check_size(path: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise MediaError(f"{path} is {size[0]}x{size[1]}; the limit is {MAX_PIXELS // 1_000_000} megapixels")


def _to_floats(image: Image.Image) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1]."""
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey(image)
    alpha = None
    if image.has_transparency_data:
        image = _keep_profile(image, "RGBA" if image.mode != "LA" else "LA")
        alpha = np.asarray(image.getchannel("A"), dtype=np.float32)[..., None] / 255
        image = _keep_profile(image, "L" if image.mode == "LA" else "RGB")
    elif image.mode in ("P", "1"):
        image = _keep_profile(image, "RGB")
    pixels = np.asarray(_to_srgb(image), dtype=np.float32) / 255
    return pixels if alpha is None else pixels * alpha + WHITE * (1 - alpha)


def _keep_profile(image: Image.Image, mode: str) -> Image.Image:
    converted = image.convert(mode)
    if "icc_profile" in image.info:
        converted.info["icc_profile"] = image.info["icc_profile"]
    return converted


def _deep_grey(image: Image.Image) -> np.ndarray:
    """16-bit grey (also as Pillow's 32-bit mode), or floats, which count as [0, 1] unless they exceed it."""
    grey = np.nan_to_num(np.asarray(image, dtype=np.float32))
    top = 65535.0 if image.mode.startswith("I") else 1.0
    grey = np.clip(grey / max(top, float(grey.max(initial=0))), 0, 1)
    return np.repeat(grey[..., None], 3, axis=2)


def _to_srgb(image: Image.Image) -> Image.Image:
    """8-bit RGB; a profile that does not fit the picture, or is damaged, counts as none."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image.convert("RGB")


def shrink(pixels: torch.Tensor, longest: int | None) -> torch.Tensor:
    """(1, 3, H, W) no longer than ``longest`` on its longer side, area-filtered bicubic; smaller ones as they are."""
    height, width = pixels.shape[2:]
    if longest is None or max(height, width) <= longest:
        return pixels
    scale = longest / max(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    smaller = torch.nn.functional.interpolate(pixels, size, mode="bicubic", antialias=True, align_corners=False)
    return smaller.clamp_(0, 1)


def check_picture_output(path: str | Path, *, overwrite: bool) -> None:
    """Refuse a picture that could not be written, before any work. Raises UsageError."""
    path = Path(path)
    if path.suffix.lower() not in WRITE_FORMATS:
        raise UsageError(f"{path} has no ending that says what to write; use {', '.join(WRITE_FORMATS)}")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; expected a name for a picture")
    publish.check_place(path, overwrite=overwrite)


def write_picture(path: str | Path, pixels: torch.Tensor, *, overwrite: bool, comment: str | None = None) -> None:
    """Write float RGB (1, 3, H, W) in [0, 1] as 8-bit sRGB; PNG, JPEG, WebP or TIFF by the name, whole or not at all.

    ``comment`` goes where the format has a place for text. Raises UsageError for the place, MediaError for the disk.
    """
    path = Path(path)
    check_picture_output(path, overwrite=overwrite)
    part = publish.part_name(path)
    try:
        _save(part, pixels, WRITE_FORMATS[path.suffix.lower()], comment)
        publish.publish(part, path, overwrite=overwrite)
    except OSError as error:
        raise MediaError(f"{path} could not be written: {error.strerror or error}") from error
    finally:
        publish.remove(part)


def write_glimpse(path: Path, pixels: torch.Tensor) -> None:
    """Float RGB (1, 3, H, W) as a JPEG that is only looked at, or a PNG: whole or not at all, but not made durable."""
    with replacing(path) as part:
        _save(part, pixels, WRITE_FORMATS[path.suffix], None)


def save_png(path: Path, pixels: torch.Tensor, comment: str | None = None) -> None:
    """8-bit PNG marked as sRGB. Raises OSError."""
    _save(path, pixels, "PNG", comment)


def _save(path: Path, pixels: torch.Tensor, kind: str, comment: str | None) -> None:
    image = Image.fromarray(to_array(pixels))
    with path.open("wb") as file:
        if kind == "PNG":
            image.save(file, kind, pnginfo=_png_chunks(comment), compress_level=4)
        elif kind == "JPEG":
            image.save(file, kind, quality=95, subsampling=0, icc_profile=_srgb_profile(), comment=comment or "")
        else:
            image.save(file, kind, icc_profile=_srgb_profile(), exif=_description(comment), **SAVE_OPTIONS[kind])


SAVE_OPTIONS: dict[str, dict[str, object]] = {"WEBP": {"quality": 95}, "TIFF": {"compression": "tiff_lzw"}}


def _png_chunks(comment: str | None) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"sRGB", b"\x00")  # rendering intent: perceptual
    if comment is not None:
        chunks.add_itxt("Comment", comment)
    return chunks


def _srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(SRGB).tobytes()


def _description(comment: str | None) -> Image.Exif:
    exif = Image.Exif()
    if comment is not None:
        exif[DESCRIPTION] = comment
    return exif
