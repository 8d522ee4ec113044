"""Hold slow clients open before a port, and measure what others wait meanwhile.

`python -m tests.support.slow_clients ADDRESS PORT COUNT SECONDS` opens COUNT clients of each kind:
of one byte of a head every half second, of one byte of a body, and of one byte read from a long
answer. Others' requests come every 10 ms on kept connections: for some seconds before, while the
clients are held, and after. Prints JSON; times in milliseconds.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from statistics import quantiles

PACE_S, PERIOD_S, SETTLE_S = 0.5, 0.010, 1.0
END_S = 24.0
_POST = b"POST /api/cart HTTP/1.1\r\nHost: slow\r\nContent-Length: 60000\r\n\r\n"
_GET = b"GET /api/products HTTP/1.1\r\nHost: slow\r\n\r\n"
STARTS = {"head": b"GET /api/products HTTP/1.1\r\nA: ", "body": _POST, "reader": _GET * 20}


@dataclass(slots=True)
class Slow:
    """Slow clients, and when each was ended by the other side."""

    address: tuple[str, int]
    count: int
    links: list[tuple[str, socket.socket]] = field(default_factory=list)
    ended_s: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in STARTS})

    def open(self) -> None:
        for kind, start in STARTS.items():
            for _ in range(self.count):
                link = socket.socket()
                link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                link.settimeout(5)
                link.connect(self.address)
                link.setblocking(False)
                with suppress(BlockingIOError):
                    link.send(start)
                self.links.append((kind, link))

    def go_on(self, began: float) -> None:
        """Send or read one byte of each; note which are over."""
        still = []
        for kind, link in self.links:
            time.sleep(PACE_S / len(self.links))
            if self._over(kind, link):
                self.ended_s[kind].append(time.monotonic() - began)
                link.close()
            else:
                still.append((kind, link))
        self.links = still

    def _over(self, kind: str, link: socket.socket) -> bool:
        try:
            if kind == "reader":  # what came before a reset could be read for minutes
                return bool(link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) or not link.recv(1)
            link.send(b"x")
            return link.recv(4096) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


def waits_ms(address: tuple[str, int], seconds: float) -> tuple[list[float], Counter[int]]:
    """Ask for the products every 10 ms; how long each answer took, and the statuses."""
    took, statuses = [], Counter[int]()
    link = HTTPConnection(*address, timeout=5)
    end = due = time.monotonic()
    end += seconds
    while due < end:
        time.sleep(max(0.0, due - time.monotonic()))
        began = time.perf_counter()
        link.request("GET", "/api/products")
        answer = link.getresponse()
        answer.read()
        took.append((time.perf_counter() - began) * 1000)
        statuses[answer.status] += 1
        due += PERIOD_S
    link.close()
    return took, statuses


def hold(address: tuple[str, int], count: int) -> dict[str, list[float]]:
    """Hold slow clients until all are over; give when each was ended."""
    slow, began = Slow(address, count), time.monotonic()
    slow.open()
    while time.monotonic() - began < END_S and slow.links:
        slow.go_on(began)
    for _, link in slow.links:
        link.close()
    return slow.ended_s


def main(host: str, port: str, count: str, watched: str) -> None:
    address, seconds = (host, int(port)), float(watched)
    waits_ms(address, 1.0)
    before, good = waits_ms(address, seconds)
    with ProcessPoolExecutor(1) as pool:  # its own process: its work is not what others wait for
        holding = pool.submit(hold, address, int(count))
        time.sleep(SETTLE_S)
        during, meanwhile = waits_ms(address, seconds)
        ended = holding.result()
    after, again = waits_ms(address, seconds)
    p99_ms = [round(quantiles(took, n=100)[98], 2) for took in (before, during, after)]
    document = {
        "p99_ms": dict(zip(("before", "during", "after"), p99_ms, strict=True)),
        "statuses": dict(good + meanwhile + again),
        "ended": {kind: len(times) for kind, times in ended.items()},
        "last_end_s": {kind: round(max(t, default=0), 1) for kind, t in ended.items()},
    }
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
