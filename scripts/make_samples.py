"""Draw everything in `samples/` from code and seeds: a clip with sound, three stills and six style pictures.

    python scripts/make_samples.py [-o samples] [name ...]

A name is a file's name without its ending: clip, photo, dark, reference, brush, ... Without names, all are drawn.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from samples_art import clip, cubist, glass, paint, tools, town, watercolour, woodcut

Draw = Callable[..., tools.Bytes]

STILLS: dict[str, Draw] = {
    "photo": town.photo,
    "dark": town.dark,
    "reference": town.reference,
}
STYLES: dict[str, Draw] = {
    "brush": paint.brush,
    "pointillism": paint.pointillism,
    "stained_glass": glass.stained_glass,
    "woodcut": woodcut.woodcut,
    "watercolour": watercolour.watercolour,
    "cubist": cubist.cubist,
}
NAMES = ("clip", *STILLS, *STYLES)


def make(name: str, folder: Path) -> Path:
    """Draw one sample into `folder` and return its path."""
    if name == "clip":
        path = folder / "clip.mp4"
        clip.write(path)
    elif name in STILLS:
        path = folder / f"{name}.jpg"
        tools.save_jpeg(path, STILLS[name](), quality=90)
    else:
        path = folder / "styles" / f"{name}.jpg"
        tools.save_jpeg(path, STYLES[name](), quality=90)
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the samples that are named, or all of them."""
    parser = argparse.ArgumentParser(description="Draw the sample clip, stills and style pictures.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of: {', '.join(NAMES)} (default: all)")
    parser.add_argument("-o", "--output", type=Path, default=Path("samples"), metavar="DIR", help="default: samples")
    options = parser.parse_args(argv)
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"no sample is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in options.names or NAMES:
        path = make(name, options.output)
        print(f"{path}  {path.stat().st_size / 1024:.0f} KiB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
