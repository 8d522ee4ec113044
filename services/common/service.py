"""A Flask service upon the stores: its parts, its start, and the answer at /health."""

from __future__ import annotations

import time
from dataclasses import dataclass

from flask import Flask, Response

from services.common.call_stats import POSTGRES, REDIS, CallStats
from services.common.database import Database
from services.common.failures import DatabaseDown, RedisDown
from services.common.logs import Log
from services.common.process import die_with_parent
from services.common.redis_store import RedisStore
from services.common.settings import Settings, from_environment
from services.common.wsgi import answer, make_app

_started = time.monotonic()


@dataclass(frozen=True, slots=True)
class Service:
    """What one process of a service shares among its routes."""

    settings: Settings
    log: Log
    calls: CallStats
    database: Database
    store: RedisStore


def start(name: str, redis_wait_s: float) -> Service:
    """Make the parts from the environment, in a worker that ends with its server."""
    die_with_parent()
    settings = from_environment(name)
    log = Log(settings.service, settings.replica, settings.log_requests)
    calls = CallStats()
    store = RedisStore(settings, calls, redis_wait_s)
    return Service(settings, log, calls, Database(settings, calls), store)


def make_app_with_health(service: Service) -> Flask:
    """Make the application. /health is 503 if PostgreSQL is down, "degraded" if Redis is."""
    app = make_app(service.settings, service.log)

    @app.get("/health")
    def health() -> Response:
        status, needs = "ok", {POSTGRES: "ok", REDIS: "ok"}
        try:
            service.store.ping()
        except RedisDown as error:
            status, needs[REDIS] = "degraded", f"down: {error}"
        try:
            service.database.ping()
        except DatabaseDown as error:
            status, needs[POSTGRES] = "down", f"down: {error}"
        body = {
            "status": status,
            "service": service.settings.service,
            "replica": service.settings.replica,
            "uptime_s": round(time.monotonic() - _started, 1),
            "needs": needs,
            "asked": service.calls.document(),
        }
        return answer(body, 503 if status == "down" else 200)

    return app
