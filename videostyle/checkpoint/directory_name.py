"""What a run directory is called, for those who only look for one."""

from pathlib import Path

ENDING = ".videostyle"


def directory_of(output: str | Path) -> Path:
    """``OUT.videostyle``, beside the output."""
    path = Path(output)
    return path.with_name(path.name + ENDING)
