"""An open loop against servers that stall, fail, close and lag behind: nothing is left out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.engine.latency import quantile
from bench.load import open_loop, programs
from bench.load.open_loop import OpenLoad
from tests.support.bench_fakes import served
from twinstack.errors import CannotTell, StepFailed
from twinstack.world import Endpoint

pytestmark = pytest.mark.kernel

#: A server in a process of its own, which can be held: it keeps its connections.
SERVER = """
import asyncio, itertools
number = itertools.count()
class Server(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data):
        answer = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"
        asyncio.get_running_loop().call_later(DELAY, self.transport.write, answer)
async def main():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@contextmanager
def server(delay: str = "0") -> Iterator[tuple[int, Endpoint]]:
    """Give its pid and where it listens; it waits before each answer. Units: seconds."""
    program = SERVER.replace("DELAY", delay)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            yield running.pid, Endpoint("127.0.0.1", int(running.stdout.readline()))
        finally:
            running.kill()


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_latency_is_the_servers_own_where_it_is_known(arrivals: open_loop.Arrivals) -> None:
    with server(delay="0.1 if next(number) % 20 == 0 else 0.02") as (_, endpoint):
        report = open_loop.run(endpoint, OpenLoad(200, 4, arrivals=arrivals))
    assert 20_000 <= quantile(report.answered_us, 0.5) < 26_000
    assert quantile(report.answered_us, 0.9) < 60_000
    assert 100_000 <= quantile(report.answered_us, 0.97) < 140_000


def hold(pid: int, after_s: float, seconds: float, held_us: list[float]) -> None:
    """Stop a process for a while, and note how long it was: a busy machine wakes us late."""
    time.sleep(after_s)
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)
    held_us.append((time.monotonic() - began) * 1e6)


def test_a_stall_counts_for_every_request_that_was_due_in_it() -> None:
    """Of 20 s the server is held for 2: a tenth of the requests wait 0 to 2 s, evenly.

    So one in twenty waits for more than 1 s, one in a hundred for more than 1.8.
    """
    held_us: list[float] = []
    with server() as (pid, endpoint):
        stall = threading.Thread(target=hold, args=(pid, 8, 2, held_us))
        stall.start()
        report = open_loop.run(endpoint, OpenLoad(200, 20, arrivals="constant"))
        stall.join()
    assert (len(report.latency_us), report.failed) == (4_000, 0)
    assert quantile(report.answered_us, 0.95) == pytest.approx(held_us[0] - 1.0e6, rel=0.1)
    assert quantile(report.answered_us, 0.99) == pytest.approx(held_us[0] - 0.2e6, rel=0.1)
    assert quantile(report.answered_us, 0.5) < 50_000


def test_waiting_for_a_connection_is_latency_and_no_lag_of_the_generator() -> None:
    with served(delay_s=0.05) as port:  # it closes after each answer, too: HTTP/1.0
        load = OpenLoad(100, 1, connections=1, arrivals="constant")
        report = open_loop.run(Endpoint("127.0.0.1", port), load)
    assert report.failed == 0
    assert max(report.latency_us) > 3_000_000  # the last of 100 waits for 99 × 50 ms, less 1 s
    assert quantile(report.lag_us, 0.5) < 20_000


def test_failures_are_counted_apart_and_have_no_latency() -> None:
    statuses = (200, 503, 0, 200)
    with served(status=lambda number: statuses[number % 4]) as port:
        report = open_loop.run(Endpoint("127.0.0.1", port), OpenLoad(100, 2, connections=8))
    count = len(report.latency_us)
    assert count / 4 == pytest.approx(report.non_2xx, abs=12)
    assert count / 4 == pytest.approx(report.lost, abs=12)
    assert len(report.answered_us) == count - report.failed
    assert report.unsent == 0


def test_a_server_that_never_answers_ends_the_run_and_cannot_be_told() -> None:
    with server() as (pid, endpoint):
        os.kill(pid, signal.SIGSTOP)
        started_s = time.monotonic()
        with pytest.raises(CannotTell, match="100 requests failed"):
            open_loop.run(endpoint, OpenLoad(100, 1, connections=4, arrivals="constant"))
    assert time.monotonic() - started_s < open_loop.DRAIN_S + 15


def test_a_port_that_refuses_is_named() -> None:
    port = programs.free_port()
    with pytest.raises(StepFailed, match=f"127.0.0.1:{port}: cannot be loaded: it accepts no"):
        open_loop.run(Endpoint("127.0.0.1", port), OpenLoad(100, 1))
