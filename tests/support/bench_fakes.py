"""Worlds that are nothing but a small HTTP server on loopback, for tests of the benchmark."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from twinstack.model.plan import Plan, resolve
from twinstack.model.topology import WorldName
from twinstack.model.topology_file import load
from twinstack.reconcile import Preview, Progress
from twinstack.world import Endpoint, Link, Process, ServiceState

TOPOLOGY = load(Path(__file__).resolve().parents[2] / "topology.yml")
PLAN = resolve(TOPOLOGY)
BODY = b'{"products": [' + b"1," * 1_400 + b"0]}"


def quietly(line: str) -> None:
    """Take progress and say nothing."""


class FakeWorld:
    """Answers the LocalWorld protocol for as much as the benchmark asks."""

    def __init__(self, name: WorldName, port: int, plan: Plan = PLAN) -> None:
        self.name = name
        self.plan = plan
        self.port = port
        self.versions = {"nginx": "1.22"}
        self.state = "healthy"

    def preview(self) -> Preview:
        return Preview(0, ())

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        return self.status()

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        return ()

    clean = down

    def status(self) -> tuple[ServiceState, ...]:
        return tuple(
            ServiceState(
                one.name,
                one.service,
                "here",
                "127.0.0.1",
                self.port,
                self.state,  # type: ignore[arg-type]
                pid=os.getpid(),
            )
            for one in self.plan.replicas
        )

    def cgroup_paths(self) -> dict[str, str]:
        return {}

    def apply_policy(self, *, policy: bool, rate_limit: bool) -> None:
        pass

    def exec(self, replica: str, command: Sequence[str]) -> int:
        return 0

    def logs(self, replica: str, *, lines: int) -> str:
        return ""

    def endpoint(self, service: str, number: int = 1) -> Endpoint:
        return Endpoint("127.0.0.1", self.port)

    def published(self, service: str) -> Endpoint | None:
        return Endpoint("127.0.0.1", self.port) if service == "nginx-lb" else None

    def links(self) -> tuple[Link, ...]:
        return ()

    def namespaces(self) -> dict[str, Path | None]:
        return {}

    def processes(self) -> tuple[Process, ...]:
        return (Process(os.getpid(), "nginx-lb", "pytest"),)

    def main_pids(self) -> dict[str, int]:
        return {"nginx-lb": os.getpid()}

    def cpu_us(self) -> dict[str, int]:
        return {"nginx-lb": int(time.process_time() * 1e6)}

    def software(self) -> dict[str, str]:
        return dict(self.versions)


@contextmanager
def served(
    status: Callable[[int], int] = lambda number: 200,
    body: bytes = BODY,
    delay_s: float = 0.0,
) -> Iterator[int]:
    """Serve `body` on a port of loopback; `status` decides each answer by its number.

    Status 0 closes the connection without a word.
    """
    count = iter(range(1_000_000))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code = status(next(count))
            time.sleep(delay_s)
            if code == 0:
                return
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
