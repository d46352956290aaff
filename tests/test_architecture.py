"""The arrows between the rooms of the package, read from the imports of every file: what may know of what."""

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "videostyle"
FILES = sorted(PACKAGE.rglob("*.py"))

# What everybody may use: values and words, no work.
COMMON = {"errors", "frames", "settings", "version"}

# room -> the rooms that it imports beside COMMON, no more and no fewer; in the order of the calls, callers first.
ARROWS: dict[str, set[str]] = {
    "__main__": {"cli"},
    "__init__": set(),  # finds its names when they are asked for
    "cli": {
        "cluster",
        "device",
        "experiments",
        "files",
        "live",
        "measure",
        "media",
        "networks",
        "pipeline",
        "studio",
        "stylise",
        "temporal",
    },
    "studio": {"checkpoint", "files", "pipeline"},
    "experiments": {"device", "files", "media", "networks", "optimise", "pipeline", "samples", "stylise"},
    "measure": {"device", "files", "losses", "media", "networks", "stylise", "temporal"},
    "live": {"device", "files", "media", "networks", "pipeline", "stylise", "temporal"},
    "cluster": {"checkpoint", "device", "files", "networks", "pipeline", "processes", "stylise", "temporal"},
    "pipeline": {
        *("checkpoint", "device", "files", "media", "networks", "processes", "samples", "stylise", "temporal"),
        "training",
    },
    "media": {"files", "processes"},
    "checkpoint": {"files", "processes"},
    "training": {"losses", "networks", "optimise", "stylise", "temporal"},
    "stylise": {"device", "losses", "networks", "optimise", "temporal"},
    "temporal": set(),
    "optimise": {"kernels", "losses", "networks"},
    "losses": {"kernels", "networks"},
    "networks": {"files", "kernels"},
    "kernels": set(),
    "device": set(),
    "files": set(),
    "processes": set(),
    "samples": set(),
    "settings": set(),
    "frames": set(),
    "errors": set(),
    "version": set(),
}

# Rooms that take plain numbers and tensors, and the libraries that they may know: small libraries of their own.
PLAIN_ROOMS = {
    "losses": {"torch"},
    "networks": {"torch", "torchvision", "numpy", "safetensors"},
    "kernels": {"torch", "triton"},
}

# Files that print or end a process, and why; everything else raises or calls back.
PRINTERS = {
    "cli/main.py": "the command line's errors and exit status",
    "cli/commands.py": "the command line's results",
    "cli/completion.py": "prints what a shell completes",
    "cli/console.py": "the command line's first and closing lines",
    "cli/progress_display.py": "the command line's progress",
    "cli/pipe.py": "takes standard output for the stream",
    "__main__.py": "hands the command line's exit status on",
    "pipeline/worker.py": "is a process of its own, which ends when nobody is left to paint for",
    "media/survey.py": "runs in a child process, which ends itself when its time is up",
}

# library -> the places that know it.
LIBRARIES = {
    "av": ("media/",),
    "ffmpeg": ("media/", "experiments/demo/montage.py"),
    "imageio_ffmpeg": ("media/",),
    "PIL": ("media/",),
    "pi_heif": ("media/heif.py",),
    "psutil": ("device.py", "processes.py"),
    "cv2": ("temporal/flow.py", "live/viewers.py"),
    "scenedetect": ("temporal/cuts.py",),
    "tqdm": ("cli/",),
    "shtab": ("cli/completion.py",),
    "matplotlib": ("experiments/", "measure/report.py"),
    "triton": ("kernels/",),
    "ray": ("cluster/ray_nodes.py",),
    "fsspec": ("pipeline/remote.py",),
    "starlette": ("studio/",),
    "uvicorn": ("studio/serve.py",),
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


def room_imports(room: str) -> set[str]:
    """The other rooms that the files of a room import."""
    return {used for path in FILES if room_of(path) == room for used in rooms_used(path)}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def test_the_files_are_found():
    assert {"losses/formulas.py", "media/probe.py", "settings/__init__.py"} <= {name_of(p) for p in FILES}
    assert rooms_used(PACKAGE / "optimise" / "adam.py") == set()
    assert rooms_used(PACKAGE / "optimise" / "outcome.py") == {"losses"}


def test_every_room_stands_in_the_table():
    assert {room_of(path) for path in FILES} == set(ARROWS)


@pytest.mark.parametrize("room", ARROWS)
def test_arrows(room):
    assert room_imports(room) - COMMON == ARROWS[room]


def test_no_arrow_points_upwards():
    order = list(ARROWS)
    for room, targets in ARROWS.items():
        assert all(order.index(room) < order.index(target) for target in targets), room


def test_no_import_goes_in_a_circle():
    modules = {module_of(path): path for path in FILES}
    graph = {
        name: {found if found in modules else found.rpartition(".")[0] for found in imports(tree_of(path))}
        & set(modules)
        for name, path in modules.items()
    }
    assert tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


def test_the_top_level_is_small():
    assert len(list(PACKAGE.glob("*.py"))) <= 9


def test_files_and_functions_are_short():
    for path in FILES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, name_of(path)
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{name_of(path)}: {node.name}"


@pytest.mark.parametrize("room", PLAIN_ROOMS)
def test_small_libraries_take_plain_numbers_and_tensors(room):
    for path in FILES:
        if room_of(path) == room:
            assert not rooms_used(path) & {"settings", "frames"}, name_of(path)
            roots = {module.split(".")[0] for module in imports(tree_of(path))} - {"videostyle"}
            assert roots <= PLAIN_ROOMS[room] | sys.stdlib_module_names, name_of(path)


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


# Private names of other libraries that scripts may use, since these have no public ones.
PRIVATE_NAMES = {
    "torch._foreach_lerp_": "torch",
    "torch._foreach_mul_": "torch",
    "torch._foreach_norm": "torch",
    "os._exit": "public in all but its name",
}
# argparse has no public way to list a parser's arguments.
PRIVATE_OF_ARGPARSE = {
    *("_actions", "_action_groups", "_group_actions", "_choices_actions", "_positionals", "_optionals"),
    *("_SubParsersAction", "_HelpAction"),
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(tree: ast.AST) -> set[str]:
    """Private names that a file imports or takes of objects other than ``self`` and ``cls``, getattr included."""
    found = {module for module in imports(tree) if any(map(is_private, module.split(".")))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and ast.unparse(node.value) not in ("self", "cls"):
            found.add(ast.unparse(node))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr"):
            found |= {a.value for a in node.args if isinstance(a, ast.Constant) and is_private(str(a.value))}
    return found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("made.graphs._record()", {"made.graphs._record"}),
        ("from videostyle.losses.objective import _Taps", {"videostyle.losses.objective._Taps"}),
        ("getattr(stage, '_packed')", {"_packed"}),
        ("stage._packed = None", {"stage._packed"}),
        ("self._own, cls._own, x.__dict__, x.public, _local", set()),
    ],
)
def test_private_names_are_seen(line, found):
    assert private_names(ast.parse(line)) == found


def test_scripts_use_public_names_only():
    scripts = PACKAGE.parent / "scripts"
    if not scripts.is_dir():
        pytest.skip("an installed package has no scripts")
    for path in scripts.rglob("*.py"):
        found = private_names(tree_of(path)) - set(PRIVATE_NAMES)
        if path.name == "document_cli.py":
            found = {name for name in found if name.rpartition(".")[2] not in PRIVATE_OF_ARGPARSE}
        assert not found, f"{path.relative_to(scripts)} uses {', '.join(sorted(found))}"
