"""Docker's published port has two ways in; the second needs an address of the host's own."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path

import pytest

from bench.engine import published_ports
from tests.support.bench_fakes import PLAN, FakeWorld, served

INNER = [IPv4Network("10.0.0.0/24"), IPv4Network("172.30.0.0/24")]


def test_first_address_of_the_hosts_own_is_taken() -> None:
    addresses = map(ip_address, ("10.0.0.1", "2001:db8::7", "203.0.113.7", "203.0.113.8"))
    assert published_ports.choose(addresses, INNER) == "203.0.113.7"


@pytest.mark.parametrize("inner", ["127.0.0.1", "10.0.0.1", "172.30.0.1", "169.254.1.1"])
def test_address_that_no_other_machine_uses_is_none(inner: str) -> None:
    assert published_ports.choose([IPv4Address(inner)], INNER) is None


def test_host_without_addresses_has_no_second_way() -> None:
    assert published_ports.choose([], INNER) is None


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


def test_userland_proxy_is_known_by_its_port(tmp_path: Path) -> None:
    for pid, command in (("7", "/usr/bin/docker-proxy -proto tcp -host-port 8088"), ("8", "ab")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
    (tmp_path / "9").mkdir()  # it has just ended
    assert published_ports.proxied(8088, tmp_path)
    assert not published_ports.proxied(808, tmp_path)
