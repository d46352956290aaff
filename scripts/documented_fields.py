"""Griffe's extension for docs/reference.md: fields are documented where this package documents them.

A field's text is the help of ``setting(default, help)``, or the comment on its line; its default is shown as a value.
"""

import ast
from contextlib import suppress
from typing import Any

import griffe

MAKERS = ("setting", "rare_setting")


class DocumentedFields(griffe.Extension):
    """Gives the fields of dataclasses their documentation."""

    def on_attribute_instance(self, *, node: Any, attr: griffe.Attribute, **_: Any) -> None:
        if not isinstance(node, ast.AnnAssign) or not isinstance(attr.parent, griffe.Class):
            return
        call = node.value
        words = comment(attr)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in MAKERS:
            default, text, *_others = call.args
            attr.value, words = repr(value(default, attr.module)), value(text, attr.module)
        if words and attr.docstring is None:
            attr.docstring = griffe.Docstring(words, parent=attr)


def value(expression: ast.expr, module: griffe.Module) -> Any:
    """What an expression of literals and of the module's plain values is."""
    known = {}
    for name, member in module.attributes.items():
        with suppress(ValueError, SyntaxError):  # not a plain value
            known[name] = ast.literal_eval(str(member.value))
    return eval(ast.unparse(expression), known)


def comment(attr: griffe.Attribute) -> str:
    """The comment at the end of a field's first line."""
    _, _, words = (attr.source.splitlines() or [""])[0].partition("  # ")
    return words.strip()
