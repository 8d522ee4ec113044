"""The Docker world observed from its engine's host: topology and connections."""

from __future__ import annotations

import pytest

from tests.support.docker_world import fetch
from tests.support.own_engine import in_namespace
from tests.support.sandbox import eventually
from twinstack.compose.world import DockerWorld
from twinstack.drill.site import Site
from twinstack.observe.connections import snapshot
from twinstack.observe.detail.read import read
from twinstack.observe.picture import collect
from twinstack.tour.screens import chosen

pytestmark = pytest.mark.docker


def test_the_topology_is_as_declared_and_shows_what_is_changed_by_hand(up: DockerWorld):
    def wrong() -> dict[tuple[str, str], str]:
        topology = collect.topology(up)
        assert topology is not None
        return {(item.kind, item.name): item.state for item in topology.wrong}

    assert wrong() == {}
    bridge = up.plan.segments[0].docker_bridge
    outer = {link.replica: link.name for link in up.links() if link.kind == "host end"}
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
                for service in ({replica.service for replica in up.plan.replicas} | {"outside"})
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
        published = up.published(service)
        assert published is not None
        fetch(published.url("/api/products"))
    connections = snapshot.take(up)
    listed = in_namespace("conntrack", "-L").splitlines()
    assert abs(connections.table.listed - len(listed)) <= 10  # a world at work: probes come and go
    pairs = {(pair.client, pair.server, pair.port): pair for pair in connections.pairs}
    assert pairs["nginx-lb", "api-gateway", 3000].count("ESTABLISHED") > 0
    assert {pair.verdict for pair in connections.pairs if pair.server == "redis-cache"} == {
        "declared"
    }
    assert connections.absent == ()
    sockets = {socket.replica: socket for socket in connections.sockets}
    assert 6379 in {socket.port for socket in sockets["redis-cache"].listening}
    ports = {published.port for published in up.plan.published_ports if published.world == "docker"}
    assert {socket.port for socket in sockets["host"].listening} == ports
    # Docker's rules for its resolver make the kernel follow whatever a container says or hears.
    inside = (f"--net={up.namespaces()['redis-cache']}", "conntrack", "-C")
    assert (
        0
        < int(in_namespace("nsenter", *inside))
        == pytest.approx(sockets["redis-cache"].tracked, abs=10)
    )
    assert {pair.server for pair in connections.pairs if pair.port in ports} == {"host"}


def test_a_replica_is_looked_at_closely_as_in_the_other_world(up: DockerWorld):
    published = up.published("nginx-lb")
    assert published is not None
    fetch(published.url("/api/products"))
    found = read(up, "order-service", up.main_pids()["order-service"])
    assert found.troubles == {}
    assert found.cgroup is not None
    assert found.cgroup.limits == found.declared
    assert found.links is not None
    assert len(found.links) == len(found.addresses)
    assert found.log is not None
    assert found.log.looked_at > 0
    assert found.policy is not None
    assert found.policy.enforced
    assert {rule.packets is None for rule in found.policy.rules} == {False}
    assert set(read(up, "nginx-lb", None).troubles) == {"links"}

    def requests_of_the_edge() -> list[str]:
        log = read(up, "nginx-lb", None).log
        return [] if log is None else [request.path for request in log.requests]

    # nginx gathers a second of its lines.
    eventually(lambda: requests_of_the_edge()[-1:] == ["/api/products"], within_s=10)


def test_the_tours_commands_show_a_containers_parts(up: DockerWorld):
    (screen,) = chosen("docker")
    site = Site(up)
    address, ports = (
        in_namespace("bash", "-c", site.written(command)) for command in screen.commands[:2]
    )
    assert str(up.plan.replica("product-service").docker_address) in address
    ends = {link.name for link in up.links() if link.kind == "host end"}
    assert {port.partition("@")[0] for port in ports.split()} >= ends
