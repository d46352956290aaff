"""What MkDocs calls while it builds the site (`hooks` in mkdocs.yml), so that pages can be written for a code host too.

Links are paths in the repository. Files outside docs/ that are pages of the site stand in PAGES; a link to any other
file leads to the repository where that is known (GITHUB_REPOSITORY, "owner/name"), and is words elsewhere.
A comment ``<!-- ::: NAME -->``, which a code host does not show, becomes the documentation of that Python name.
"""

import os
import re
from pathlib import Path
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {  # file of the repository -> page of the site
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "integrations/comfyui/README.md": "comfyui.md",
    "scripts/benchmark/README.md": "benchmark-scripts.md",
    "videostyle/networks/compact/MODEL_CARD.md": "compact-network.md",
}
INCLUDED = {page: file for file, page in PAGES.items() if page != "index.md"}  # docs/ has its own
# What a section's pages count for in the search: most readers want to do something
BOOST = {"Start": 4.0, "Guides": 4.0, "How it works": 0.2}
BLOCK = re.compile(r"(^```.*?^```$)", flags=re.M | re.S)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]+)?\)")
# A bar in code, which a code host's tables want escaped and Python-Markdown's do not
CODE = re.compile(r"`[^`\n]*\\\|[^`\n]*`")
NAME = re.compile(r"^<!-- (::: [\w.]+) -->$", flags=re.M)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Headings have the anchors that a code host gives them."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = slug
    return config


def slug(heading: str, separator: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that lie outside docs/."""
    for page, file in INCLUDED.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / file)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The links and names of a page, outside its blocks of code; what it counts for in the search."""
    if page.parent is not None and page.parent.title in BOOST:
        page.meta["search"] = {"boost": BOOST[page.parent.title]}
    uri = page.file.src_uri
    folder = os.path.dirname(INCLUDED.get(uri, f"docs/{uri}"))
    parts = BLOCK.split(markdown)
    parts[::2] = (site_prose(part, folder) for part in parts[::2])
    return "".join(parts)


def site_prose(text: str, folder: str) -> str:
    """Text as the site needs it; ``folder`` of the repository holds the file that has it."""
    text = CODE.sub(lambda code: code[0].replace(r"\|", "|"), NAME.sub(r"\1", text))
    return LINK.sub(lambda link: site_link(link, folder), text)


def site_link(link: re.Match[str], folder: str) -> str:
    """A link, the same."""
    words, path, anchor = link[1], normpath(f"{folder}/{link[2]}"), link[3] or ""
    if path.startswith("docs/") or path in PAGES:
        return f"[{words}]({PAGES.get(path) or relpath(path, 'docs')}{anchor})"
    repository = os.environ.get("GITHUB_REPOSITORY")
    return f"[{words}](https://github.com/{repository}/blob/HEAD/{path}{anchor})" if repository else words
