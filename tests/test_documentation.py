"""The documentation is true: its commands parse, its links lead somewhere, its pages are up to date. Nothing is run
but one short example."""

import argparse
import ast
import importlib.util
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import videostyle
from videostyle.cli.main import main
from videostyle.cli.options import given_settings
from videostyle.cli.parser import make_parser
from videostyle.settings import MediaSettings, RunSettings, Settings
from videostyle.settings.look_file import as_toml, from_plain, read_look, to_plain

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "scripts" / "benchmark" / "README.md",
    ROOT / "integrations" / "comfyui" / "README.md",
]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def commands(page: Path) -> Iterator[str]:
    """Every command of the shell blocks, and those that stand in the prose with arguments."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield from (part.strip().removeprefix(".venv/bin/") for part in re.split(r"&&| \| ", line))
    for words in re.findall(r"`((?:videostyle|python) [^`]+)`", prose(page)):
        if " COMMAND" not in words and len(words.split()) > 2:
            yield words


def all_commands(start: str) -> list[str]:
    return sorted({command for page in PAGES for command in commands(page) if command.startswith(start)})


def load(script: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script as a module, under a name of its own."""
    monkeypatch.syspath_prepend(str(script.parent))
    spec = importlib.util.spec_from_file_location(f"documented_{script.stem}", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_there_are_commands_to_look_at() -> None:
    assert len(all_commands("videostyle ")) > 15
    assert len(all_commands("python scripts/")) > 10
    known = {"python3", "python", "pip", "uv", "echo", "videostyle", "ffmpeg", "mpv", "vspipe"}
    assert {command.split()[0] for page in PAGES for command in commands(page)} <= known


@pytest.mark.parametrize("command", all_commands("videostyle "))
def test_a_command_is_understood(command: str) -> None:
    _, *words = shlex.split(command)
    words = words[: words.index(">")] if ">" in words else words
    if "--print-completion" in words:
        pytest.importorskip("shtab")
    if {"--help", "--print-completion"} & set(words):
        with pytest.raises(SystemExit) as ended:
            make_parser().parse_args(words)
        assert ended.value.code == 0
        return
    arguments = make_parser().parse_args(words)
    if words[0] in ("video", "image", "webcam"):
        for cls in (Settings, MediaSettings, RunSettings):
            given_settings(arguments, cls)


class ParsedError(Exception):
    """A script's arguments were understood."""


@pytest.mark.parametrize("command", all_commands("python scripts/"))
def test_a_script_is_there_and_knows_its_options(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, script, *words = shlex.split(command)
    module = load(ROOT / script, monkeypatch)
    parse = argparse.ArgumentParser.parse_args

    def only_parse(parser: argparse.ArgumentParser, *arguments, **named):
        parse(parser, *arguments, **named)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
    monkeypatch.setattr(sys, "argv", [script, *words])
    with pytest.raises(ParsedError):
        module.main()


def test_every_command_names_a_command_that_exists() -> None:
    (known,) = (a.choices for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
    named = {name for page in PAGES for name in re.findall(r"`videostyle ([a-z]+)", prose(page))}
    assert named == named & set(known)


def test_the_page_of_the_command_line_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    script = load(ROOT / "scripts" / "document_cli.py", monkeypatch)
    written = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert written == script.page(make_parser()), "run python scripts/document_cli.py"
    assert script.main(["--check"]) == 0


def test_an_old_page_of_the_command_line_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = load(ROOT / "scripts" / "document_cli.py", monkeypatch)
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(script, "PAGE", tmp_path / "docs" / "command-line.md")
    assert script.main(["--check"]) == 1
    assert script.main([]) == 0 and script.main(["--check"]) == 0
    (tmp_path / "docs" / "command-line.md").write_text("old\n")
    assert script.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().err


def slug(heading: str) -> str:
    """The anchor that a heading has on a page."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", prose(page)):
        if target.startswith(("https:", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", prose(there), flags=re.M)
            assert anchor in map(slug, headings), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_examples_import_what_exists(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "videostyle":
                assert all(hasattr(videostyle, name.name) for name in node.names)


def test_the_example_on_frames_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = (block for block in blocks(ROOT / "docs" / "python.md", "python") if "stylise_frames" in block)
    exec(compile(example, "python.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_the_readmes_defaults_are_the_settings_own() -> None:
    """A row such as `| `--style-scale 1.5` | broader strokes (default: 1) |`."""
    rows = re.findall(
        r"^\| `--([a-z-]+) [^`]*` \|.*\(default: ([\d.]+)\)", (ROOT / "README.md").read_text(), flags=re.M
    )
    assert rows
    for option, value in rows:
        assert getattr(Settings(), option.replace("-", "_")) == float(value), option


LOOKS = blocks(ROOT / "docs" / "looks.md", "toml")


@pytest.mark.parametrize("block", LOOKS, ids=range(len(LOOKS)))
def test_an_example_of_a_look_is_one(block: str) -> None:
    """Those that are not a whole look lack the style alone."""
    values = tomllib.loads(block)
    look, settings = from_plain(values)
    assert as_toml(to_plain(look)) and Settings(**settings)


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in commands(ROOT / "docs" / "looks.md") if c.startswith("videostyle ")])
def test_an_example_of_a_look_runs(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with the samples, an output and another clip; small and short."""
    monkeypatch.chdir(tmp_path)
    Path("samples").symlink_to(ROOT / "samples")
    Path("other.mp4").symlink_to(ROOT / "samples" / "clip.mp4")
    quick = "--size 64 --iterations 2 --min-iterations 1 --quiet --first-init palette"
    made = f"video samples/clip.mp4 --style samples/styles/brush.jpg --duration 0.1 {quick}"
    assert main(shlex.split(made)) == 0
    _, *words = shlex.split(command)
    short = f"{quick} --overwrite {'--duration 0.2' if words[0] == 'video' else ''}"
    assert main([*words, *(shlex.split(short) if words[0] != "look" else ())]) == 0


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "samples" / "looks").glob("*.toml")))
def test_a_sample_look_is_whole(name: str) -> None:
    look, settings = read_look(ROOT / "samples" / "looks" / name)
    assert all(Path(path).is_file() for path in look.paths) and Settings(**settings)
    assert name in (ROOT / "docs" / "looks.md").read_text(encoding="utf-8")
