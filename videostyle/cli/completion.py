"""What a shell completes: made by shtab from the parser itself."""

import argparse
import re
from collections.abc import Sequence
from typing import Any

from videostyle.errors import MissingLibraryError

SHELLS = ("bash", "zsh", "tcsh")
# Words of a metavar that stand for a file or a folder, which the shell completes.
FILES = {"CLIP", "DIR", "FILE", "FOLDER", "IMG", "MASK", "OUT", "OUTPUT", "PAINTING", "PHOTO", "SOURCE", "STYLISED"}


class PrintCompletion(argparse.Action):
    """Prints the completion of a shell, and ends the command."""

    def __call__(self, parser: argparse.ArgumentParser, _namespace: Any, shell: Any, _option: Any = None) -> None:
        print(script(parser, shell))
        parser.exit(0)


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The completion of ``shell`` for this parser. Raises MissingLibraryError."""
    try:
        import shtab
    except ImportError:
        raise MissingLibraryError("completion is made by shtab: pip install 'videostyle[completion]'") from None
    for action in _actions(parser):
        words = set(re.findall(r"[A-Z]+", " ".join(_metavars(action))))
        if words & FILES or "LOOK" in words:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Those of the parser and of its commands."""
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [inner for command in action.choices.values() for inner in command._actions]
    return found


def _metavars(action: argparse.Action) -> Sequence[str]:
    return (action.metavar,) if isinstance(action.metavar, str) else action.metavar or ()
