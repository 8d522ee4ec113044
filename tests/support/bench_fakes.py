"""Worlds that are a small HTTP server on loopback, a stack of them, and samples."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.engine.arm import CPU, RATE, Contrast, Window
from bench.engine.design import Design
from bench.engine.measured import Measured
from tests.support.project import ROOT
from twinstack.errors import Missing, TwinstackError
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology import WorldName
from twinstack.model.topology_file import load
from twinstack.reconcile import Preview, Progress
from twinstack.state.journal import Journal, write_journal
from twinstack.state.paths import InstancePaths
from twinstack.world import Endpoint, Link, LogReader, Process, ServiceState

TOPOLOGY = load(ROOT / "topology.yml")
PLAN = resolve(TOPOLOGY)
#: Rounds differ by so much of their rate.
NOISE = (0.0, 0.01, -0.01, 0.005, -0.005, 0.002, -0.002, 0.008)
BODY = b'{"products": [' + b"1," * 1_400 + b"0]}"


def quiet(line: str) -> None:
    """Take progress and print nothing."""


class FakeWorld:
    """Answers the LocalWorld protocol for as much as the benchmark asks."""

    def __init__(self, name: WorldName, port: int, plan: Plan = PLAN) -> None:
        self.name = name
        self.plan = plan
        self.port = port
        self.versions = {"nginx": "1.22"}
        self.state = "healthy"
        self.secrets = self.versions_directory = Path("/nonexistent")
        self.host_namespace: Path | None = None

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
                replica.name,
                replica.service,
                "here",
                "127.0.0.1",
                self.port,
                self.state,  # type: ignore[arg-type]
                pid=os.getpid(),
            )
            for replica in self.plan.replicas
        )

    def cgroup_paths(self) -> dict[str, str]:
        return {}

    def apply_policy(self, *, policy: bool, rate_limit: bool) -> None:
        pass

    def restart(self, replica: str, *, timeout_s: float, progress: Progress) -> None:
        pass

    def exec(self, replica: str, command: Sequence[str]) -> int:
        return 0

    def log_names(self) -> tuple[str, ...]:
        return ()

    def log_reader(self, replica: str) -> LogReader:
        raise NotImplementedError

    def endpoint(self, service: str, number: int = 1) -> Endpoint:
        return Endpoint("127.0.0.1", self.port)

    def published(self, service: str) -> Endpoint | None:
        return Endpoint("127.0.0.1", self.port) if service == "nginx-lb" else None

    def links(self) -> tuple[Link, ...]:
        return ()

    def absence(self) -> Missing:
        return Missing(f"{self.name} world", "is not up")

    def namespaces(self) -> dict[str, Path | None]:
        return {}

    def processes(self) -> tuple[Process, ...]:
        return (Process(os.getpid(), "nginx-lb", "pytest"),)

    def main_pids(self) -> dict[str, int]:
        return {"nginx-lb": os.getpid()}

    def stop(self, replica: str) -> None:
        raise NotImplementedError

    start = stop

    def engine_pid(self) -> int | None:
        return None

    def revive(self) -> None:
        raise NotImplementedError

    def supervising(self) -> tuple[int, ...]:
        return ()

    def cpu_us(self) -> dict[str, int]:
        return {"nginx-lb": int(time.process_time() * 1e6)}

    def software(self) -> dict[str, str]:
        return dict(self.versions)


def window(arm: str, deployment: int = 1, block: int = 1, **fields: Any) -> Window:
    """Give a window of 2 s and 4,000 requests of 100 µs each, 80 of them in the services."""
    values: dict[str, Any] = {
        "seconds": 2.0,
        "done": 4_000,
        "failed": 0,
        "parts_us": {"services": 330_000.0, "client": 60_000.0, "left over": 20_000.0},
        "rest_us": {"services": 10_000.0},
        "services_us": {"nginx-lb": 120_000.0, "product-service-2": 200_000.0},
        **fields,
    }
    return Window(arm, deployment, block, **values)


def windows(arms: Mapping[str, float], deployments: int = 6, blocks: int = 3) -> list[Window]:
    """Give blocks of windows in which each arm answers so many requests; they vary a little."""
    made = []
    for deployment in range(1, deployments + 1):
        for number in range(blocks):
            block = (deployment - 1) * blocks + number + 1
            for arm, done in arms.items():
                for side in (0, 1):
                    noise = NOISE[(block + side + len(arm)) % len(NOISE)]
                    made.append(window(arm, deployment, block, done=round(done * (1 + noise))))
    return made


def measured(arms: Mapping[str, float], contrasts: Sequence[Contrast], **fields: Any) -> Measured:
    """Give an experiment's end."""
    values: dict[str, Any] = {
        "load": "a load",
        "windows": tuple(windows(arms)),
        "contrasts": tuple(contrasts),
        "quantities": (CPU, RATE),
        "bounds": (),
        "design": Design(),
        "seed": 7,
        "seconds": 290.0,
        "repeated": 0,
        "busy": 0,
        "stopped": "precise",
        **fields,
    }
    return Measured(**values)


class RecordedWorld(FakeWorld):
    """A world that notes what is done to it, and keeps the journal as the real one does."""

    def __init__(self, name: WorldName, plan: Plan, stack: FakeStack) -> None:
        super().__init__(name, 1, plan)
        self.stack = stack

    def apply_policy(self, *, policy: bool, rate_limit: bool) -> None:
        self.stack.policies.append((self.name, policy, rate_limit))

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        limited = self.plan.replicas[0].limits is not None
        limits = "limited" if limited else "unlimited"
        self.stack.actions.append(f"up {self.name} {self.plan.shape} {limits}")
        if self.stack.refusal is not None:
            refusal, self.stack.refusal = self.stack.refusal, None
            raise refusal
        self.stack.set(self.name, self.plan.shape, limited=limited)
        return self.status()

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        self.stack.actions.append(f"down {self.name}")
        self.stack.set(self.name, None)
        return ()

    def status(self) -> tuple[ServiceState, ...]:
        states = super().status()
        if self.stack.shapes[self.name] is not None:
            return states
        return tuple(replace(state, state="absent", pid=None) for state in states)


class FakeStack:
    """As much of a `Stack` as the questions ask."""

    instance = "t"

    def __init__(self) -> None:
        self.actions: list[str] = []
        self.policies: list[tuple[str, bool, bool]] = []
        self.shapes: dict[str, str | None] = {"net": None, "docker": None}
        self.limited: dict[str, bool] = {"net": True, "docker": True}
        self.refusal: TwinstackError | None = None

    def set(self, name: str, shape: str | None, *, limited: bool = True) -> None:
        self.shapes[name], self.limited[name] = shape, limited
        if name == "net":
            journal = Journal(shape=shape, limited=limited or not shape)
            write_journal(InstancePaths(self.instance), journal)

    def net(self, shape: str | None = None, *, limited: bool | None = None) -> RecordedWorld:
        limits = self.limited["net"] if limited is None else limited
        return RecordedWorld("net", self.plan(shape or self.shapes["net"], limited=limits), self)

    def docker(self, shape: str | None = None, *, limited: bool = True) -> RecordedWorld:
        plan = self.plan(shape or self.shapes["docker"], limited=limited)
        return RecordedWorld("docker", plan, self)

    def plan(self, shape: str | None = None, *, limited: bool = True) -> Plan:
        return resolve(TOPOLOGY, shape or "flat", self.instance, limited=limited)

    def net_shape(self) -> str | None:
        return self.shapes["net"]

    def docker_shape(self) -> str | None:
        return self.shapes["docker"]

    def software(self, progress: Progress) -> tuple[None, None]:
        return None, None

    def redis_password(self) -> str:
        return "x"


@contextmanager
def served(
    status: Callable[[int], int] = lambda number: 200,
    body: bytes = BODY,
    delay_s: float = 0.0,
) -> Iterator[int]:
    """Serve `body` on a port of loopback; `status` decides each answer by its number.

    Status 0 closes the connection without an answer.
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
