"""The kernel's own reason for a drop is read, of our packets alone, and nothing stays behind."""

from __future__ import annotations

import socket
import subprocess
from contextlib import suppress

import pytest

from tests.support.loopback import in_own_netns
from twinstack.linux import dropped_packets
from twinstack.observe.why import headers

pytestmark = pytest.mark.kernel


def refused(port: int) -> None:
    with socket.socket() as client, suppress(ConnectionRefusedError):
        client.bind(("127.0.0.1", port))
        client.connect(("127.0.0.1", 9))


def test_a_connection_that_nobody_listens_for_is_dropped_for_want_of_a_socket():
    def work() -> list[tuple[str, str]]:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with dropped_packets.watching(45678) as watch:
            refused(45679)  # another's
            refused(45678)
            return [(drop.reason, str(headers.read(drop.packet))) for drop in watch.read()]

    assert in_own_netns(work) == [("NO_SOCKET", "127.0.0.1:45678 > 127.0.0.1:9")]


def test_a_rule_that_drops_is_told_from_a_missing_listener():
    def work() -> set[str]:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        subprocess.run(["iptables", "-A", "INPUT", "-p", "tcp", "-j", "DROP"], check=True)
        with dropped_packets.watching(45678) as watch, socket.socket() as client:
            client.bind(("127.0.0.1", 45678))
            client.settimeout(0.1)
            with suppress(TimeoutError):
                client.connect(("127.0.0.1", 9))
            return {drop.reason for drop in watch.read()}

    assert in_own_netns(work) == {"NETFILTER_DROP"}
