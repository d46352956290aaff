"""Paint the pictures of docs/looks.md from the samples.

    python scripts/make_looks_sheet.py

Two sheets: what a look can say of one frame of the sample clip, and two looks over time; ten minutes on two cores.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from videostyle import (
    ColourLook,
    Look,
    MediaSettings,
    RegionLook,
    StylePicture,
    preview_video,
    read_look,
    stylise_video,
)
from videostyle.device import keep_freed_memory
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


def montage(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size in rows."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % columns * (width + GAP), i // columns * (height + GAP)))
    return sheet


def main(argv: list[str] | None = None) -> int:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args(argv)
    keep_freed_memory()  # as the command line does
    with tempfile.TemporaryDirectory() as name:
        frame_sheet(Path(name)).save(DOCS / "looks.webp", quality=QUALITY, method=6)
        time_sheet(Path(name)).save(DOCS / "looks-over-time.webp", quality=QUALITY, method=6)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
