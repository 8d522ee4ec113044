"""The gateway: passes requests on and gives answers back.

Every error is a problem document with the request's id; services/README.md lists the statuses.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from services.api.document import document
from services.api_gateway import health_checks, messages, routes, traffic_stats
from services.api_gateway.client import Client, Upstream
from services.api_gateway.connection import Answer, Slow, TimedOut
from services.api_gateway.discovery import Directory
from services.api_gateway.forwarding import Forwarder, Unanswered
from services.api_gateway.gateway_metrics import of_in_flight, of_upstreams
from services.api_gateway.intake import Intake, Refusal, check_framing, check_head, check_reads
from services.api_gateway.messages import RETRY
from services.api_gateway.request import ClientRequest
from services.common import metrics
from services.common.logs import Log
from services.common.metrics import Metrics, of_calls, of_requests
from services.common.request_id import RequestIds
from services.common.request_stats import RequestStats
from services.common.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: Of one service: a slow one takes no room from another.
IN_FLIGHT_MAX = 1024
_SAFE = frozenset({"GET", "HEAD"})
_EXPOSITION = [
    (b"content-type", metrics.CONTENT_TYPE.encode()),
    (b"cache-control", b"no-store"),
]
OPENAPI = json.dumps(document(), separators=(",", ":")).encode()


class Gateway:
    """The application. One for each process."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._ids = RequestIds()
        self._in_flight = 0
        self._in_flight_of = dict.fromkeys(routes.SERVICES, 0)
        self._intake = Intake(settings.max_body_bytes)
        self._stats = RequestStats()
        self._started = time.monotonic()
        self._forwarder: Forwarder
        self._loop: asyncio.AbstractEventLoop
        self._tasks: list[asyncio.Task[None]] = []
        self.directory = Directory(routes.SERVICES, settings.registry_url, log, time.monotonic)
        self._metrics = Metrics(
            settings.workers,
            partial(of_requests, self._stats),
            lambda: of_in_flight(self._in_flight),
            partial(of_upstreams, self.directory.rotations),
            partial(of_calls, self.directory.calls),
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Start and stop, as uvicorn asks by ASGI; requests come to `respond`."""
        assert scope["type"] == "lifespan", f"{scope['type']}: run with --http …server:Protocol"
        await self._lifespan(receive, send)

    async def respond(self, request: ClientRequest) -> None:
        """Answer a request: with what an instance answers, or with an error of our own."""
        started = time.perf_counter()
        heeded = messages.heed(request.headers)
        request_id = self._ids.accept(heeded.request_id.decode("latin-1"))
        raw_id = request_id.encode()
        upstream: Upstream | None = None
        passed_back: list[bytes] | None = None
        own: tuple[bytes, ...] = (messages.JSON,)
        counted = True
        self._in_flight += 1
        try:
            check_head(request.http_version, heeded.hosts)
            if request.path == b"/health":
                counted = False
                status, body = self._health(request.method)
            elif traffic_stats.is_requested(request.path, request.peer):
                counted = False
                asked = self.directory.calls.document()
                about = {"in_flight": self._in_flight, "asked": asked}
                rotations = self.directory.rotations
                status, body = 200, traffic_stats.body(self._stats, rotations, **about)
            elif metrics.is_requested(request.method, request.path, request.peer):
                counted = False
                self._in_flight -= 1  # a scrape is not among what it shows
                # In a thread: a worker that is silent holds up the scrape alone.
                scrape = self._loop.run_in_executor(None, self._metrics.answer)
                try:
                    status, body = await scrape
                finally:
                    self._in_flight += 1
                passed_back = messages.answer_lines(_EXPOSITION, raw_id, status, body)
            elif request.path == b"/openapi.json":
                check_reads(request.method)
                status, body = 200, OPENAPI
            else:
                answer, upstream = await self._pass_on(request, heeded, raw_id)
                status, body = answer.status, answer.body
                kept_body = None if request.method == "HEAD" else body
                passed_back = messages.answer_lines(answer.headers, raw_id, status, kept_body)
        except Refusal as refusal:
            status, own = refusal.status, (messages.PROBLEM, *refusal.lines)
            body = messages.error_body(status, refusal.code, refusal.message, request_id)
        except Exception:
            self._log.exception("unexpected error", request_id=request_id)
            status, own = 500, (messages.PROBLEM,)
            body = messages.error_body(500, "internal_error", "see the gateway's log", request_id)
        finally:
            self._in_flight -= 1
        if request.is_stalled:
            await request.until_read()
        request.answer(status, passed_back or messages.own_lines(raw_id, body, *own), body)
        took_s = time.perf_counter() - started
        if counted:
            self._stats.add(request.method, status, took_s)
        via = upstream.name if upstream else None
        path = request.shown_path
        self._log.request(request_id, request.method, path, status, took_s, upstream=via)

    async def _pass_on(
        self, request: ClientRequest, heeded: messages.Heeded, raw_id: bytes
    ) -> tuple[Answer, Upstream]:
        """Find the route and an instance, send the request, give the answer. Raises: Refusal."""
        method = request.method
        match = routes.find(request.path)
        if match is None:
            raise Refusal(404, "not_found", f"there is no {request.shown_path[:200]} here")
        route, target = match
        if method not in route.methods:
            message = f"{method} is not possible here, only {route.allow.decode()}"
            raise Refusal(405, "method_not_allowed", message, b"allow: %s\r\n" % route.allow)
        check_framing(request.http_version, heeded)
        body: bytes | None = None
        if heeded.has_length or heeded.codings:
            body = await self._loop.create_task(self._intake.body(request, heeded))
        if request.query:
            target += b"?" + request.query
        data = messages.request_bytes(method, target, heeded, raw_id, request.peer, body)
        head_only, safe = method == "HEAD", method in _SAFE
        idempotent = route.is_idempotent(method, heeded.keys > 0)
        if self._in_flight_of[route.service] >= IN_FLIGHT_MAX:
            message = f"{IN_FLIGHT_MAX} requests to {route.service} are under way"
            raise Refusal(503, "overloaded", message, RETRY)
        self._in_flight_of[route.service] += 1
        try:
            return await self._forwarder.send(
                route.service, data, head_only=head_only, safe=safe, idempotent=idempotent
            )
        except Unanswered as error:
            raise self._failed(route.service, error, raw_id.decode()) from None
        finally:
            self._in_flight_of[route.service] -= 1

    def _failed(self, service: str, error: Unanswered, request_id: str) -> Refusal:
        if error.failure is None:
            return Refusal(503, "no_instance", f"no instance of {service} is known", RETRY)
        names = [upstream.name for upstream in error.tried]
        fields = {"request_id": request_id, "tried": names, "reason": str(error)}
        self._log.event("error", "upstream failed", **fields)
        if isinstance(error.failure, Slow | TimedOut):
            message = f"{service} gave no answer within {self._settings.upstream_timeout_s:g} s"
            return Refusal(504, "upstream_timeout", message)
        return Refusal(502, "upstream_failed", f"{service} cannot be reached: {error}", RETRY)

    def _health(self, method: str) -> tuple[int, bytes]:
        """Answer without asking an upstream. Raises: Refusal 405."""
        check_reads(method)
        registry = self.directory.registry_state()
        reasons = []
        instances = {}
        for service, rotation in self.directory.rotations.items():
            live, known = rotation.live(), len(rotation.upstreams)
            instances[service] = {"live": live, "known": known}
            if not live:
                reasons.append(f"no instance of {service} is {'live' if known else 'known'}")
        status = "down" if reasons else "ok" if registry == "ok" else "degraded"
        payload = {
            "status": status,
            "service": self._settings.service,
            "replica": self._settings.replica,
            "uptime_s": round(time.monotonic() - self._started, 1),
            "needs": {"registry": registry, **instances},
            **({"reasons": reasons} if reasons else {}),
        }
        return 503 if reasons else 200, json.dumps(payload, separators=(",", ":")).encode()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._loop = asyncio.get_running_loop()
        client, rotations = Client(self._loop), self.directory.rotations
        self._forwarder = Forwarder(client, rotations, self._settings.upstream_timeout_s)
        watch = partial(health_checks.watch, rotations.values(), client, time.monotonic)
        works = (client.sweep, partial(self.directory.follow, client), watch)
        self._tasks = [self._loop.create_task(self._keep_up(work)) for work in works]
        await send({"type": "lifespan.startup.complete"})
        # What is here now stays: the collector need not look at it again. A request leaves no
        # cycles behind, so the collector may come seldom.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        self._log.event("info", "started")
        await receive()
        for task in self._tasks:
            task.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _keep_up(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run a task that must never end; restart it after a failure."""
        while True:
            try:
                await work()
            except Exception:
                self._log.exception("a background task failed")
            await asyncio.sleep(1)
