"""Requests as the lines of a log report them; pure.

nginx, the gateway and the services write a line of JSON for each: nginx with `seconds`, the others
with `took_ms`. Anything may be asked for as a path, so each text is shortened and made visible.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from twinstack.observe.logs.choice import LogLine
from twinstack.printable import cut

_METHOD, _PATH, _ID = 12, 160, 80  # characters


@dataclass(frozen=True, slots=True)
class RequestLine:
    """One request that was answered."""

    time: float | None  # of its end, in seconds since 1970
    method: str
    path: str
    status: int
    ms: float | None  # from the request to the whole answer
    request: str  # its id


def request_of(line: LogLine) -> RequestLine | None:
    """Read the request that a line reports; None for a line about anything else."""
    if '"method"' not in line.text:
        return None
    try:
        document: Any = json.loads(line.text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    method, path, status = (document.get(key) for key in ("method", "path", "status"))
    if not (isinstance(method, str) and isinstance(path, str) and type(status) is int):
        return None
    seconds = _number(document.get("seconds"))
    return RequestLine(
        line.time,
        shortened(method, _METHOD),
        shortened(path, _PATH),
        status,
        _number(document.get("took_ms")) if seconds is None else seconds * 1000,
        shortened(line.request, _ID),
    )


def shortened(text: str, length: int) -> str:
    """Cut a text of any length without reading all of it."""
    return cut(text[: length + 1], length)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
