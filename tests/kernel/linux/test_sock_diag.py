"""Listeners are read with port and address; a connection, or another protocol, is no listener."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from tests.support.loopback import in_own_netns
from twinstack.linux import sock_diag

pytestmark = pytest.mark.kernel


def test_each_listening_port_is_listed_with_its_address():
    def work() -> tuple[dict[int, str], dict[int, str]]:
        before = sock_diag.listeners()
        with ExitStack() as stack:
            for family, address, port in (
                (socket.AF_INET, "0.0.0.0", 80),
                (socket.AF_INET, "127.0.0.1", 5432),
                (socket.AF_INET6, "::", 8080),
                (socket.AF_INET6, "::1", 8500),
            ):
                there = (address, port)
                stack.enter_context(socket.create_server(there, family=family))
            client = stack.enter_context(socket.create_connection(("127.0.0.1", 5432)))
            assert client.getsockname()[1] not in {80, 5432, 8080, 8500}
            deaf = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            deaf.bind(("127.0.0.1", 53))
            return before, sock_diag.listeners()

    before, after = in_own_netns(work)
    assert before == {}
    assert after == {
        80: "0.0.0.0",
        5432: "127.0.0.1",
        8080: "[::]",
        8500: "[an IPv6 address]",
    }
