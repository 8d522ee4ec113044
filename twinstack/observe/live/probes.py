"""What each kind of service is asked while it is watched, and what its answers say; pure.

The same that its declared probe asks, without a process for each time. A question is asked from
inside, at 127.0.0.1, so watching needs no flow of its own.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal

from twinstack.model.plan import Replica
from twinstack.observe.live import answers
from twinstack.observe.live.readings import Said

What = Literal["health", "status", "counts", "registry"]

STATUS_PATH = "/internal/status"
COUNTS_PATH = "/internal/counts"
REGISTRY_PATH = "/v1/services"
#: Longer figures are nobody's: Python itself reads none of more than 4,300 digits.
_DIGITS = 18
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,%d})\r\n" % _DIGITS, re.IGNORECASE)
_POSTGRES_3 = 3 << 16


@dataclass(frozen=True, slots=True)
class Question:
    """Bytes to send, and how its answer is told to be whole.

    `once`: the connection is of no further use afterwards.
    """

    what: What
    data: bytes
    form: Literal["http", "redis", "postgres"]
    once: bool = False


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer. `last`: the connection ends with it."""

    status: int
    body: bytes
    last: bool


def questions(replica: Replica) -> tuple[Question, ...]:
    """Decide what a replica is asked, in this order, on one connection."""
    if replica.runtime == "redis":
        return (Question("health", b"AUTH health none\r\nPING\r\n", "redis"),)
    if replica.runtime == "postgres":
        environment = dict(replica.environment)
        user = environment.get("POSTGRES_USER", "shop")
        return (
            Question(
                "health",
                _startup(user, environment.get("POSTGRES_DB", user)),
                "postgres",
                once=True,
            ),
        )
    asked = [_get("health", replica.health.http_path or "/health")]
    if replica.runtime == "nginx":
        asked.append(_get("status", STATUS_PATH))
    elif replica.runtime == "asgi":
        asked.append(_get("counts", COUNTS_PATH))
    elif replica.service == "service-registry":
        asked.append(_get("registry", REGISTRY_PATH))
    return tuple(asked)


def _get(what: What, path: str) -> Question:
    data = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: twinstack-watch\r\n\r\n"
    return Question(what, data.encode(), "http")


def _startup(user: str, database: str) -> bytes:
    """Ask to begin a session, as pg_isready does. Source: PostgreSQL, Message Formats."""
    words = f"user\0{user}\0database\0{database}\0\0".encode()
    return struct.pack("!II", len(words) + 8, _POSTGRES_3) + words


def whole(question: Question, data: bytes) -> bool:
    """Tell whether all of an answer is there."""
    if question.form == "redis":
        return data.count(b"\r\n") >= 2
    if question.form == "postgres":
        return bool(data)
    return http_answer(data) is not None


def http_answer(data: bytes) -> HttpAnswer | None:
    """Read an answer; None while some of it is still to come."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return None
    length = _LENGTH.search(head + b"\r\n")
    if length and len(body) < int(length[1]):
        return None
    words = head.split(b" ", 2)
    status = (_figure(words[1]) if len(words) > 1 else None) or 0
    last = not length or b"\r\nconnection: close" in head.lower()
    return HttpAnswer(status, body, last)


def judged(question: Question, data: bytes, took_ms: float) -> Said:
    """Say how a replica does by its answer to the question for its health."""
    if question.form == "redis":
        fine = b"+PONG\r\n" in data
        return Said("up" if fine else "down", "" if fine else _text(data), took_ms)
    if question.form == "postgres":
        # R: it asks for the password, so it takes sessions. Else it says why not.
        return (
            Said("up", "", took_ms) if data[:1] == b"R" else Said("down", _refusal(data), took_ms)
        )
    answer = http_answer(data)
    if answer is None:
        return Said("down", "what it says is no HTTP", took_ms)
    status, reasons = answers.health(answer.body)
    if answer.status != 200:
        return Said("down", reasons or f"answers {answer.status}", took_ms)
    return Said("degraded" if status == "degraded" else "up", reasons, took_ms)


def _refusal(data: bytes) -> str:
    fields = [part[1:] for part in data[5:].split(b"\0") if part[:1] == b"M"]
    return _text(fields[0]) if fields else "refuses a session"


def _text(data: bytes) -> str:
    return answers.short(data.decode(errors="replace"))


def _figure(digits: bytes) -> int | None:
    return int(digits) if digits.isdigit() and len(digits) <= _DIGITS else None


def requests_of(body: bytes) -> int | None:
    """Read the number of requests from nginx's stub_status."""
    lines = body.split(b"\n")
    numbers = lines[2].split() if len(lines) > 2 else []
    return _figure(numbers[2]) if len(numbers) == 3 else None
