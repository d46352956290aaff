"""What pyproject.toml cannot say: the packages are found by name, `samples/` travels in the wheel as one more, and the
README's links are those of the repository that releases it, since relative ones lead nowhere on a package index.

The repository is known where it releases (GITHUB_REPOSITORY, "owner/name"); built elsewhere, the package names none.
"""

import os
import re
from pathlib import Path

from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).parent
LINK = re.compile(r"(!?)\[([^\]]*)\]\(((?!https?:|#)[^)]+)\)")  # image or link to a file of this repository


def release() -> tuple[str, str] | None:
    """(address of the repository, tag) of the release that is being built; None for any other build."""
    owner_and_name = os.environ.get("GITHUB_REPOSITORY")
    version = re.search(r'"(.+)"', (ROOT / "videostyle" / "version.py").read_text(encoding="utf-8"))
    assert version is not None
    return (f"https://github.com/{owner_and_name}", f"v{version[1]}") if owner_and_name else None


def index_page(readme: str, released: tuple[str, str] | None) -> str:
    """The README for a package index: absolute addresses; without a repository no image and the links' words alone."""

    def address(link: re.Match[str]) -> str:
        image, words, path = link.groups()
        if released is None:
            return "" if image else words
        kind = "raw" if image else "blob"
        return f"{image}[{words}]({released[0]}/{kind}/{released[1]}/{path})"

    return LINK.sub(address, readme)


def urls(released: tuple[str, str] | None) -> dict[str, str]:
    """The addresses on the index's page."""
    if released is None:
        return {}
    address, tag = released
    return {
        "Homepage": address,
        "Documentation": f"{address}/tree/{tag}/docs",
        "Changelog": f"{address}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }


if __name__ == "__main__":
    setup(
        packages=[*find_namespace_packages(include=["videostyle*"]), "videostyle._samples"],
        long_description=index_page((ROOT / "README.md").read_text(encoding="utf-8"), release()),
        long_description_content_type="text/markdown",
        project_urls=urls(release()),
    )
