"""The answer at /health: a service's own state and that of its dependencies."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Response

from services.common.failures import DatabaseDown, RedisDown
from services.common.settings import Settings
from services.common.wsgi import answer

_started = time.monotonic()


@dataclass(frozen=True, slots=True)
class Need:
    """A dependency of a service. `check` raises when it is down."""

    check: Callable[[], None]
    vital: bool


def report(settings: Settings, needs: Mapping[str, Need], **more: object) -> Response:
    """Answer 503 when a vital dependency is down, else 200 ("degraded" when another one is)."""
    states: dict[str, str] = {}
    status = "ok"
    for name, need in needs.items():
        try:
            need.check()
            states[name] = "ok"
        except (DatabaseDown, RedisDown) as error:
            states[name] = f"down: {error}"
            if need.vital:
                status = "down"
            elif status == "ok":
                status = "degraded"
    body = {
        "status": status,
        "service": settings.service,
        "replica": settings.replica,
        "uptime_s": round(time.monotonic() - _started, 1),
        "needs": states,
        **more,
    }
    return answer(body, 503 if status == "down" else 200)
