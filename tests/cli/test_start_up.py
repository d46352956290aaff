"""What a command imports before it works: `--help` is to be there at once."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "numpy", "cv2", "av", "PIL", "matplotlib", "scenedetect", "tqdm", "starlette", "ray")
PROBE = """
import sys
from videostyle.cli.main import main
try:
    main({arguments!r})
except SystemExit:
    pass
print(*[name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""


def imported(*arguments: str) -> list[str]:
    """Which of the heavy libraries a command has imported at its end."""
    code = PROBE.format(arguments=[*arguments], heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1].split()


@pytest.mark.parametrize("arguments", [("--help",), ("video", "--help"), ("--version",), ("video", "--crf")])
def test_help_and_mistakes_wait_for_no_library(arguments: tuple[str, ...]) -> None:
    assert imported(*arguments) == []


def test_doctor_imports_no_more_than_it_reports() -> None:
    found = imported("doctor")
    assert "torch" in found  # the probe sees what is imported
    assert not {"torchvision", "matplotlib", "scenedetect", "ray"} & set(found)
