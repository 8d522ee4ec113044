"""The answer at /health: a service's own state and that of its stores."""

from __future__ import annotations

import time

from flask import Flask, Response

from services.common.call_stats import POSTGRES, REDIS, CallStats
from services.common.database import Database
from services.common.failures import DatabaseDown, RedisDown
from services.common.redis_store import RedisStore
from services.common.settings import Settings
from services.common.wsgi import answer

_started = time.monotonic()


def add_route(
    app: Flask, settings: Settings, database: Database, store: RedisStore, calls: CallStats
) -> None:
    """Answer 503 when PostgreSQL is down, else 200: "degraded" when Redis is down."""

    @app.get("/health")
    def health() -> Response:
        status, needs = "ok", {POSTGRES: "ok", REDIS: "ok"}
        try:
            store.ping()
        except RedisDown as error:
            status, needs[REDIS] = "degraded", f"down: {error}"
        try:
            database.ping()
        except DatabaseDown as error:
            status, needs[POSTGRES] = "down", f"down: {error}"
        body = {
            "status": status,
            "service": settings.service,
            "replica": settings.replica,
            "uptime_s": round(time.monotonic() - _started, 1),
            "needs": needs,
            "asked": calls.document(),
        }
        return answer(body, 503 if status == "down" else 200)
