"""Replicas are asked inside their namespaces, all at once; none delays or harms the others."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count

import pytest

from tests.support.metrics_cases import TEXT
from twinstack.linux import child, rtnetlink
from twinstack.linux.netlink import Netlink
from twinstack.observe.metrics import relay
from twinstack.observe.metrics.relay import Target

pytestmark = pytest.mark.kernel

PORT = 5000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
Answer = Callable[[socket.socket], object]


def serve(answer: Answer) -> None:
    """Answer requests, one after another, on the namespace's loopback."""
    with Netlink() as netlink:
        netlink.send(rtnetlink.set_up("lo"))
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", PORT))
        server.listen(64)
        os.write(READY[1], b"r")
        while True:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(4096)
                answer(connection)


READY = os.pipe()
NUMBERS = count(1)


@pytest.fixture
def replica() -> Iterator[Callable[[Answer], Target]]:
    """Give what starts a replica with an answer of its own, in a namespace of its own."""
    with ExitStack() as running:

        def start(answer: Answer) -> Target:
            def work() -> None:
                child.unshare_netns()

            name = f"replica {next(NUMBERS)}"
            process, _ = running.enter_context(
                child.staying(name, None, work, lambda: serve(answer))
            )
            assert os.read(READY[0], 1) == b"r"
            return Target(process.pid, PORT)

        yield start


def good(connection: socket.socket) -> None:
    connection.sendall(HEAD + TEXT)


def endless(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    while True:
        connection.sendall(b"http_requests_total 1\n" * 4096)


def fifty_megabytes(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"# " + b"x" * (50 << 20))


def drips(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    while True:
        connection.sendall(b"#")
        time.sleep(0.05)


def refuses(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 404 Not Found\r\n\r\nnothing")


def hangs_up(connection: socket.socket) -> None:
    connection.close()


def test_one_that_is_ill_delays_no_other_and_gives_nothing(replica) -> None:
    ill = (endless, fifty_megabytes, drips, refuses, hangs_up)
    targets = {("net", answer.__name__): replica(answer) for answer in (good, *ill)}
    frozen = replica(good)
    os.kill(frozen.pid, signal.SIGSTOP)
    targets["net", "frozen"] = frozen
    targets["net", "gone"] = Target(1 << 22, PORT)  # no process has it
    targets["net", "closed"] = Target(frozen.pid, PORT + 1)
    began_s = time.monotonic()
    bodies = relay.ask(targets, 0.5)
    assert time.monotonic() - began_s < 5  # 0.5, but for a busy machine
    assert bodies == {("net", "good"): TEXT}


def test_a_process_that_has_not_joined_its_namespace_is_not_asked() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        assert relay.ask({("net", "a"): Target(os.getpid(), server.getsockname()[1])}, 0.2) == {}
        with pytest.raises(BlockingIOError):
            server.accept()


def test_no_connection_is_left_open(replica) -> None:
    before = set(os.listdir("/proc/self/fd"))
    targets = {("net", str(number)): replica(answer) for number, answer in enumerate((good, drips))}
    started = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        relay.ask(targets, 0.1)
    assert set(os.listdir("/proc/self/fd")) == started
    assert before <= started
