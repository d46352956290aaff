"""Loads Triton kernels where their module can be imported and passes its self-test."""

import importlib
from functools import cache
from types import ModuleType


@cache
def load_tested(name: str) -> ModuleType | None:
    """The module of kernels with this full name; None without Triton or where ``self_test`` fails."""
    try:
        module = importlib.import_module(name)
    except (ImportError, AttributeError):  # an older Triton lacks a name
        return None
    return module if module.self_test() else None
