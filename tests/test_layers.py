"""The arrows between the rooms of the package, read from the imports of every file: what may know of what."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "videostyle"
FILES = sorted(PACKAGE.rglob("*.py"))

# What everybody may use: values and words, no work.
COMMON = {"errors", "settings", "frame", "version"}

# room -> the rooms that it may import. A new room is entered here, with what it needs.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "frame": set(),
    "settings": set(),
    # the stages: none knows another, except the optimiser what it minimises
    "media": set(),
    "motion": set(),
    "perception": set(),
    "optimise": {"perception"},
    "journal": set(),
    "ahead": {"machine"},
    "samples": set(),
    # the pipeline; the painter is its half without files, machine and record are what it asks and leaves behind
    "machine": set(),
    "health": set(),
    "painter": {"health", "machine", "motion", "optimise", "perception"},
    "record": {"machine", "motion", "painter"},
    "progress": set(),
    "memory": {"machine", "painter"},
    "pipeline": {
        "ahead",
        "machine",
        "media",
        "memory",
        "motion",
        "optimise",
        "journal",
        "painter",
        "progress",
        "record",
    },
    # recipes paint single pictures and look at features, which is below the pipeline
    "experiments": {"pipeline", "painter", "optimise", "perception", "media", "machine", "record", "samples"},
    "measure": {"perception", "motion"},
    # measuring files: what the pipeline is to the painter
    "judge": {"measure", "machine", "media", "motion", "painter", "perception"},
    # the camera in front of the pipeline
    "webcam": {"journal", "media", "pipeline"},
    # several clips and styles, one after the other
    "batch": {"journal", "pipeline"},
    # the command line; console is what it shows, doctor looks at every room and changes nothing
    "console": {"batch", "pipeline", "painter", "machine", "experiments"},
    "interrupts": set(),
    "options": set(),
    "doctor": {"pipeline", "painter", "machine", "media", "motion", "perception"},
    "cli": {
        "batch",
        "pipeline",
        "experiments",
        "judge",
        "machine",
        "webcam",
        "console",
        "doctor",
        "interrupts",
        "options",
    },
    "__main__": {"cli"},
    "__init__": set(),  # finds its names when they are asked for
}

# (file, room): an arrow beside the table, with its reason.
EXCEPTIONS = {
    ("pipeline.py", "perception"): "the type of a download's progress callback, which it hands on to the painter",
}

# Files that print or end a process, and why; everything else raises or calls back.
PRINTERS = {
    "cli.py": "the command line",
    "console.py": "the command line's progress and closing lines",
    "__main__.py": "hands the command line's exit status on",
    "media/survey.py": "runs in a child process, which ends itself when its time is up",
}

# library -> the places that know it.
LIBRARIES = {
    "av": ("media/",),
    "ffmpeg": ("media/", "experiments/montage.py"),
    "imageio_ffmpeg": ("media/",),
    "PIL": ("media/",),
    "cv2": ("motion/",),
    "scenedetect": ("motion/shots.py",),
    "tqdm": ("console.py", "cli.py"),
    "matplotlib": ("experiments/", "cli.py", "judge.py"),
}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Every imported module by its full name, wherever in the file it is imported; ``from a import b`` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the arrows"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def rooms_used(path: Path) -> set[str]:
    """The rooms of this package that a file imports, without its own."""
    parts = (module.split(".") for module in imports(tree_of(path)))
    ours = {p[1] for p in parts if p[0] == "videostyle" and len(p) > 1}
    return {room for room in ours if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").is_file()} - {room_of(path)}


def test_the_files_are_found():
    assert {"perception/losses.py", "media/probe.py", "settings.py"} <= {name_of(p) for p in FILES}
    assert rooms_used(PACKAGE / "optimise" / "shot.py") == {"perception", "settings"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_arrows(path):
    room = room_of(path)
    assert room in ARROWS, f"{room} is a new room: say in ARROWS what it may know"
    allowed = COMMON | ARROWS[room] | {to for file, to in EXCEPTIONS if file == name_of(path)}
    assert rooms_used(path) <= allowed


def test_exceptions_are_still_needed():
    for file, to in EXCEPTIONS:
        assert to in rooms_used(PACKAGE / file)
        assert to not in ARROWS[room_of(PACKAGE / file)]


def test_nothing_imports_the_command_line():
    for path in FILES:
        if name_of(path) != "__main__.py":
            assert "cli" not in rooms_used(path), name_of(path)


def test_perception_takes_plain_numbers_and_tensors():
    """A small library of its own: torch, numpy, safetensors and the standard library, and no settings."""
    allowed = {"torch", "torchvision", "triton", "numpy", "safetensors", *sys.stdlib_module_names}
    for path in FILES:
        if room_of(path) == "perception":
            assert rooms_used(path) <= {"errors"}, name_of(path)
            roots = {module.split(".")[0] for module in imports(tree_of(path))} - {"videostyle"}
            assert roots <= allowed, name_of(path)


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_library_is_known_in_one_place(library):
    for path in FILES:
        roots = {module.split(".")[0] for module in imports(tree_of(path))}
        if library in roots:
            assert name_of(path).startswith(LIBRARIES[library]), f"{name_of(path)} imports {library}"


def test_torchvision_is_imported_only_where_it_is_needed():
    """It takes seconds: inside a function, never when a module is loaded."""
    for path in FILES:
        outside = [node for node in tree_of(path).body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
        found = {module.split(".")[0] for node in outside for module in imports(node)}
        assert "torchvision" not in found, name_of(path)


def test_the_package_itself_does_no_work():
    found = set(imports(tree_of(PACKAGE / "__init__.py")))
    assert not {module for module in found if module.split(".")[0] not in {"videostyle", *sys.stdlib_module_names}}


def ends_or_prints(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in {"print", "exit", "quit"}
    if isinstance(node, ast.Attribute):
        return ast.unparse(node) in {"sys.exit", "os._exit", "os.abort", "sys.stdout", "sys.stderr"}
    return isinstance(node, ast.Name) and node.id == "SystemExit"


def test_only_the_command_line_prints_and_exits():
    found = {name_of(path) for path in FILES if any(ends_or_prints(node) for node in ast.walk(tree_of(path)))}
    assert found <= set(PRINTERS)
    assert ends_or_prints(ast.parse("print(1)").body[0].value)  # type: ignore[attr-defined]
    assert ends_or_prints(ast.parse("sys.exit(1)").body[0].value.func)  # type: ignore[attr-defined]


def test_scripts_use_public_names_only():
    scripts = PACKAGE.parent / "scripts"
    if not scripts.is_dir():
        pytest.skip("an installed package has no scripts")
    for path in scripts.rglob("*.py"):
        private = [m for m in imports(tree_of(path)) if m.startswith("videostyle.") and "._" in m]
        assert not private, f"{path.relative_to(scripts)} imports {', '.join(private)}"
