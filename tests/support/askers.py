"""Clients that ask for the products all the time, and write down what they got.

`python -m tests.support.askers HOST PORT CLIENTS` does so until its input ends, then writes a JSON
list: for clients in another network namespace.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from subprocess import PIPE

from tests.support.project import ROOT
from tests.support.sandbox import Sandbox

PAUSE_S = 0.005


@dataclass(frozen=True)
class Seen:
    """One request: when it was sent (monotonic clock), how long it took, and its answer."""

    at_s: float
    took_s: float
    status: int  # 0: none
    served_by: str


@contextmanager
def asking(port: int, count: int, host: str = "127.0.0.1") -> Iterator[list[Seen]]:
    """Let clients send GET after GET while the block lasts; give the list of what they saw."""
    seen: list[Seen] = []
    over = threading.Event()

    def ask() -> None:
        link = http.client.HTTPConnection(host, port, timeout=20)
        while not over.wait(PAUSE_S):
            at_s, status, served_by = time.monotonic(), 0, ""
            with suppress(OSError, http.client.HTTPException):
                link.request("GET", "/api/products")
                answer = link.getresponse()
                answer.read()
                status, served_by = answer.status, answer.getheader("x-served-by", "")
            if not status:
                link.close()
            seen.append(Seen(at_s, time.monotonic() - at_s, status, served_by))
        link.close()

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join(25)


@contextmanager
def asking_in(sandbox: Sandbox, host: str, port: int, count: int) -> Iterator[list[Seen]]:
    """Do as `asking` inside a sandbox. The list is filled when the block ends."""
    seen: list[Seen] = []
    module = (sys.executable, "-m", "tests.support.askers")
    words = ("env", f"PYTHONPATH={ROOT}", *module, host, str(port), str(count))
    process = sandbox.start(*words, stdin=PIPE, stdout=PIPE)
    try:
        yield seen
    finally:
        output, _ = process.communicate(timeout=60)
    seen += [Seen(*fields) for fields in json.loads(output)]


if __name__ == "__main__":
    with asking(int(sys.argv[2]), int(sys.argv[3]), sys.argv[1]) as _seen:
        sys.stdin.read()
    sys.stdout.write(json.dumps([astuple(one) for one in _seen]))
