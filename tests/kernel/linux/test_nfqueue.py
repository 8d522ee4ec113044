"""What a rule hands over waits its time, and then meets the rules after it."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest

from tests.support.loopback import in_own_netns
from twinstack.linux import child
from twinstack.linux.netlink import Refused
from twinstack.linux.nfqueue import MARK, DelayQueue

pytestmark = pytest.mark.kernel
HANDED = f"OUTPUT -p udp -m mark ! --mark {MARK:#x} -j NFQUEUE --queue-num 7"


def iptables(rule: str) -> None:
    subprocess.run(["iptables", "-w", "-A", *rule.split()], check=True)


def echo(port: int, count: int, wait_s: float) -> list[float]:
    """Send datagrams to ourselves, and give how long each took; -1 for none."""
    took = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind(("127.0.0.1", port))
        here.settimeout(wait_s)
        for _ in range(count):
            began = time.monotonic()
            here.sendto(b"x", ("127.0.0.1", port))
            try:
                here.recv(10)
                took.append(time.monotonic() - began)
            except TimeoutError:
                took.append(-1.0)
    return took


def test_a_packet_waits_its_time_and_then_meets_the_next_rule():
    def work() -> tuple[list[float], list[float]]:
        iptables(HANDED)
        iptables("OUTPUT -p udp --dport 9 -j DROP")  # what goes on is judged by it
        queues: list[DelayQueue] = []
        reader = child.start(
            "reader", None, lambda: queues.append(DelayQueue(7, 0.05)), lambda: queues[0].serve()
        )
        reader.answer()
        try:
            return echo(10, 5, 2.0), echo(9, 1, 0.5)
        finally:
            reader.end()

    passed, dropped = in_own_netns(work)
    assert all(0.05 <= took < 0.2 for took in passed), passed
    assert dropped == [-1.0]


def test_without_a_reader_nothing_passes_and_a_second_reader_is_refused():
    def work() -> tuple[list[float], bool]:
        iptables(HANDED)
        alone = echo(10, 1, 0.3)
        queue = DelayQueue(7, 0.05)
        try:
            DelayQueue(7, 0.05)
        except Refused:
            return alone, True
        finally:
            queue.close()
        return alone, False

    assert in_own_netns(work) == ([-1.0], True)
