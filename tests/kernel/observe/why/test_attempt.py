"""The one attempt has a number that tells it from all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.loopback import in_own_netns
from twinstack.observe.why.attempt import ProbeSocket

pytestmark = pytest.mark.kernel


def test_the_clients_port_is_never_a_servers():
    def work() -> int:
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("5432 5433")
        client = ProbeSocket(None, "tcp", {5433})
        client.close()
        return client.number

    assert {in_own_netns(work) for _ in range(6)} == {5432}
