"""A service's own process on loopback, upon real stores, and clients of it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from services.common.call_stats import CallStats
from services.common.failures import Breaker, RedisDown
from services.common.redis_store import CARTS_WAIT_S, RedisStore
from services.common.settings import from_environment
from services.order_service.carts import Carts
from tests.support.gateway_parts import closed_port
from tests.support.project import ROOT
from tests.support.real_stores import Stores


@dataclass(frozen=True)
class Answer:
    """What came back; `said` is the body's JSON."""

    status: int
    headers: dict[str, str]
    said: dict[str, Any]


class OrderProcess:
    """The service under granian, with as many threads as the topology declares."""

    service = "order-service"
    threads = 4

    def __init__(self, stores: Stores, **environment: str) -> None:
        own = stores.environment_of(self.service)
        self._environment = {**os.environ, **own, **environment}
        self.port = closed_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        words = f"--interface wsgi --http 1 --no-ws --host 127.0.0.1 --port {self.port}"
        more = f"--workers 1 --blocking-threads {self.threads} --log-level warning"
        module = f"services.{self.service.replace('-', '_')}.app:app"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "granian", *words.split(), *more.split()]
            + ["--workers-kill-timeout", "3", module],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while not self._is_healthy():
            assert time.monotonic() < deadline, f"{self.service} is not healthy"
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it; its worker ends with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def _is_healthy(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return Client(self.port).call("GET", "/health").status == 200
        return False


class ProductProcess(OrderProcess):
    """The same of the product service."""

    service = "product-service"
    threads = 2


@dataclass
class Client:
    """A client that keeps the session it was given; of the service itself, or of a whole stack."""

    port: int
    session: str = ""
    address: str = "127.0.0.1"
    prefix: str = ""

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.session:
            names.setdefault("X-Session-ID", self.session)
        data = None if body is None else json.dumps(body).encode()
        link = http.client.HTTPConnection(self.address, self.port, timeout=10)
        with closing(link):
            link.request(method, self.prefix + path, data, names)
            answer = link.getresponse()
            text = answer.read()
        got = {name.lower(): value for name, value in answer.getheaders()}
        self.session = got.get("x-session-id", self.session)
        return Answer(answer.status, got, json.loads(text) if text else {})

    def add(self, product_id: int, quantity: int) -> Answer:
        return self.call("POST", "/cart", {"product_id": product_id, "quantity": quantity})

    def cart(self) -> dict[int, int]:
        items = self.call("GET", "/cart").said["items"]
        return {item["product_id"]: item["quantity"] for item in items}

    def check_out(self, key: str = "") -> Answer:
        return self.call("POST", "/orders", {"from_cart": True}, **_keyed(key))

    def order(self, product_id: int, quantity: int = 1, key: str = "") -> Answer:
        items = [{"product_id": product_id, "quantity": quantity}]
        return self.call("POST", "/orders", {"items": items}, **_keyed(key))


def _keyed(key: str) -> dict[str, str]:
    return {"Idempotency_Key": key} if key else {}


def carts_over(stores: Stores, redis_port: int) -> Carts:
    """Give the carts in this process, over a link to Redis on that port."""
    settings = from_environment(
        "order-service", stores.environment | {"REDIS_PORT": str(redis_port)}
    )
    store = RedisStore(settings, CallStats(), CARTS_WAIT_S)
    store.breaker = Breaker(0.0, RedisDown)
    return Carts(store, 60)


def at_once(*calls: Callable[[], Answer]) -> list[Answer]:
    """Make calls at the same time; give their answers in the order of the calls."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [answer.result() for answer in [pool.submit(call) for call in calls]]
