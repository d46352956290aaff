"""Checks of the GPU's kernels, each in a process of its own: Triton's interpreter stands in where there is no GPU."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest


def passes(check: Callable[..., None], device: str, *arguments: object) -> None:
    """Runs ``check(device, *arguments)``, a function of a test file, which imports the kernels itself.

    Whether Triton interprets is settled when it is first imported: hence the process. ``arguments``: such as ``repr``
    writes down.
    """
    interpreter = {}
    if device == "cpu":
        pytest.importorskip("triton", reason="triton comes with PyTorch's CUDA builds for Linux only")
        interpreter = {"TRITON_INTERPRET": "1"}
    code = f"from {check.__module__} import {check.__name__} as check; check(*{(device, *arguments)!r})"
    paths = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": paths} | interpreter,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
