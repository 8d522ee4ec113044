"""Output that is safe to show: names without terminal escapes, JSON without NaN. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

_NOT_ASCII = re.compile(r"[^\n -~]")


def plain(document: object) -> object:
    """Make a document of what JSON knows, however deep it lies, but for addresses and paths.

    Dataclasses become objects, sets sorted arrays, numbers that are not finite null.
    """
    if isinstance(document, float):
        return document if math.isfinite(document) else None
    if is_dataclass(document):
        return {field.name: plain(getattr(document, field.name)) for field in fields(document)}
    if isinstance(document, Mapping):
        return {key: plain(value) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [plain(value) for value in document]
    if isinstance(document, (set, frozenset)):
        return sorted(map(plain, document), key=str)
    return document


def dumps(document: object, *, indent: int | None, ascii_only: bool = False) -> str:
    """Write a document, on one line without an indent; addresses and paths as their texts.

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


def counted(number: int, one: str, many: str = "") -> str:
    """Write a number with its noun, `many` where that is not `one` with an s: 1 packet is."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def cut(text: str, length: int) -> str:
    """Make a text visible, and shorten it at its end to so many characters."""
    shown = visible(text)
    return shown if len(shown) <= length else shown[: length - 1] + "…"
