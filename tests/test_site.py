"""The documentation site: every page is in its navigation, what its pages list is what the code has, and it builds."""

import ast
import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import make_gallery
import pytest
import yaml
from PIL import Image

import videostyle
from videostyle import errors
from videostyle.cli import main as command_line
from videostyle.cli.parser import make_parser

ROOT = Path(__file__).parents[1]
DOCS, HOOKS = ROOT / "docs", ROOT / "scripts" / "site_hooks.py"
PACKAGE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "videostyle").rglob("*.py")))
NAV = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
OF_OTHERS = {"--build-arg", "--torch-backend"}  # options of other programs
MOST_BYTES = 1_200_000  # of the gallery's pictures


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def pages_of(nav: object) -> list[str]:
    """Every page of a navigation, in order."""
    if isinstance(nav, str):
        return [nav]
    return [page for item in (nav.values() if isinstance(nav, dict) else nav) for page in pages_of(item)]


def test_every_page_is_in_the_navigation_once() -> None:
    (included,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(HOOKS.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PAGES"
    )
    assert all((ROOT / file).is_file() for file in included)
    assert sorted(pages_of(NAV)) == sorted({path.name for path in DOCS.glob("*.md")} | set(included.values()))


def test_every_option_on_the_pages_exists() -> None:
    parsers = [make_parser(), *make_parser()._subparsers._group_actions[0].choices.values()]
    known = {name for parser in parsers for action in parser._actions for name in action.option_strings}
    *sections, _how_it_works = NAV  # whose pages tell of scripts and of what there was
    for page in filter(lambda page: (DOCS / page).is_file(), pages_of(sections)):
        named = set(re.findall(r"`(--[a-z][a-z-]*)", text(page)))
        assert named <= known | OF_OTHERS, page


def test_every_public_name_is_in_the_reference() -> None:
    documented = re.findall(r"^<!-- ::: videostyle\.([\w.]+) -->$", text("reference.md"), flags=re.M)
    public = {f"{home}.{name}" for name, home in videostyle._HOMES.items()}
    told = {"VideoStyleError", *re.findall(r"^\| `(\w+)` \|", text("python.md").partition("## Errors")[2], flags=re.M)}
    assert all(hasattr(errors, name) for name in told)
    assert len(documented) == len(set(documented))
    assert set(documented) == public | {f"errors.{name}" for name in told}
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.+?) \|", text("reference.md"), flags=re.M))))
    assert listed == set(videostyle.__all__) - {"__version__", "VideoStyleError"}


def test_every_variable_that_is_read_is_on_the_page() -> None:
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[A-Z].+?) \|", text("environment.md"), flags=re.M))))
    own = set(re.findall(r"\bVIDEOSTYLE_[A-Z]+\b", PACKAGE))
    assert own and own == set(re.findall(r"`(VIDEOSTYLE_\w+)`", text("environment.md").partition("Those of others")[0]))
    read = set(re.findall(r"""environ(?:\.get\(|\[)"([A-Z_]+)""", PACKAGE))
    assert len(read) > 5 and read <= listed


def test_the_exit_statuses_on_the_page_are_those_of_the_code() -> None:
    listed = {int(status) for status in re.findall(r"^\| (\d+) \|", text("environment.md"), flags=re.M)}
    coded = {value for name, value in vars(command_line).items() if name.startswith("STATUS_")}
    assert listed == {0, *coded, command_line.SIGNALLED + signal.SIGINT, command_line.SIGNALLED + signal.SIGTERM}


def test_every_picture_of_the_gallery_has_its_commands() -> None:
    page = text("gallery.md")
    entries = make_gallery.entries(page)
    pictures = sorted((DOCS / "gallery").glob("*.webp"))
    assert len(entries) >= 8 and sorted(entries) == [path.stem for path in pictures]
    assert len(entries) == page.count("```sh") == page.count("![")
    assert sum(path.stat().st_size for path in pictures) < MOST_BYTES
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.width == make_gallery.WIDTH
    styles = {f"samples/styles/{path.name}" for path in (ROOT / "samples" / "styles").glob("*.jpg")}
    assert styles <= set(re.findall(r"samples/styles/\w+\.jpg", page))


def test_a_picture_of_the_gallery_is_what_its_commands_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []

    def write(words: list[str]) -> int:
        ran.append(words)
        assert Path("samples/clip.mp4").is_file()
        Image.new("RGB", (960, 540), (255, 0, 0) if len(ran) == 2 else (0, 0, 255)).save(f"{len(ran)}.png")
        return 0

    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery.md").write_text(text("gallery.md"))
    monkeypatch.setattr(make_gallery, "PAGE", tmp_path / "gallery.md")
    monkeypatch.setattr(make_gallery, "videostyle", write)
    here = Path.cwd()
    assert make_gallery.main(["keyframe"]) == 0 and Path.cwd() == here
    said = capsys.readouterr().out
    assert [" ".join(["videostyle", *words]) for words in ran] == [
        f"{command} --quiet" for command in make_gallery.entries(text("gallery.md"))["keyframe"]
    ]
    assert said.startswith("keyframe: videostyle video")
    with Image.open(tmp_path / "gallery" / "keyframe.webp") as picture:
        assert picture.size == (480, 270)
        red, _, blue = picture.convert("RGB").getpixel((240, 135))
    assert red > 200 > 50 > blue  # the newest one


def test_a_command_of_the_gallery_that_fails_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_gallery, "videostyle", lambda words: 2)
    with pytest.raises(SystemExit, match="ended with status 2"):
        make_gallery.paint(["videostyle image a.jpg"], tmp_path)
    with pytest.raises(SystemExit):
        make_gallery.main(["no-such-picture"])


@pytest.fixture
def hooks() -> ModuleType:
    pytest.importorskip("mkdocs", reason="the site's builder is not installed: pip install '.[docs]'")
    spec = importlib.util.spec_from_file_location("site_hooks", HOOKS)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("given", "folder", "made"),
    [
        ("[a](looks.md#with-options)", "docs", "[a](looks.md#with-options)"),
        ("[a](../SECURITY.md)", "docs", "[a](security.md)"),
        ("[a](../../docs/pipe.md#x)", "integrations/comfyui", "[a](pipe.md#x)"),
        ("[a](#x) [b](https://example.org/)", "docs", "[a](#x) [b](https://example.org/)"),
        ("[a](../Dockerfile)", "docs", "a"),
        ("| `A\\|B` | a \\| b |", "docs", "| `A|B` | a \\| b |"),
        ("<!-- ::: videostyle.run -->", "docs", "::: videostyle.run"),
    ],
)
def test_what_a_code_host_shows_becomes_what_the_site_needs(
    hooks: ModuleType, given: str, folder: str, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert hooks.site_prose(given, folder) == made


def test_a_file_that_is_no_page_is_at_the_repository(hooks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
    assert hooks.site_prose("[a](../Dockerfile)", "docs") == "[a](https://github.com/owner/name/blob/HEAD/Dockerfile)"


LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video)\b[^>]*\bsrc=["']?(?:https?:)?//|@import|url\(["']?https?:"""
)
LINKED = re.compile(r"""<link\b[^>]*\bhref=["']?(?:https?:)?//""")


@pytest.mark.slow
def test_the_site_builds_and_its_pages_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    for name in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(name, reason="the site's builder is not installed: pip install '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.html")}
    assert len(pages) > 25
    for name, page in pages.items():
        assert not LOADED.search(page) and not LINKED.search(page), name
        assert ":::" not in page and "<!-- :" not in page, name
    for style in tmp_path.rglob("*.css"):
        assert not LOADED.search(style.read_text(encoding="utf-8")), style
    assert 'id="videostyle.settings.Settings.strength"' in pages["reference.html"]
    assert "strength of the style from 0" in pages["reference.html"]
