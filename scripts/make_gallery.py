"""Paint the pictures of docs/gallery.md: every picture is what the commands below it write, at 480 pixels.

    python scripts/make_gallery.py [NAME ...]

NAME: the pictures to paint, by their files' names without the ending (default: all). About ten minutes on two cores.
"""

import argparse
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from videostyle.cli.main import main as videostyle
from videostyle.samples import samples_folder

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gallery.md"
WIDTH, QUALITY = 480, 80  # of the pictures: pixels, of WebP
ENTRY = re.compile(r"^!\[[^\]]+\]\(gallery/([\w-]+)\.webp\)\n\n```sh\n(.+?)^```$", flags=re.M | re.S)


def entries(page: str) -> dict[str, list[str]]:
    """Picture's name -> the commands below it, as they stand on the page."""
    return {name: block.splitlines() for name, block in ENTRY.findall(page)}


def paint(commands: Sequence[str], folder: Path) -> Image.Image:
    """Run the commands in an empty folder that has the samples; the newest picture that they wrote there."""
    (folder / "samples").symlink_to(samples_folder())
    here = Path.cwd()
    os.chdir(folder)
    try:
        for command in commands:
            _, *words = shlex.split(command)
            if status := videostyle([*words, "--quiet"]):
                raise SystemExit(f"{command} ended with status {status}")
    finally:
        os.chdir(here)
    written = [path for path in folder.rglob("*.png") if not path.is_symlink()]
    newest = max(written, key=lambda path: (path.stat().st_mtime_ns, path.name))
    return Image.open(newest).convert("RGB")


def main(argv: Sequence[str] | None = None) -> int:
    """Paint and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = entries(PAGE.read_text(encoding="utf-8"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    names = parser.parse_args(argv).names or list(known)
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"{PAGE.name} has no picture {unknown[0]}; it has {', '.join(known)}")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            picture = paint(known[name], Path(folder))
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
        picture.save(PAGE.parent / "gallery" / f"{name}.webp", quality=QUALITY, method=6)
        print(f"{name}: {' && '.join(known[name])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
