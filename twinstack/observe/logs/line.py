"""What a line of a log says of itself: when, how severe, for which request; pure.

Our services, nginx's access log and PostgreSQL's entry point write JSON; nginx's errors, Redis and
PostgreSQL have formats of their own. What a crash prints has neither time nor level.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

#: From the least severe to the most.
LEVELS = ("debug", "info", "notice", "warning", "error", "critical")
_NAMES = {level: level for level in LEVELS} | {
    # nginx. Source: ngx_log.c.
    "warn": "warning",
    "crit": "critical",
    "alert": "critical",
    "emerg": "critical",
    # PostgreSQL. Source: its manual, "Message Severity Levels".
    "log": "info",
    "fatal": "critical",
    "panic": "critical",
    # Redis. Source: server.c, serverLogRaw.
    ".": "debug",
    "-": "debug",
    "*": "notice",
    "#": "warning",
}
#: granian and uvicorn.
_PYTHON = re.compile(r"\[?(DEBUG|INFO|WARNING|ERROR|CRITICAL)(?:\] |: )")
_NGINX = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d:\d\d:\d\d) \[(\w+)\] ")
_REDIS = re.compile(r"\d+:[A-Z] (\d\d) (\w{3}) (\d{4}) (\d\d:\d\d:\d\d\.\d{3}) ([-.*#]) ")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_POSTGRES = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (?:UTC|GMT) \[\d+\] .{0,64}?"
    r"(?:(DEBUG|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC)[1-5]?"
    r"|DETAIL|HINT|QUERY|CONTEXT|LOCATION|STATEMENT):  "
)


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What one line says."""

    time: float | None = None  # seconds since 1970
    level: str = ""  # one of LEVELS; "": none
    request: str = ""  # the id of the request that it is about
    goes_on: bool = False  # it belongs to the line before it


def facts(text: str) -> LineFacts:
    """Read what a line says of itself."""
    if text.startswith("{"):
        return _of_json(text)
    if text[:1].isspace():  # a traceback's, or a statement's, of more than one line
        return LineFacts(goes_on=True)
    if not text[:1].isdigit():
        said = _PYTHON.match(text)
        return LineFacts(level=said[1].lower() if said else "")
    if found := _POSTGRES.match(text):
        level = _NAMES.get((found[2] or "").lower(), "")
        return LineFacts(moment(found[1]), level, goes_on=not level)
    if found := _REDIS.match(text):
        day, month, year, clock, sign = found.groups()
        number = _MONTHS.index(month) + 1 if month in _MONTHS else 0
        return LineFacts(moment(f"{year}-{number:02}-{day} {clock}"), _NAMES[sign])
    if found := _NGINX.match(text):
        year, month, day, clock, level = found.groups()
        return LineFacts(moment(f"{year}-{month}-{day} {clock}"), _NAMES.get(level, ""))
    return LineFacts()


def _of_json(text: str) -> LineFacts:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return LineFacts()
    if not isinstance(document, dict):
        return LineFacts()
    time, level, request = (document.get(key) for key in ("time", "level", "request_id"))
    return LineFacts(
        moment(time) if isinstance(time, str) else _finite(time),
        _NAMES.get(level.lower(), "") if isinstance(level, str) else "",
        request if isinstance(request, str) else "",
    )


def _finite(number: object) -> float | None:
    try:
        return float(number) if math.isfinite(number) else None  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return None


def moment(text: str) -> float | None:
    """Read a date and a time, in UTC unless it says otherwise; None if it is none.

    Units: seconds since 1970.
    """
    try:
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def written(time: float) -> str:
    """Write a moment as 2026-11-29T10:00:00.123Z, which `--since` takes."""
    try:
        read = datetime.fromtimestamp(time, UTC)
    except (ValueError, OverflowError, OSError):  # a log may claim any number
        return str(time)
    return read.isoformat(timespec="milliseconds").replace("+00:00", "Z")
