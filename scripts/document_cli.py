"""Write docs/command-line.md from the parser of the command line.

    python scripts/document_cli.py
    python scripts/document_cli.py --check

With ``--check`` nothing is written; exit status 1 where the page differs from what the parser says.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from videostyle.cli.parser import make_parser

PAGE = Path(__file__).resolve().parents[1] / "docs" / "command-line.md"

# Commands have a table of their own, and --help is the same everywhere.
NOT_SHOWN = (argparse._SubParsersAction, argparse._HelpAction)

HEAD = """# Command line

Every command and every option, written from the parser by `python scripts/document_cli.py`. Do not edit this page.
`videostyle COMMAND --help` (or `-h`) shows the same in a terminal."""

TAIL = "Exit statuses and environment variables: [environment](environment.md)."


def main(argv: list[str] | None = None) -> int:
    """Write or check the page; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the page instead of writing it")
    arguments = parser.parse_args(argv)
    text = page(make_parser())
    if not arguments.check:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        print(f"docs/{PAGE.name} is out of date: run python scripts/document_cli.py", file=sys.stderr)
        return 1
    return 0


def page(parser: argparse.ArgumentParser) -> str:
    """The whole page."""
    commands = subcommands(parser)
    parts = [HEAD, table(("command", "purpose"), commands_of(parser)), *options_of(parser)]
    for command in commands.values():
        parts += [f"## {command.prog}", sentence(command.description or ""), f"```\n{usage(command)}\n```"]
        parts += options_of(command)
    return "\n\n".join([*parts, TAIL]) + "\n"


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands by name."""
    (found,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(found.choices)


def commands_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, ...]]:
    """A row for every command."""
    (found,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for action in found._choices_actions:
        yield f"[`{parser.prog} {action.dest}`](#{parser.prog}-{action.dest})", sentence(action.help or "")


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A table for every group that has arguments, with its title where it is not argparse's own."""
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if not isinstance(a, NOT_SHOWN)]
        named = [a for a in actions if a.option_strings]
        if group not in (parser._positionals, parser._optionals) and actions:
            yield f"### {(group.title or '').capitalize()}"
        if positional := [a for a in actions if not a.option_strings]:
            yield table(("argument", "meaning"), ((f"`{cell(value(a))}`", sentence(shown(a))) for a in positional))
        if named:
            yield table(("option", "value", "meaning"), (row(a) for a in named))


def row(action: argparse.Action) -> tuple[str, str, str]:
    """An option, its value and its meaning."""
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    if action.nargs == 0:
        return names, "", sentence(shown(action))
    if action.choices:
        return names, ", ".join(f"`{choice}`" for choice in action.choices), sentence(shown(action))
    return names, f"`{cell(value(action))}`", sentence(shown(action))


def value(action: argparse.Action) -> str:
    """What stands for an argument's value in the usage."""
    name = str(action.metavar or ("|".join(action.choices) if action.choices else action.dest.upper()))
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} [{name} ...]"}.get(str(action.nargs), name)


def usage(command: argparse.ArgumentParser) -> str:
    """One line: the command's own, or its arguments and `[options]`."""
    if command.usage:
        return command.usage % {"prog": command.prog}
    required = [a for a in command._actions if a.required or not a.option_strings]
    words = [
        " ".join([*a.option_strings[-1:], value(a)]) for a in sorted(required, key=lambda a: bool(a.option_strings))
    ]
    return " ".join([command.prog, *words, *(["[options]"] if has_options(command) else [])])


def has_options(command: argparse.ArgumentParser) -> bool:
    """Whether there is an option beside --help."""
    return any(a.option_strings and not isinstance(a, NOT_SHOWN) for a in command._actions)


def shown(action: argparse.Action) -> str:
    """The help text with the default filled in."""
    return (action.help or "") % {"default": action.default, "prog": "videostyle"}


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def cell(text: str) -> str:
    """Text of a table's cell: a bar would end it."""
    return text.replace("|", r"\|")


def sentence(text: str) -> str:
    """A sentence of the help as Markdown."""
    return cell(text).replace("*", r"\*").replace("<", r"\<")


if __name__ == "__main__":
    sys.exit(main())
