"""Where the sample clip, stills and style pictures lie, in a checkout and in an installed package."""

from pathlib import Path

from videostyle.errors import UsageError


def samples_folder() -> Path:
    """Return the folder of samples: package data where installed from a wheel, `samples/` in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_samples"
    return installed if installed.is_dir() else package.parent / "samples"


def sample_names() -> list[str]:
    """Return the names that `sample` takes, sorted: "clip.mp4", "styles/brush.jpg" and so on."""
    folder = samples_folder()
    files = (path for path in folder.rglob("*") if path.suffix in {".mp4", ".jpg", ".toml", ".png"})
    return sorted(path.relative_to(folder).as_posix() for path in files)


def sample(name: str) -> Path:
    """Return the path of a sample by its name, for instance "clip.mp4" or "styles/brush.jpg"."""
    if name not in (names := sample_names()):
        there = ", ".join(names) or f"none in {samples_folder()}"
        raise UsageError(f"there is no sample called {name!r}; there are: {there}")
    return samples_folder() / name
