"""Answers since the gateway started, served to clients inside its own namespace only."""

from __future__ import annotations

import json
from collections.abc import Mapping

from services.api_gateway.rotation import Rotation
from services.api_gateway.standing import Rank
from services.common.metrics import INSIDE
from services.common.request_stats import RequestStats

PATH = b"/internal/counts"


def is_requested(path: bytes, client: str) -> bool:
    """Tell whether a request is for the statistics and comes from inside."""
    return path == PATH and client == INSIDE


def body(stats: RequestStats, rotations: Mapping[str, Rotation], **more: object) -> bytes:
    """Give the statistics as JSON: answers by the first digit of their status, and each upstream's.

    Requests for health and for statistics are not counted. Units: seconds.
    """
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
    counts = stats.counts()
    statuses = {f"{digit}xx": 0 for digit in range(1, 6)}
    for (_, status), number in counts.answers.items():
        statuses[f"{status // 100}xx"] += number
    document = {
        "statuses": statuses,
        "busy_s": round(counts.busy_s, 6),
        "upstreams": upstreams,
        **more,
    }
    return json.dumps(document, separators=(",", ":")).encode()
