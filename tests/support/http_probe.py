"""Send the corpus of hostile HTTP to a port, and canaries after each vector; print what is wrong.

A canary is a request with an id of its own on a fresh connection: its answer must have that id and
that product. So a desync anywhere behind the port shows. `python -m tests.support.http_probe
ADDRESS PORT [EVERY]` sends every EVERYth vector from as many threads as it has canaries' products.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field

from tests.support.http_corpus import corpus
from tests.support.http_vectors import CLOSED, Vector

HANG_S = 5.0
SILENCE_S = 0.8  # then a vector's client says that it has sent all
CANARIES = 2
THREADS = 6
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_ID = re.compile(rb"\r\nx-request-id: ([^\r\n]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Port:
    """Where the vectors go."""

    address: str
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection((self.address, self.port), timeout=HANG_S)


@dataclass(slots=True)
class Tally:
    """What came of the vectors."""

    vectors: int = 0
    canaries: int = 0
    longest_s: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def canary(name: str, product: int) -> bytes:
    return (
        f"GET /api/products/{product} HTTP/1.1\r\nHost: canary\r\nX-Request-ID: {name}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()


def exchange(port: Port, vector: Vector, own: str) -> tuple[bytes, float]:
    """Send a vector and a canary on one connection; all that comes, and how long it took.

    Raises: TimeoutError when it is not over in time.
    """
    with closing(port.connect()) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = vector.data.replace(b"@ID@", own.encode()).replace(b"@IN@", f"{own}-in".encode())
        data += canary(f"{own}-after", 5)
        began = time.monotonic()
        with suppress(ConnectionError):  # closed while we send: there may be an answer
            for start in range(0, len(data), vector.piece_bytes):
                link.sendall(data[start : start + vector.piece_bytes])
        got = b""
        link.settimeout(SILENCE_S)
        with suppress(ConnectionError):
            while True:
                try:
                    part = link.recv(1 << 18)
                except TimeoutError:
                    if time.monotonic() - began > HANG_S:
                        raise
                    with suppress(OSError):
                        link.shutdown(socket.SHUT_WR)
                    link.settimeout(HANG_S)
                    continue
                if not part:
                    break
                got += part
        return got, time.monotonic() - began


def judge(vector: Vector, own: str, got: bytes) -> list[str]:
    """Say what is wrong with the answers to a vector; pure."""
    found = [int(status) for status in _STATUS.findall(got)]
    final = [status for status in found if status >= 200]
    first = final[0] if final else CLOSED
    wrong = []
    if first not in vector.allowed:
        wrong.append(f"status {first}, allowed are {sorted(vector.allowed)}")
    if broken := [status for status in final if status >= 500 and status not in {501, 505}]:
        wrong.append(f"statuses {broken}")
    strangers = [
        name.decode("latin-1")
        for name in _ID.findall(got)
        if name.startswith(b"vector-") and not re.match(rf"{own}(-in|-after)?$".encode(), name)
    ]
    if strangers:
        wrong.append(f"answers of others: {strangers}")
    return wrong


def ask_canary(port: Port, name: str, product: int) -> list[str]:
    """Ask for a product on a fresh connection; say what is wrong with the answer."""
    got = b""
    with closing(port.connect()) as link:
        link.sendall(canary(name, product))
        while part := link.recv(1 << 16):
            got += part
    head, _, body = got.partition(b"\r\n\r\n")
    ids = [found.decode("latin-1") for found in _ID.findall(head)]
    try:
        answered = json.loads(body).get("id")
    except ValueError:
        answered = None
    as_it_should = head.startswith(b"HTTP/1.1 200 ") and ids == [name] and answered == product
    return [] if as_it_should else [f"canary {name} of {product}: {got[:300]!r}"]


def probe(port: Port, number: int, vector: Vector) -> tuple[list[str], float, bytes]:
    """Send one vector and its canaries."""
    own = f"vector-{number:05}"
    took_s, got, wrong = HANG_S, b"", []
    try:
        got, took_s = exchange(port, vector, own)
        wrong += judge(vector, own, got)
        if took_s > HANG_S:
            wrong.append(f"took {took_s:.1f} s")
        for count in range(CANARIES):
            wrong += ask_canary(port, f"{own}-canary-{count}", 1 + (number + count) % 24)
    except OSError as error:
        wrong.append(f"{type(error).__name__}: {error}")
    named = f"{number} {vector.name}: {vector.data[:160]!r}"
    return [f"{named}: {problem}" for problem in wrong], took_s, got


def run(port: Port, every: int = 1) -> Tally:
    """Send every `every`th vector."""
    chosen = list(enumerate(corpus()))[::every]
    tally = Tally(vectors=len(chosen), canaries=CANARIES * len(chosen))
    with ThreadPoolExecutor(THREADS) as pool:
        results = pool.map(lambda pair: probe(port, *pair), chosen)
        for wrong, took_s, got in results:
            tally.problems += wrong
            tally.longest_s = max(tally.longest_s, took_s)
            tally.statuses.update(int(status) for status in _STATUS.findall(got))
    return tally


if __name__ == "__main__":
    address, text, *rest = sys.argv[1:]
    tally = run(Port(address, int(text)), int(rest[0]) if rest else 1)
    document = {
        "vectors": tally.vectors,
        "canaries": tally.canaries,
        "longest_s": round(tally.longest_s, 2),
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
        "problems": tally.problems,
    }
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
    sys.exit(1 if tally.problems else 0)
