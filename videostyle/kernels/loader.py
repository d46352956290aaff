"""Which of our own kernels for a GPU are used: those whose module can be imported and says that they work."""

import importlib
from functools import cache
from types import ModuleType


@cache
def load_tested(name: str) -> ModuleType | None:
    """The module of kernels with this full name, where Triton is here and does what it should; otherwise None."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    return module if module.self_test() else None
