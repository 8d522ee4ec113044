"""JSON that every reader reads: what is not a number is null, never NaN or Infinity; pure."""

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
