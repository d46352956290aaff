"""Whether this checkout can be released, and what to say about it.

python scripts/release.py v0.2.0            # tag, version and changelog agree; prints the notes
python scripts/release.py --wheel FILE.whl  # small enough
"""

import argparse
import re
import sys
from pathlib import Path

from videostyle.version import __version__

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"
MOST_BYTES = 10_000_000  # of a wheel


def sections(changelog: str) -> dict[str, str]:
    """The changelog's sections, the newest first: heading (a version or "Unreleased") -> text."""
    _, *found = re.split(r"^## (.+)$", changelog, flags=re.M)
    return {heading.split()[0]: text.strip() for heading, text in zip(found[::2], found[1::2], strict=True)}


def problem(tag: str, changelog: str) -> str | None:
    """Why ``tag`` cannot be released, in one line; None where it can."""
    found = sections(changelog)
    newest = next((heading for heading in found if heading != "Unreleased"), None)
    if newest != __version__:
        return f"the changelog's newest version is {newest}, version.py says {__version__}"
    if tag != f"v{__version__}":
        return f"the tag is {tag}, expected v{__version__}"
    if found.get("Unreleased"):
        return f"the changelog has unreleased entries; move them below ## {__version__}"
    return None


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check a release: its tag, version and changelog, or its wheel.")
    parser.add_argument("tag", nargs="?", metavar="TAG", help="e.g. v0.2.0")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="wheel whose size is checked")
    arguments = parser.parse_args(argv)
    if arguments.wheel is not None:
        size = arguments.wheel.stat().st_size
        print(f"{arguments.wheel.name}: {size / 1e6:.2f} MB of at most {MOST_BYTES / 1e6:.0f}")
        if size > MOST_BYTES:
            return 1
    if arguments.tag is not None:
        changelog = CHANGELOG.read_text(encoding="utf-8")
        if wrong := problem(arguments.tag, changelog):
            print(wrong, file=sys.stderr)
            return 1
        print(sections(changelog)[__version__])
    return 0


if __name__ == "__main__":
    sys.exit(main())
