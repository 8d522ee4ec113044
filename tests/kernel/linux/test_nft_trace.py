"""The rules that a packet meets are traced in their order, and the trace ends with its socket."""

from __future__ import annotations

import socket
import subprocess
from contextlib import suppress

import pytest

from tests.support.loopback import in_own_netns
from twinstack.linux import nft_tables, nft_trace

pytestmark = pytest.mark.kernel
NUMBER = 45678


def prepared() -> None:
    for command in (
        "ip link set lo up",
        "iptables -N LAB",
        "iptables -A LAB -p tcp --dport 9 -j DROP",
        "iptables -A INPUT -p udp -j ACCEPT",
        "iptables -A INPUT -j LAB",
    ):
        subprocess.run(command.split(), check=True)


def connected(number: int) -> None:
    with socket.socket() as client, suppress(TimeoutError):
        client.bind(("127.0.0.1", number))
        client.settimeout(0.1)
        client.connect(("127.0.0.1", 9))


def test_a_packet_is_followed_from_chain_to_chain_to_the_rule_that_drops_it():
    def work() -> list[tuple[str, str]]:
        prepared()
        with nft_trace.opened(NUMBER) as trace:
            connected(NUMBER + 1)  # another's
            connected(NUMBER)
            met = list(nft_trace.read(trace))
        order = nft_trace.handles()
        assert order["ip", "filter", "LAB"] == [met[-1].handle]
        return [(each.chain, each.verdict) for each in met if each.table == "filter"]

    assert in_own_netns(work) == [("INPUT", "jump"), ("LAB", "drop")]


def test_the_policy_of_a_chain_is_no_rule():
    def work() -> list[tuple[bool, str]]:
        prepared()
        subprocess.run(["iptables", "-F", "LAB"], check=True)
        subprocess.run(["iptables", "-P", "INPUT", "DROP"], check=True)
        with nft_trace.opened(NUMBER) as trace:
            connected(NUMBER)
            met = [each for each in nft_trace.read(trace) if each.chain == "INPUT"]
        return [(bool(each.handle), each.verdict) for each in met][-1:]

    assert in_own_netns(work) == [(False, "drop")]


def test_no_table_stays_when_the_socket_is_closed():
    def work() -> tuple[set[str], set[str]]:
        with nft_trace.opened(NUMBER):
            during = nft_tables.present()
        return during, nft_tables.present()

    during, after = in_own_netns(work)
    assert len(during) == 1
    assert after == set()
