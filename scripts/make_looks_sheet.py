"""Paint the pictures of docs/looks.md and docs/keyframes.md from the samples.

    python scripts/make_looks_sheet.py [NAME ...]

Three sheets: what a look can say of one frame of the sample clip, two looks over time, and what frames that were
painted by hand make of the others; a quarter of an hour on two cores.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from videostyle import (
    ColourLook,
    Look,
    MediaSettings,
    PaintedFrame,
    RegionLook,
    StylePicture,
    copy_video,
    preview_video,
    read_look,
    stylise_image,
    stylise_video,
)
from videostyle.device import keep_freed_memory
from videostyle.media.decode import decode
from videostyle.media.probe import probe
from videostyle.samples import sample
from videostyle.settings import Settings

DOCS = Path(__file__).resolve().parents[1] / "docs"
AT_SECONDS, WIDTH, COLUMNS, GAP, FRAMES = 1.0, 384, 3, 6, 5
QUALITY = 82  # of WebP
SETTINGS = Settings(backbone="compact", first_init="palette")
BRUSH, WOOD, GLASS = (str(sample(f"styles/{name}.jpg")) for name in ("brush", "woodcut", "stained_glass"))


def looks_of_a_frame() -> list[Look]:
    """One style, two in one, a region, a region that stays, the source's colours, another picture's."""
    brush, wood, boat = StylePicture(BRUSH), StylePicture(WOOD), str(sample("looks/boat.png"))
    return [
        Look((brush,)),
        Look((StylePicture(BRUSH, 0.5), StylePicture(WOOD, 0.5))),
        Look((brush,), (RegionLook(boat, 0.0, (wood,)),)),
        Look((brush,), (RegionLook(boat, 0.0),)),
        Look((brush,), colours=ColourLook("source")),
        Look((brush,), colours=ColourLook(GLASS)),
    ]


def frame_sheet(folder: Path) -> Image.Image:
    """Every look of one frame."""
    found = []
    for i, look in enumerate(looks_of_a_frame()):
        media = MediaSettings(size=WIDTH)
        preview = preview_video(sample("clip.mp4"), look, folder / f"{i}.png", SETTINGS, media, at_seconds=AT_SECONDS)
        found.append(Image.open(preview.output))
    return montage(found, COLUMNS)


def time_sheet(folder: Path) -> Image.Image:
    """A row of frames for every look that changes."""
    found = []
    for name in ("swell", "turn"):
        look, fixed = read_look(sample(f"looks/{name}.toml"))
        media = MediaSettings(size=WIDTH * COLUMNS // FRAMES)
        stylise_video(sample("clip.mp4"), look, f"{folder}/{name}/", SETTINGS.replace(**fixed), media)
        frames = sorted((folder / name).glob("*.png"))
        found += [Image.open(frames[round(i * (len(frames) - 1) / (FRAMES - 1))]) for i in range(FRAMES)]
    return montage(found, FRAMES)


def given_sheet(folder: Path) -> Image.Image:
    """A row with one frame that an editor's filter has made, and one with two in two styles; given ones framed."""
    clip, media = sample("clip.mp4"), MediaSettings(size=WIDTH * COLUMNS // FRAMES)
    frames = sorted(copy_video(clip, f"{folder}/source/", media=media).output.glob("*.png"))
    places = [round(i * (len(frames) - 1) / (FRAMES - 1)) for i in range(FRAMES)]
    times = [float(frame.time_seconds) for frame in decode(probe(clip))]
    filtered = ImageEnhance.Color(Image.open(frames[places[2]]).filter(ImageFilter.ModeFilter(7))).enhance(2.5)
    filtered.save(folder / "filtered.png")
    for place, style in ((places[0], WOOD), (places[4], GLASS)):
        stylise_image(frames[place], style, folder / f"{place}.png", SETTINGS)
    found = []
    for row, given in enumerate(({places[2]: "filtered"}, {p: str(p) for p in (places[0], places[4])})):
        look = Look(frames=tuple(PaintedFrame(f"{folder}/{name}.png", times[at]) for at, name in given.items()))
        made = stylise_video(clip, look, f"{folder}/given-{row}/", SETTINGS.replace(keyframes="auto"), media).output
        pictures = [Image.open(sorted(made.glob("*.png"))[place]) for place in places]
        found += [framed(p) if place in given else p for p, place in zip(pictures, places, strict=True)]
    return montage(found, FRAMES)


def framed(picture: Image.Image) -> Image.Image:
    """With a white border inside its edge."""
    made = picture.copy()
    ImageDraw.Draw(made).rectangle((3, 3, made.width - 4, made.height - 4), outline="white", width=2)
    return made


def montage(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size in rows."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % columns * (width + GAP), i // columns * (height + GAP)))
    return sheet


def main(argv: list[str] | None = None) -> int:
    sheets = {"looks": frame_sheet, "looks-over-time": time_sheet, "keyframes": given_sheet}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=[*sheets], metavar="NAME", help=", ".join(sheets))
    names = parser.parse_args(argv).names
    keep_freed_memory()  # as the command line does
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            sheets[name](Path(folder)).save(DOCS / f"{name}.webp", quality=QUALITY, method=6)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
