"""The Docker world looked at from its engine's host: its topology, and its connections."""

from __future__ import annotations

import pytest

from tests.support.docker_world import fetch
from tests.support.own_engine import in_namespace
from twinstack.compose.world import DockerWorld
from twinstack.observe.connections import snapshot
from twinstack.observe.picture import collect

pytestmark = pytest.mark.docker


def test_the_topology_is_as_declared_and_shows_what_is_changed_by_hand(up: DockerWorld):
    def wrong() -> dict[tuple[str, str], str]:
        scene = collect.scene(up)
        assert scene is not None
        return {(one.kind, one.name): one.state for one in scene.wrong}

    assert wrong() == {}
    bridge = up.plan.segments[0].docker_bridge
    outer = {one.replica: one.name for one in up.links() if one.kind == "host end"}
    in_namespace("ip", "link", "add", "lab0", "type", "veth", "peer", "name", "lab1")
    in_namespace("ip", "link", "set", "lab0", "master", bridge)
    in_namespace("ip", "link", "set", outer["order-service"], "down")
    edge = str(up.plan.replica("nginx-lb").docker_address)
    in_namespace(
        "iptables", "-I", "DOCKER-USER", "-s", edge, "-p", "tcp", "--dport", "6379", "-j", "ACCEPT"
    )
    try:
        assert wrong() == {
            ("link", "lab0"): "undeclared",
            ("link", "order-service@app"): "differs",
            **{
                ("flow", f"nginx-lb → {service} tcp 6379"): "undeclared"
                for service in ({one.service for one in up.plan.replicas} | {"outside"})
                - {"nginx-lb"}
            },
        }
    finally:
        in_namespace("iptables", "-D", "DOCKER-USER", "1")
        in_namespace("ip", "link", "set", outer["order-service"], "up")
        in_namespace("ip", "link", "delete", "lab0")
    assert wrong() == {}


def test_connections_are_those_of_the_engines_host_and_containers_track_their_own(up: DockerWorld):
    for service in ("nginx-lb", "api-gateway"):
        door = up.published(service)
        assert door is not None
        fetch(door.url("/api/products"))
    found = snapshot.take(up)
    listed = in_namespace("conntrack", "-L").splitlines()
    assert abs(found.table.listed - len(listed)) <= 10  # a world at work: probes come and go
    pairs = {(one.client, one.server, one.port): one for one in found.pairs}
    assert pairs["nginx-lb", "api-gateway", 3000].count("ESTABLISHED") > 0
    assert {one.verdict for one in found.pairs if one.server == "redis-cache"} == {"declared"}
    assert found.absent == ()
    sockets = {one.replica: one for one in found.sockets}
    assert 6379 in {one.port for one in sockets["redis-cache"].listening}
    doors = {one.port for one in up.plan.published_ports if one.world == "docker"}
    assert {one.port for one in sockets["host"].listening} == doors
    # Docker's rules for its resolver make the kernel follow whatever a container says or hears.
    inside = (f"--net={up.namespaces()['redis-cache']}", "conntrack", "-C")
    assert (
        0
        < int(in_namespace("nsenter", *inside))
        == pytest.approx(sockets["redis-cache"].tracked, abs=10)
    )
    assert {one.server for one in found.pairs if one.port in doors} == {"host"}
