"""Each path to another host is compared with a shorter one between the same two hosts."""

from __future__ import annotations

from ipaddress import IPv4Address

from bench.questions.crossing import (
    BRIDGE,
    LOOPBACK,
    PORT,
    RAW,
    SAME,
    SWARM,
    nginx,
    paths,
)
from bench.questions.crossing_lab import PathEnd


def test_a_paths_ends_are_on_the_hosts_that_its_name_says():
    def end(pid: int, host: str) -> PathEnd:
        return PathEnd(pid, IPv4Address(f"198.51.100.{pid}"), host)

    raw = [end(1, "a"), end(2, "a"), end(3, "b")]
    swarm = [end(4, "a"), end(5, "a"), end(6, "b")]
    laid = {path.name: (path.client, path.server, path.address) for path in paths(raw, swarm)}
    assert {name: (client, server, str(at)) for name, (client, server, at) in laid.items()} == {
        LOOPBACK: (1, 1, "127.0.0.1"),
        BRIDGE: (1, 2, "198.51.100.2"),
        SAME: (4, 5, "198.51.100.5"),
        RAW: (1, 3, "198.51.100.3"),
        SWARM: (4, 6, "198.51.100.6"),
    }


def test_every_server_answers_alike():
    assert f"listen {PORT};" in nginx()
    assert "x" * 1024 in nginx()
