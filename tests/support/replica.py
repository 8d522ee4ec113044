"""An HTTP server in a process of its own, to be killed or stopped: `python -m … PORT`.

Answers everything with 200, after a moment of work, on kept connections. Also: a process that holds
such a server, and clients that ask a gateway for products all the time and write down what they
got.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.support.gateway_parts import OK, Upstream
from tests.support.project import ROOT

WORK_S = 0.002


class Replica:
    """A server process on a port that it keeps when it is started again."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self.start()

    def start(self) -> None:
        words = [sys.executable, "-m", "tests.support.replica", str(self.port)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Seen:
    """One request: when it was sent, how long it took, and its status (0: none)."""

    at_s: float
    took_s: float
    status: int


@contextmanager
def clients(port: int, count: int) -> Iterator[list[Seen]]:
    """Let clients send GET after GET while the block lasts; give the list of what they saw."""
    seen: list[Seen] = []
    over = threading.Event()

    def ask() -> None:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        while not over.is_set():
            at_s = time.monotonic()
            status = 0
            with suppress(OSError, http.client.HTTPException):
                link.request("GET", "/api/products")
                answer = link.getresponse()
                answer.read()
                status = answer.status
            if not status:
                link.close()
            seen.append(Seen(at_s, time.monotonic() - at_s, status))
            time.sleep(0.005)
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


def serve(port: int) -> None:
    """Serve until the process ends."""
    listener = socket.create_server(("127.0.0.1", port))

    def work(request: bytes, connection: int, place: int) -> bytes:
        time.sleep(WORK_S)
        return OK

    Upstream(work, listener)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
