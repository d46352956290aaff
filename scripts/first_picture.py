"""The README's first picture: a frame of the sample clip, and the same frame in every sample style.

python scripts/first_picture.py -o docs/first-picture.jpg
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from videostyle import Frame, Painter, Settings, stylise_frames
from videostyle.media.decode import decode
from videostyle.media.probe import probe
from videostyle.media.still import read_picture, to_bytes
from videostyle.samples import sample

STYLES = ("brush", "stained_glass", "woodcut", "watercolour", "pointillism")
COLUMNS, GAP = 3, 8
TILE = (480, 270)
INSET_SHARE = 0.3  # of the tile's height


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--backbone", default="auto")
    parser.add_argument("--weights")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/first-picture.jpg"))
    arguments = parser.parse_args(argv)
    settings = Settings(backbone=arguments.backbone, weights=arguments.weights)
    frame = sample_frame(arguments.seconds, arguments.size)
    tiles = [picture(frame)] + [tile(frame, name, settings) for name in STYLES]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    grid(tiles).save(arguments.output, quality=88)
    return 0


def sample_frame(seconds: float, longest: int) -> Frame:
    """The sample clip's frame at this time."""
    info = probe(sample("clip.mp4"))
    size = (longest, round(info.height * longest / info.width))
    return next(decode(info, size=size, start_seconds=seconds))


def tile(frame: Frame, style: str, settings: Settings) -> Image.Image:
    """The stylised frame with its style in the corner."""
    path = sample(f"styles/{style}.jpg")
    pixels = read_picture(path)
    (painted,) = stylise_frames([frame], pixels, painter=Painter(pixels, settings))
    made = picture(painted)
    side = round(made.height * INSET_SHARE)
    inset = Image.new("RGB", (side + 4, side + 4), "white")
    with Image.open(path) as art:
        inset.paste(art.convert("RGB").resize((side, side), Image.Resampling.LANCZOS), (2, 2))
    made.paste(inset, (GAP, made.height - inset.height - GAP))
    return made


def picture(frame: Frame) -> Image.Image:
    return Image.fromarray(to_bytes(frame.pixels)).resize(TILE, Image.Resampling.LANCZOS)


def grid(tiles: list[Image.Image]) -> Image.Image:
    """Tiles in rows of COLUMNS on white."""
    rows = -(-len(tiles) // COLUMNS)
    width, height = COLUMNS * (TILE[0] + GAP) - GAP, rows * (TILE[1] + GAP) - GAP
    sheet = np.full((height, width, 3), 255, np.uint8)
    for i, made in enumerate(tiles):
        y, x = i // COLUMNS * (TILE[1] + GAP), i % COLUMNS * (TILE[0] + GAP)
        sheet[y : y + TILE[1], x : x + TILE[0]] = np.asarray(made)
    return Image.fromarray(sheet)


if __name__ == "__main__":
    raise SystemExit(main())
