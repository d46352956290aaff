"""The two commands, from the command line to the library."""

import json
from pathlib import Path

import pytest

from videostyle.cli import progress_display
from videostyle.cli.console import Console
from videostyle.cli.main import main
from videostyle.experiments import figures
from videostyle.experiments.demo import film
from videostyle.experiments.recipes import load_recipes
from videostyle.pipeline.progress import Progress

QUICK = ["--quick", "--size", "64", "--backbone", "compact"]


def test_the_experiments_are_listed(capsys):
    assert main(["experiments", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [recipe.name for recipe in load_recipes()]


@pytest.mark.slow
def test_experiments_go_to_their_folder_and_are_kept(tmp_path, pictures, calls, capsys, monkeypatch):
    monkeypatch.setattr(figures, "write_figure", lambda *_: None)
    folder = tmp_path / "out"
    command = [
        "experiments",
        "method",
        "feature-maps",
        "--content",
        str(pictures["content"]),
        "-o",
        str(folder),
        *QUICK,
    ]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == str(folder / "index.html")
    assert "1 picture of 64 pixels, 150 evaluations: about" in captured.err
    (kept,) = (folder / "pictures").glob("*.json")
    assert json.loads(kept.read_text())["content"] == "content.png"
    painted = len(calls)
    assert main([*command, "--quiet"]) == 0
    assert capsys.readouterr().out == "" and len(calls) == painted


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "no experiment called nothing"),
        (["method", "--content", "missing.png"], "missing.png does not exist"),
        (["method", "-o", "no/such/folder"], "the folder above it does not exist"),
        (["method", "--size", "many"], "expected a whole number"),
        (["method", "--evaluations", "0"], "evaluations is 0; it must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused_with_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["experiments", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_demo_hands_over_what_was_asked(tmp_path, monkeypatch, capsys):
    asked = {}

    def make(folder: Path, clip, styles, settings, **rest):
        asked.update(folder=folder, clip=clip, styles=styles, backbone=settings.backbone, **rest)
        return [folder / "demo.mp4"]

    monkeypatch.setattr(film, "make_demo", make)
    assert main(["demo", "-o", str(tmp_path), "--clip", "c.mp4", "--style", "a.jpg", "b.jpg", *QUICK]) == 0
    assert asked["styles"] == ("a.jpg", "b.jpg") and asked["clip"] == "c.mp4" and asked["size"] == 64
    assert asked["quick"] and asked["backbone"] == "compact"
    assert str(tmp_path / "demo.mp4") in capsys.readouterr().out


@pytest.mark.parametrize("progress", ["bar", "lines"])
def test_a_clip_after_pictures_is_counted_in_frames_from_the_beginning(progress, capsys, monkeypatch):
    monkeypatch.setattr(progress_display, "PLAIN_SECONDS", 0)
    with Console(False, progress).bar() as report:
        report(Progress("experiments", 7, 7, 150, 1.0))
        report(Progress("stylise", 3, 96, 20, 1.0))
    said = capsys.readouterr().err
    assert "7/7 pictures" in said.replace(" of ", "/") and "3/96 frames" in said.replace(" of ", "/")
