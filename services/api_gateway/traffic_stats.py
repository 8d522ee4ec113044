"""Answers since the gateway started, served to clients inside its own namespace only."""

from __future__ import annotations

import json
from collections.abc import Mapping

from services.api_gateway.rotation import Rotation
from services.api_gateway.standing import Rank

PATH = b"/internal/counts"
#: A client in our own namespace has this address; upstream through a published port never has.
INSIDE = "127.0.0.1"


def is_requested(path: bytes, client: str) -> bool:
    """Tell whether a request is for the statistics and comes from inside."""
    return path == PATH and client == INSIDE


class TrafficStats:
    """Answers by the first digit of their status, and the time that they took. Units: seconds.

    Requests for health and for these statistics are not counted.
    """

    __slots__ = ("busy_s", "statuses")

    def __init__(self) -> None:
        self.statuses = [0] * 6
        self.busy_s = 0.0

    def add(self, status: int, took_s: float) -> None:
        self.statuses[status // 100] += 1
        self.busy_s += took_s

    def body(self, rotations: Mapping[str, Rotation], **more: object) -> bytes:
        """Give the statistics as JSON, with those of each upstream."""
        upstreams = [
            {
                "service": service,
                "instance": upstream.name,
                "answers": upstream.answers,
                "failures": upstream.failures,
                "errors": upstream.errors,
                "busy_s": round(upstream.busy_s, 6),
                "shunned": upstream.standing.rank is not Rank.WELL,
            }
            for service, rotation in rotations.items()
            for upstream in rotation.upstreams
        ]
        document = {
            "statuses": {f"{digit}xx": self.statuses[digit] for digit in range(1, 6)},
            "busy_s": round(self.busy_s, 6),
            "upstreams": upstreams,
            **more,
        }
        return json.dumps(document, separators=(",", ":")).encode()
