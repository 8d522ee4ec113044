"""JSON that every reader reads: what is not a number is null, never NaN or Infinity; pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping


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
    """Write a document; what JSON does not know (addresses, paths) as its text."""
    return json.dumps(
        plain(document), indent=indent, default=str, ensure_ascii=False, allow_nan=False
    )
