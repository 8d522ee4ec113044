"""Output that is safe to show: names without terminal escapes, JSON without NaN. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

_NOT_ASCII = re.compile(r"[^\n -~]")


def plain(document: object) -> object:
    """Replace figures that are none by None, however deep they lie."""
    if isinstance(document, float):
        return document if math.isfinite(document) else None
    if isinstance(document, Mapping):
        return {key: plain(value) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [plain(one) for one in document]
    return document


def dumps(document: object, *, indent: int) -> str:
    """Write a document; what JSON does not know (addresses, paths) as its text.

    Letters that nobody sees are escaped: some of them (C1) are orders to a terminal.
    """
    text = json.dumps(
        plain(document), indent=indent, default=str, ensure_ascii=False, allow_nan=False
    )
    return _NOT_ASCII.sub(lambda one: _seen(one[0]), text)


def _seen(letter: str) -> str:
    return letter if letter.isprintable() else json.dumps(letter)[1:-1]


def visible(words: str) -> str:
    """Show what a name may hold and no reader can see: it is text, and nothing more."""
    if words.isprintable():
        return words
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in words)


def visible_lines(text: str) -> str:
    """Do the same for each line of a text; its ends of lines and tabs stay what they are."""
    if text.isprintable():
        return text
    return re.sub(r"[^\n\t]+", lambda found: visible(found[0]), text)


def cut(words: str, most: int) -> str:
    """Make a text visible, and shorten it at its end to so many letters."""
    shown = visible(words)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
