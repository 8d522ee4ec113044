"""Output that is safe to show: names without terminal escapes, JSON without NaN. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

_NOT_ASCII = re.compile(r"[^\n -~]")


def plain(document: object) -> object:
    """Replace numbers that are not finite by None, however deep they lie."""
    if isinstance(document, float):
        return document if math.isfinite(document) else None
    if isinstance(document, Mapping):
        return {key: plain(value) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [plain(value) for value in document]
    return document


def dumps(document: object, *, indent: int | None, ascii_only: bool = False) -> str:
    """Write a document; what JSON does not know (addresses, paths) as its text.

    Invisible characters are escaped: some of them (C1) are commands to a terminal.
    """
    text = json.dumps(
        plain(document), indent=indent, default=str, ensure_ascii=ascii_only, allow_nan=False
    )
    return _NOT_ASCII.sub(lambda match: _escaped(match[0]), text)


def _escaped(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def visible(text: str) -> str:
    """Show invisible characters in a name as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def visible_lines(text: str) -> str:
    """Do the same for each line of a text; ends of lines and tabs stay."""
    return re.sub(r"[^\n\t]+", lambda match: visible(match[0]), text)


def cut(text: str, length: int) -> str:
    """Make a text visible, and shorten it at its end to so many characters."""
    shown = visible(text)
    return shown if len(shown) <= length else shown[: length - 1] + "…"
