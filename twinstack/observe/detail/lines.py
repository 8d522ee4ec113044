"""The lines of a log as a person reads them: requests, and all else; pure.

nginx, the gateway and the services write a line of JSON for each request: nginx with `seconds`, the
others with `took_ms`. Any text may be a client's, so each is shortened and made visible.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from twinstack.observe.logs.choice import LogLine
from twinstack.printable import cut

_METHOD, _PATH, _ID, _LINE = 12, 160, 80, 600  # characters
#: Of a line of JSON, what is shown beside it, or was said by the panel already.
_SAID = frozenset({"message", "time", "level", "service", "replica"})


@dataclass(frozen=True, slots=True)
class RequestLine:
    """One request that was answered."""

    time: float | None  # of its end, in seconds since 1970
    method: str
    path: str
    status: int
    ms: float | None  # from the request to the whole answer
    request: str  # its id


@dataclass(frozen=True, slots=True)
class DetailLine:
    """Any other line."""

    time: float | None
    level: str  # "": it has none
    text: str


def read_line(line: LogLine) -> RequestLine | DetailLine:
    """Read a line; one of JSON is shown as its message, then its other fields."""
    document = _json(line.text)
    if request := _request(line, document):
        return request
    text = line.text
    message = document.get("message")
    if isinstance(message, str):
        more = (f"{key}={value}" for key, value in document.items() if key not in _SAID)
        text = " ".join((message, *more))
    return DetailLine(line.time, line.level, shortened(text, _LINE))


def _json(text: str) -> dict[str, Any]:
    if not text.startswith("{"):
        return {}
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _request(line: LogLine, document: dict[str, Any]) -> RequestLine | None:
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
