"""Sockets, routes and containers that are in the way, and those that are not."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from tests.support.project import ROOT
from twinstack.compose.preflight import clashing_routes, is_busy, listening, ports_of_others
from twinstack.model.plan import PublishedPort, resolve
from twinstack.model.topology_file import load


def port_3000(bind: str) -> PublishedPort:
    return PublishedPort("docker", IPv4Address(bind), 3000, "api-gateway", 3000)


@pytest.mark.parametrize(
    ("socket", "bind", "busy"),
    [
        ("127.0.0.1:3000", "127.0.0.1", True),
        ("127.0.0.1%lo:3000", "127.0.0.1", True),
        ("0.0.0.0:3000", "127.0.0.1", True),
        ("*:3000", "127.0.0.1", True),
        ("[::]:3000", "127.0.0.1", True),
        ("[::ffff:127.0.0.1]:3000", "127.0.0.1", True),
        ("127.0.0.1:3000", "0.0.0.0", True),
        ("10.0.0.10:3000", "127.0.0.1", False),
        ("[::1]:3000", "127.0.0.1", False),
        ("127.0.0.1:3001", "127.0.0.1", False),
    ],
)
def test_a_published_port_is_busy_when_its_address_and_port_are(socket: str, bind: str, busy: bool):
    line = f"LISTEN 0      4096       {socket}      0.0.0.0:*   \n"
    assert bool(is_busy(port_3000(bind), listening(line))) is busy


def clashes(*routes: dict[str, str], own: frozenset[str] = frozenset()) -> list[str]:
    plan = resolve(load(ROOT / "topology.yml"))
    return [str(clash) for clash in clashing_routes(plan, list(routes), set(own))]


def test_a_route_into_a_declared_subnet_is_named_with_its_device():
    assert clashes({"dst": "172.30.0.0/16", "dev": "wg0"}) == [
        (
            "subnet 172.30.0.0/24: is taken: this host reaches 172.30.0.0/16 through wg0; "
            "choose another docker_subnet for app in topology.yml"
        )
    ]


def test_our_own_bridge_the_default_route_and_other_subnets_are_no_clash():
    assert (
        clashes(
            {"dst": "172.30.0.0/24", "dev": "dk-app"},
            {"dst": "default", "dev": "eth0"},
            {"dst": "10.0.0.0/24", "dev": "br-app"},
            {"dst": "172.30.0.1", "dev": "eth0", "type": "local"},
            own=frozenset({"dk-app"}),
        )
        == []
    )


def published(ip: str, port: int, **labels: str) -> list[dict[str, object]]:
    ports = [{"IP": ip, "PrivatePort": 80, "PublicPort": port, "Type": "tcp"}, {"PrivatePort": 9}]
    return [{"Names": ["/theirs"], "Labels": labels, "Ports": ports}]


def test_a_foreign_container_that_publishes_a_port_of_ours_is_named():
    plan = resolve(load(ROOT / "topology.yml"))
    assert ports_of_others(plan, published("127.0.0.1", 3000)) == {3000: "theirs"}
    assert ports_of_others(plan, published("0.0.0.0", 3000)) == {3000: "theirs"}
    assert ports_of_others(plan, published("10.9.9.9", 8088)) == {8088: "theirs"}
    assert ports_of_others(plan, published("10.9.9.9", 3000)) == {}
    assert ports_of_others(plan, published("0.0.0.0", 3001)) == {}
    ours = published("127.0.0.1", 3000, **{"twinstack.instance": "main"})
    assert ports_of_others(plan, ours) == {}
