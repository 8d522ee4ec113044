"""Docker's published port has two ways in; the second needs an address of the host's own."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from bench.engine import published_ports
from tests.support.bench_fakes import PLAN, FakeWorld, served


def test_this_hosts_own_address_is_none_of_the_plans() -> None:
    found = published_ports.host_address(PLAN)
    assert found is None or not any(
        IPv4Address(found) in segment.subnet for segment in PLAN.segments
    )


def test_only_dockers_edge_has_a_second_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_ports, "host_address", lambda plan: "127.0.0.1")
    said: list[str] = []
    with served() as port:
        docker = FakeWorld("docker", port)
        found = published_ports.by_dnat(docker, "nginx-lb", "/", said.append)
        assert found is not None
        assert found.port == port
        docker.published = docker.endpoint  # type: ignore[method-assign]
        # The gateway is published too, but bound to 127.0.0.1 alone.
        assert published_ports.by_dnat(docker, "api-gateway", "/", said.append) is None
        assert published_ports.by_dnat(FakeWorld("net", port), "nginx-lb", "/", said.append) is None
    assert said == []


def test_way_that_does_not_answer_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_ports, "host_address", lambda plan: "127.0.0.1")
    said: list[str] = []
    assert published_ports.by_dnat(FakeWorld("docker", 1), "nginx-lb", "/", said.append) is None
    assert said[0].startswith("left out: port 1 by this host's address: does not answer")


def test_host_that_has_no_address_leaves_the_row_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_ports, "host_address", lambda plan: None)
    assert published_ports.by_dnat(FakeWorld("docker", 1), "nginx-lb", "/", print) is None
