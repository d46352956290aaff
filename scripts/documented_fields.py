"""Griffe's extension for docs/reference.md: fields are documented where this package documents them.

A field's text is the help of ``setting(default, help)``, or the comment on its line; its default is shown as a value.
"""

import ast
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
            attr.value, words = ast.unparse(default), constant(text)
        if words and attr.docstring is None:
            attr.docstring = griffe.Docstring(words, parent=attr)


def constant(text: ast.expr) -> str:
    """A text as it stands in the source, with the names that an f-string has."""
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(ast.literal_eval(part) if isinstance(part, ast.Constant) else ast.unparse(part) for part in parts)


def comment(attr: griffe.Attribute) -> str:
    """The comment at the end of a field's first line."""
    _, _, words = (attr.source.splitlines() or [""])[0].partition("  # ")
    return words.strip()
