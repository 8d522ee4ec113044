"""A closed loop of reads, carts and orders against a stack, until the standard input ends.

`python -m tests.support.shop_load URL` prints one JSON document at its end: how many requests
were sent, in how many seconds, and each that failed. Nothing is sent twice, but for what RFC 9110
9.2.2 asks of every client: an idempotent request on a kept connection that was closed before the
first byte of an answer. A keyless POST to a cart is never repeated: so a replica that ends in its
midst is seen.
"""

from __future__ import annotations

import http.client
import itertools
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.project import ROOT

#: Of these every other one opens a connection for each request.
CLIENTS = 16
SESSION = "X-Session-ID"
#: Products of which there are a hundred thousand. Source: services/stores/schema.sql.
IN_STOCK = (1, 2, 3, 9, 10, 11, 12)
TIMEOUT_S = 10.0
_GONE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


@dataclass
class Request:
    """One request, and the statuses that are right."""

    method: str
    path: str
    right: tuple[int, ...] = (200,)
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)


def requests(client: int, session: dict[str, str]) -> Iterator[Request]:
    """Give a client's requests: of twenty, fifteen reads, four carts, one order.

    The first is a cart's, whose answer gives the `session`.
    """
    yield Request("POST", "/api/cart", (200, 201), {"product_id": 1, "quantity": 1})
    for turn in itertools.count(client):
        match turn % 20:
            case 0:
                item = {"product_id": IN_STOCK[turn // 20 % len(IN_STOCK)], "quantity": 1}
                key = {"Idempotency-Key": uuid.uuid4().hex}
                yield Request("POST", "/api/orders", (201,), {"items": [item]}, {**session, **key})
            case 5 | 10 | 15:
                item = {"product_id": 1, "quantity": 1}
                yield Request("POST", "/api/cart", (200, 201), item, session)
            case 16:
                yield Request("PUT", "/api/cart", (200,), {"items": []}, session)
            case 2 | 7 | 12 | 17:
                yield Request("GET", "/api/cart", headers=session)
            case _:
                yield Request(
                    "GET", "/api/products" if turn % 2 else f"/api/products/{turn % 8 + 1}"
                )


class Client(threading.Thread):
    """Sends one request after another."""

    def __init__(self, number: int, url: str, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self.number, self.ended = number, ended
        self.address = urlsplit(url).hostname or "", urlsplit(url).port or 80
        self.link: http.client.HTTPConnection | None = None
        self.session: dict[str, str] = {}
        self.sent = self.repeated = 0
        self.failed: list[str] = []

    def run(self) -> None:
        for request in requests(self.number, self.session):
            if self.ended.is_set():
                return
            self.sent += 1
            begun = time.time()
            try:
                status, text = self.ask(request)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                status, text = 0, f"{type(error).__name__}: {error}"
            if status not in request.right:
                what = f"{request.method} {request.path} {status} {text[:200]}"
                self.failed.append(f"{begun:.3f} +{time.time() - begun:.3f} s {what}")
            if self.number % 2:
                self.close()

    def ask(self, request: Request) -> tuple[int, str]:
        kept = self.link is not None
        try:
            return self._ask(request)
        except _GONE:
            self.close()
            if not kept or request.method == "POST":
                raise
            self.repeated += 1
            return self._ask(request)

    def _ask(self, request: Request) -> tuple[int, str]:
        if self.link is None:
            self.link = http.client.HTTPConnection(*self.address, timeout=TIMEOUT_S)
        body = None if request.body is None else json.dumps(request.body)
        headers = {"Content-Type": "application/json"} if body else {}
        self.link.request(request.method, request.path, body, {**headers, **request.headers})
        answer = self.link.getresponse()
        text = answer.read().decode(errors="replace")
        if session := answer.headers[SESSION]:
            self.session[SESSION] = session
        if answer.will_close:
            self.close()
        return answer.status, text

    def close(self) -> None:
        if self.link is not None:
            self.link.close()
            self.link = None


@contextmanager
def shop_load(
    url: str, command: Callable[[list[str]], list[str]], tell: Callable[[str], None], what: str
) -> Iterator[None]:
    """Load a stack during the block; at its end every request must have been answered right.

    `command` gives the words that run a command on the stack's host.
    """
    words = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.support.shop_load", url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command(words), stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield
            report = json.loads(process.communicate("", timeout=60)[0])
        finally:
            process.kill()
    sent, failed, repeated = report["sent"], report["failed"], report["repeated"]
    rate = f"{sent / report['seconds']:.0f}/s"
    tell(f"{what}: {sent} requests, {rate}, {repeated} sent again, {len(failed)} failed")
    assert failed == [], f"{len(failed)} of {sent} failed, first {failed[:3]}"
    assert sent > 1000, f"{sent} requests in {report['seconds']:.0f} s are no load"


def main(url: str) -> None:
    """Send until the standard input ends, and print what came of it."""
    ended = threading.Event()
    clients = [Client(number, url, ended) for number in range(CLIENTS)]
    begun = time.monotonic()
    for client in clients:
        client.start()
    sys.stdin.read()
    ended.set()
    for client in clients:
        client.join()
    document = {
        "seconds": time.monotonic() - begun,
        "sent": sum(client.sent for client in clients),
        "repeated": sum(client.repeated for client in clients),
        "failed": [line for client in clients for line in client.failed],
    }
    print(json.dumps(document))  # noqa: T201 a program


if __name__ == "__main__":
    main(sys.argv[1])
