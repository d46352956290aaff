from pathlib import Path


def write_page(path: Path, sheets, folder: Path) -> Path:
    path.write_text("<!doctype html>")
    return path
