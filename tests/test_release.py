"""What is released is what the changelog says, small enough, and readable on a package index."""

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import release
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pack_networks import rounded
from safetensors.torch import load_file

from videostyle import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NETWORKS = sorted((ROOT / "videostyle" / "networks").rglob("*.safetensors"))


@pytest.fixture(scope="module")
def setup_file() -> ModuleType:
    spec = importlib.util.spec_from_file_location("videostyle_setup", ROOT / "setup.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_newest_version_of_the_changelog_is_the_packages() -> None:
    newest, *_ = [s for s in release.sections(release.CHANGELOG.read_text(encoding="utf-8")) if s != "Unreleased"]
    assert newest == __version__


@pytest.mark.parametrize(
    ("tag", "changelog", "said"),
    [
        (f"v{__version__}", f"# C\n\n## {__version__} - 2026-01-01\n\n- New.\n", None),
        (f"v{__version__}", f"## Unreleased\n\n## {__version__}\n\n- New.\n", None),
        (f"v{__version__}", f"## Unreleased\n\n- More.\n\n## {__version__}\n", "unreleased entries"),
        ("v9.9.9", f"## {__version__}\n", "the tag is v9.9.9"),
        ("v9.9.9", "## 9.9.9\n", "version.py says"),
    ],
)
def test_a_release_is_refused_where_its_parts_disagree(tag: str, changelog: str, said: str | None) -> None:
    found = release.problem(tag, changelog)
    assert found is None if said is None else said in str(found)


def test_a_large_wheel_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = tmp_path / "x.whl"
    wheel.write_bytes(b"x")
    assert release.main(["--wheel", str(wheel)]) == 0
    with wheel.open("wb") as file:
        file.truncate(release.MOST_BYTES + 1)
    assert release.main(["--wheel", str(wheel)]) == 1
    assert "10.00 MB of at most 10" in capsys.readouterr().out


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_a_network_of_the_package_is_packed(path: Path) -> None:
    """Its float16 weights are bfloat16 numbers; if not: python scripts/pack_networks.py."""
    for name, weights in load_file(path).items():
        if weights.dtype == torch.float16:
            assert torch.equal(rounded(weights), weights), name


def test_on_an_index_every_link_is_absolute(setup_file: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = setup_file.index_page(readme, ("https://github.com/owner/name", "v1.2.3"))
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert len(links) == len(re.findall(r"\]\(([^)]+)\)", readme))
    assert all(link.startswith(("https:", "#")) for link in links)
    assert "(https://github.com/owner/name/raw/v1.2.3/docs/demo.webp)" in page
    alone = setup_file.index_page(readme, None)
    assert not [link for link in re.findall(r"\]\(([^)]+)\)", alone) if not link.startswith(("https:", "#"))]


WORDS = st.text(alphabet="abc d`-", max_size=8)


@given(before=WORDS, words=WORDS, path=st.from_regex(r"[a-z]{1,5}(/[a-z.]{1,5})?", fullmatch=True), after=WORDS)
def test_text_around_a_link_is_kept(setup_file: ModuleType, before: str, words: str, path: str, after: str) -> None:
    text = f"{before}[{words}]({path}){after}"
    assert setup_file.index_page(text, None) == f"{before}{words}{after}"
    absolute = f"{before}[{words}](https://github.com/o/n/blob/v1/{path}){after}"
    assert setup_file.index_page(text, ("https://github.com/o/n", "v1")) == absolute
    assert setup_file.index_page(absolute, None) == absolute


def test_the_repository_is_named_where_it_releases(setup_file: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert setup_file.urls(setup_file.release()) == {}
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
    assert setup_file.urls(setup_file.release())["Changelog"].endswith(f"/owner/name/blob/v{__version__}/CHANGELOG.md")


def test_the_animation_of_the_readme_is_small() -> None:
    (path,) = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert (ROOT / path).stat().st_size < 3_000_000


def steps(workflow: Path) -> list[dict]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_the_workflows_call_the_steps_of_ci() -> None:
    called = {word for path in WORKFLOWS for step in steps(path) for word in shlex.split(step.get("run", ""))}
    own = {f".ci/{path.name}" for path in (ROOT / ".ci").iterdir()}
    assert {word for word in called if word.startswith(".ci/")} == own
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(step in run for step in own - {".ci/run"})


def test_every_python_that_is_claimed_is_tested() -> None:
    (tests,) = (path for path in WORKFLOWS if path.name == "tests.yml")
    matrix = yaml.safe_load(tests.read_text(encoding="utf-8"))["jobs"]["matrix"]["strategy"]["matrix"]
    claimed = [c.rpartition(" ")[2] for c in PROJECT["project"]["classifiers"] if "Python :: 3." in c]
    assert matrix["python"] == claimed
    assert f">={claimed[0]}" == PROJECT["project"]["requires-python"]
    assert [entry["resolution"] for entry in matrix["include"]] == ["lowest-direct"]
