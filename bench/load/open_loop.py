"""An open loop: requests at moments that no answer changes, on kept connections.

A closed loop (`ab`) sends its next request when an answer has come: while the server stalls it
asks nothing, so a stall is one slow request among thousands ("coordinated omission"). Here the
moments are drawn first, and a latency counts from the *intended* moment: a request whose turn comes
while every connection is busy waits for one, and its waiting counts. How late the generator itself
was is reported apart, as its lag.

`run` starts a process of this module: epoll, a pool of connections, real-time priority where that
is allowed (a client on another machine would not queue for a core behind the servers either).
Bounded in requests and in time. Source: Tene, "How NOT to Measure Latency", 2013; sched(7).
"""

from __future__ import annotations

import gc
import json
import math
import os
import random
import re
import select
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from twinstack.errors import CannotTell, TwinstackError, WrongUse
from twinstack.linux import process
from twinstack.world import Endpoint

MOST_REQUESTS, MOST_SECONDS, MOST_CONNECTIONS = 1_000_000, 600.0, 900
CONNECTIONS = 64
#: How long requests are sent before the first that counts, and answers awaited after the last.
WARM_UP_S, DRAIN_S = 0.3, 10.0
#: An HDR histogram's range, 1 µs to a minute, and its digits.
_HDR = (1, 60_000_000, 3)
_ROOT = Path(__file__).parents[2]
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r", re.IGNORECASE)
#: In place of a request's number.
_IDLE, _CONNECTING = -1, -2
_CHECK_S = 0.25
_AT_ONCE = 4  # events handled before looking again at what is due

Arrivals = Literal["poisson", "constant"]


@dataclass(frozen=True, slots=True)
class OpenLoad:
    """What one run sends. Raises: TwinstackError for more than may be sent."""

    rate: float  # requests per second
    seconds: float
    path: str = "/api/products"
    connections: int = CONNECTIONS
    arrivals: Arrivals = "poisson"
    seed: int = 1

    def __post_init__(self) -> None:
        for name, value, most in (
            ("rate × seconds", self.rate * self.seconds, MOST_REQUESTS),
            ("seconds", self.seconds, MOST_SECONDS),
            ("connections", self.connections, MOST_CONNECTIONS),
        ):
            if not 0 < value <= most:
                cause = f"it is more than 0 and at most {most:g}"
                raise WrongUse(name, f"cannot be {value:g}", cause, "choose another")

    def moments(self) -> list[float]:
        """Draw when to send: seconds from the first that counts, the warm-up's negative; pure."""
        rng, moments = random.Random(self.seed), []
        moment = rng.random() / self.rate - WARM_UP_S
        while moment < self.seconds:
            moments.append(moment)
            moment += (rng.expovariate(1) if self.arrivals == "poisson" else 1) / self.rate
        return moments


@dataclass(frozen=True, slots=True)
class OpenReport:
    """One run, its warm-up left out. Each series has an entry for each request."""

    latency_us: Sequence[int]  # from the intended moment to the whole answer; -1: it failed
    lag_us: Sequence[int]  # how late the generator itself sent it
    non_2xx: int
    lost: int  # the connection broke, or no answer came until the end
    unsent: int  # no connection became free until the end
    cpu_us_per_request: float  # the generator's

    @property
    def failed(self) -> int:
        return self.non_2xx + self.lost + self.unsent

    @property
    def answered_us(self) -> list[int]:
        """Give the latencies of the requests that were answered with 2xx."""
        return [latency for latency in self.latency_us if latency >= 0]


def run(endpoint: Endpoint, load: OpenLoad) -> OpenReport:
    """Send a load. Raises: StepFailed when the generator fails; CannotTell without an answer."""
    words = [sys.executable, "-m", "bench.load.open_loop", endpoint.address, str(endpoint.port)]
    done = process.run(
        words,
        stdin=json.dumps(asdict(load)),
        timeout_s=load.seconds + DRAIN_S + 20,
        directory=_ROOT,
    )
    report = OpenReport(**json.loads(done.stdout))
    if not report.answered_us:
        cause = f"{report.failed} requests failed"
        raise CannotTell(endpoint.url(load.path), "has no latency", cause, "see that it answers")
    return report


def encoded(latencies_us: Sequence[int]) -> str:
    """Write latencies as every HDR histogram reads them (V2, compressed, base64); pure."""
    from hdrh.histogram import HdrHistogram

    histogram = HdrHistogram(*_HDR)
    for latency in latencies_us:
        histogram.record_value(min(max(latency, _HDR[0]), _HDR[1]))
    return str(histogram.encode().decode("ascii"))


class _Connection:
    """One kept connection: it carries one request at a time."""

    __slots__ = ("closes", "head", "missing", "number", "ok", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.number = _CONNECTING  # of the request that it carries
        self.head = b""  # of an answer, while it is not whole
        self.missing = 0  # bytes of an answer of which the head is whole
        self.ok = self.closes = False  # what the head says
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(address)  # what it says comes with the first event


class _Loop:
    """Sends what is due while a connection is free, and reads what has come."""

    def __init__(self, address: str, port: int, load: OpenLoad) -> None:
        self.address = (address, port)
        self.request = f"GET {load.path} HTTP/1.1\r\nHost: {address}:{port}\r\n\r\n".encode()
        self.due, self.seconds = load.moments(), load.seconds
        self.latency, self.lag = [-1e-6] * len(self.due), [0.0] * len(self.due)
        self.non_2xx: list[int] = []  # numbers of requests
        self.lost: list[int] = []
        self.epoll = select.epoll()
        self.connections: dict[int, _Connection] = {}
        self.idle: list[_Connection] = []
        self.broken = load.connections  # to be opened again
        self.start = time.monotonic()

    def run(self) -> OpenReport:
        """Open the connections and send everything. Raises: TwinstackError if none opens."""
        self._open_broken()
        while len(self.idle) < len(self.connections) and time.monotonic() < self.start + 5:
            self._events(0.1)
        if not self.idle:
            name = "{}:{}".format(*self.address)
            raise TwinstackError(name, "cannot be loaded", "it accepts no connection")
        gc.disable()
        self.start, before_s = time.monotonic() + WARM_UP_S + 0.01, time.process_time()
        sent = self._send_all()
        cpu_us = (time.process_time() - before_s) * 1e6 / max(1, sent)
        self.lost += [c.number for c in self.connections.values() if c.number >= 0]
        first = sum(moment < 0 for moment in self.due)
        return OpenReport(
            latency_us=_us(self.latency[first:]),
            lag_us=_us(self.lag[first:sent]),
            non_2xx=sum(number >= first for number in self.non_2xx),
            lost=sum(number >= first for number in self.lost),
            unsent=len(self.due) - max(first, sent),
            cpu_us_per_request=cpu_us,
        )

    def _send_all(self) -> int:
        """Give how many requests had a connection until the end."""
        due, idle, start, clock = self.due, self.idle, self.start, time.monotonic
        number, total, end = 0, len(self.due), self.seconds + DRAIN_S
        free_since = -math.inf  # when the last request that waited for a connection got one
        check_at = _CHECK_S
        while (now := clock() - start) < end:
            while number < total and due[number] <= now and idle:
                connection = idle.pop()
                connection.number = number
                self.lag[number] = now - max(due[number], free_since)
                number += 1
                try:
                    connection.socket.send(self.request)
                except OSError:
                    self._lose(connection)
                now = clock() - start
            if number == total and len(idle) == len(self.connections):
                break
            starved = not idle
            wait = _CHECK_S if starved or number == total else min(due[number] - now, _CHECK_S)
            self._events(max(wait, 0.0))
            if starved and idle:
                free_since = clock() - start
            if now > check_at:
                check_at = now + _CHECK_S
                self._open_broken()
        return number

    def _events(self, wait_s: float) -> None:
        """Handle what has come, or comes in a while: select counts it finer than epoll's ms."""
        if not select.select((self.epoll,), (), (), wait_s)[0]:
            return
        for descriptor, _ in self.epoll.poll(0, _AT_ONCE):
            connection = self.connections[descriptor]
            if connection.number != _CONNECTING:
                self._read(connection)
            elif connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._lose(connection)
            else:
                self.epoll.modify(descriptor, select.EPOLLIN)
                connection.number = _IDLE
                self.idle.append(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(65_536)
        except OSError:
            data = b""
        if not data:
            self._lose(connection)
            return
        if connection.missing > 0:
            connection.missing -= len(data)
        else:
            data = connection.head + data
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                connection.head = data
                return
            length = _LENGTH.search(data, 0, end)
            if length is None:
                name, cause = "{}:{}".format(*self.address), "it has no Content-Length"
                raise TwinstackError(name, "sends an answer that cannot be followed", cause)
            connection.head, connection.ok = b"", data[9:10] == b"2"
            old = data[7:8] == b"0"  # HTTP/1.0
            connection.closes = old or b"onnection: close" in data[:end]
            connection.missing = end + int(length[1]) - len(data)
        if connection.missing > 0:
            return
        number, connection.number = connection.number, _IDLE
        if connection.ok:
            self.latency[number] = time.monotonic() - self.start - self.due[number]
        else:
            self.non_2xx.append(number)
        if connection.closes:
            self._lose(connection)
            self._open_broken()
        else:
            self.idle.append(connection)

    def _lose(self, connection: _Connection) -> None:
        """Close a connection, to be opened again; the request that it carries is lost."""
        if connection.number >= 0:
            self.lost.append(connection.number)
        elif connection in self.idle:
            self.idle.remove(connection)
        del self.connections[connection.socket.fileno()]
        connection.socket.close()  # epoll forgets it
        self.broken += 1

    def _open_broken(self) -> None:
        while self.broken:
            connection = _Connection(self.address)
            self.connections[connection.socket.fileno()] = connection
            self.epoll.register(connection.socket, select.EPOLLOUT)
            self.broken -= 1


def _us(seconds: Sequence[float]) -> list[int]:
    return [round(value * 1e6) for value in seconds]


def main(address: str, port: str) -> int:
    """Read a load from standard input and write its report."""
    with suppress(OSError):  # not root
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        report = _Loop(address, int(port), OpenLoad(**json.load(sys.stdin))).run()
    except TwinstackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    json.dump(asdict(report), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
