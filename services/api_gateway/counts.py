"""What was answered since the gateway started: told to whoever asks from inside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from services.api_gateway.discovery import Rotation

PATH = b"/internal/counts"
#: Nobody who comes through a door has this address; who asks in our own namespace has no other.
INSIDE = "127.0.0.1"


def is_asked(path: bytes, client: Iterable[Any] | None) -> bool:
    """Tell whether a request asks for the counts, and may."""
    return path == PATH and client is not None and next(iter(client)) == INSIDE


class Counts:
    """Answers by the first digit of their status, and the time that they took. Units: seconds.

    Requests for health and for the counts themselves are not among them.
    """

    __slots__ = ("busy_s", "statuses")

    def __init__(self) -> None:
        self.statuses = [0] * 6
        self.busy_s = 0.0

    def add(self, status: int, took_s: float) -> None:
        """Count an answer."""
        self.statuses[status // 100] += 1
        self.busy_s += took_s

    def body(self, rotations: Mapping[str, Rotation], now: float, **more: object) -> bytes:
        """Write them down, with those of each instance asked."""
        upstreams = [
            {
                "service": service,
                "instance": one.name,
                "answers": one.answers,
                "failures": one.failures,
                "busy_s": round(one.busy_s, 6),
                "shunned": one.shunned_until > now,
            }
            for service, rotation in rotations.items()
            for one in rotation.upstreams
        ]
        found = {
            "statuses": {f"{digit}xx": self.statuses[digit] for digit in range(1, 6)},
            "busy_s": round(self.busy_s, 6),
            "upstreams": upstreams,
            **more,
        }
        return json.dumps(found, separators=(",", ":")).encode()
