"""The questions that each kind of service is asked while it is watched, and their answers. Pure.

They are those of its declared health check, without starting a process each time. A question is
asked from inside the namespace, at 127.0.0.1, so watching needs no flow of its own.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal

from twinstack.model.plan import Replica
from twinstack.observe.live import answers
from twinstack.observe.live.model import REGISTRY, ProbeResult

Subject = Literal["health", "status", "counts", "registry"]

STATUS_PATH = "/internal/status"
COUNTS_PATH = "/internal/counts"
REGISTRY_PATH = "/v1/services"
#: A longer number is nonsense: Python itself reads none of more than 4,300 digits.
_DIGITS = 18
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,%d})\r\n" % _DIGITS, re.IGNORECASE)
_POSTGRES_3 = 3 << 16


@dataclass(frozen=True, slots=True)
class ProbeQuestion:
    """What to send, and how to read the answer."""

    subject: Subject
    data: bytes
    protocol: Literal["http", "redis", "postgres"]
    closes: bool = False  # the connection is of no further use


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete HTTP answer."""

    status: int
    body: bytes
    closes: bool


def questions(replica: Replica) -> tuple[ProbeQuestion, ...]:
    """Choose what a replica is asked, in this order, on one connection."""
    if replica.runtime == "redis":
        return (ProbeQuestion("health", b"AUTH health none\r\nPING\r\n", "redis"),)
    if replica.runtime == "postgres":
        environment = dict(replica.environment)
        user = environment.get("POSTGRES_USER", "shop")
        words = f"user\0{user}\0database\0{environment.get('POSTGRES_DB', user)}\0\0".encode()
        # Begins a session, as pg_isready does. Source: PostgreSQL, Message Formats.
        startup = struct.pack("!II", len(words) + 8, _POSTGRES_3) + words
        return (ProbeQuestion("health", startup, "postgres", closes=True),)
    chosen = [_get("health", replica.health.http_path or "/health")]
    if replica.runtime == "nginx":
        chosen.append(_get("status", STATUS_PATH))
    elif replica.runtime == "asgi":
        chosen.append(_get("counts", COUNTS_PATH))
    elif replica.service == REGISTRY:
        chosen.append(_get("registry", REGISTRY_PATH))
    return tuple(chosen)


def _get(subject: Subject, path: str) -> ProbeQuestion:
    data = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: twinstack-watch\r\n\r\n"
    return ProbeQuestion(subject, data.encode(), "http")


def is_complete(question: ProbeQuestion, data: bytes) -> bool:
    """Tell whether a whole answer has come."""
    if question.protocol == "redis":
        return data.count(b"\r\n") >= 2
    if question.protocol == "postgres":
        return bool(data)
    return http_answer(data) is not None


def http_answer(data: bytes) -> HttpAnswer | None:
    """Read an answer; None while it is incomplete."""
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    length = _LENGTH.search(head + b"\r\n")
    if length and len(body) < int(length[1]):
        return None
    words = head.split(b" ", 2)
    status = (_number(words[1]) if len(words) > 1 else None) or 0
    return HttpAnswer(status, body, not length or b"\r\nconnection: close" in head.lower())


def probe_result(question: ProbeQuestion, data: bytes, took_ms: float) -> ProbeResult:
    """Judge a replica by its answer to the health question."""
    if question.protocol == "redis":
        if b"+PONG\r\n" in data:
            return ProbeResult("up", "", took_ms)
        return ProbeResult("down", answers.short(data), took_ms)
    if question.protocol == "postgres":
        # R: it asks for the password, so it accepts sessions. Otherwise it gives a reason.
        if data[:1] == b"R":
            return ProbeResult("up", "", took_ms)
        return ProbeResult("down", _refusal(data), took_ms)
    answer = http_answer(data)
    if answer is None:
        return ProbeResult("down", "its answer is not HTTP", took_ms)
    degraded, reasons = answers.health(answer.body)
    if answer.status != 200:
        return ProbeResult("down", reasons or f"answers {answer.status}", took_ms)
    return ProbeResult("degraded" if degraded else "up", reasons, took_ms)


def _refusal(data: bytes) -> str:
    messages = [part[1:] for part in data[5:].split(b"\0") if part[:1] == b"M"]
    return answers.short(messages[0]) if messages else "refuses a session"


def _number(digits: bytes) -> int | None:
    return int(digits) if digits.isdigit() and len(digits) <= _DIGITS else None


def requests_of(body: bytes) -> int | None:
    """Read the number of requests from nginx's stub_status."""
    lines = body.split(b"\n")
    numbers = lines[2].split() if len(lines) > 2 else []
    return _number(numbers[2]) if len(numbers) == 3 else None
