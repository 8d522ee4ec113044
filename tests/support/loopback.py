"""A network namespace with a loopback and nothing else, and datagrams to capture there."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

from twinstack.linux import child

#: Of a datagram on loopback, beside its payload.
HEADER_BYTES = 14 + 20 + 8

Result = TypeVar("Result")


def in_own_netns(work: Callable[[], Result]) -> Result:
    """Work in a network namespace of its own."""

    def inside() -> Result:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        child.unshare_netns()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return work()

    return child.inside("a test", None, inside)


def send_datagrams(count: int, size: int = 1000, every_s: float = 0.0) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 9))  # their destination: otherwise ICMP errors come back
        for _ in range(count):
            sock.sendto(bytes(size), ("127.0.0.1", 9))
            time.sleep(every_s)
