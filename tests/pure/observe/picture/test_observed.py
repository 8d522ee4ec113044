"""A network as planned differs in nothing; every change by hand is found, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.topology_cases import FLAT, TIERED, as_planned, link, topology, with_host_links
from twinstack.model.plan import Plan
from twinstack.observe.picture import observed
from twinstack.observe.picture.declared import declared
from twinstack.observe.picture.model import compare
from twinstack.observe.picture.observed import NamespaceNetwork, WorldNetwork
from twinstack.observe.picture.text import text

NETWORK = as_planned(FLAT)


def wrong(plan: Plan, network: WorldNetwork) -> list[tuple[str, str, str]]:
    return [(one.kind, one.name, one.state) for one in topology(plan, network).wrong]


@pytest.mark.parametrize("plan", [FLAT, TIERED])
@pytest.mark.parametrize("policy", [True, False])
def test_a_world_as_planned_differs_in_nothing(plan: Plan, policy: bool):
    plan = replace(plan, policy=policy)
    found = topology(plan, as_planned(plan))
    assert found.wrong == ()
    assert len(found.of("link")) == len(plan.replicas)
    assert bool(found.of("flow")) == policy
    assert bool(found.notes) != policy


def test_a_replica_that_is_gone_is_missing_with_its_link():
    links = [one for one in NETWORK.host.links if one.name != "ve-redis-cache"]
    namespaces = {name: one for name, one in NETWORK.namespaces.items() if name != "redis-cache"}
    assert wrong(FLAT, replace(with_host_links(NETWORK, *links), namespaces=namespaces)) == [
        ("replica", "redis-cache", "missing"),
        ("link", "redis-cache@app", "missing"),
    ]


def test_a_foreign_link_on_our_bridge_is_undeclared():
    foreign = (link("lab0", 90, master="br-app"), link("lab1", 91))
    found = topology(FLAT, with_host_links(NETWORK, *NETWORK.host.links, *foreign))
    assert [(one.name, one.state) for one in found.wrong] == [("lab0", "undeclared")]


def test_a_link_on_another_bridge_or_down_differs():
    network = as_planned(TIERED)
    changes: dict[str, dict[str, Any]] = {
        "ve-redis-cache": {"master": "br-frontend"},
        "ve-postgres-db": {"up": False},
    }
    links = [replace(one, **changes.get(one.name, {})) for one in network.host.links]
    assert wrong(TIERED, with_host_links(network, *links)) == [
        ("link", "redis-cache@database", "missing"),
        ("link", "postgres-db@database", "differs"),
        ("link", "redis-cache@frontend", "undeclared"),
    ]


def test_an_index_alone_joins_no_pair():
    other = next(one for one in NETWORK.host.links if one.name == "ve-nginx-lb")
    tunnel = link("tun0", 7, peer=other.index)  # by chance: an index of another namespace
    redis = NETWORK.namespaces["redis-cache"]
    changed = NamespaceNetwork((*redis.links, tunnel), redis.gateways)
    network = replace(NETWORK, namespaces={**NETWORK.namespaces, "redis-cache": changed})
    assert wrong(FLAT, network) == [("link", "redis-cache:tun0", "undeclared")]


def test_a_replica_that_is_no_longer_declared_is_undeclared():
    fewer = replace(FLAT, replicas=FLAT.replicas[:-1])
    gone = FLAT.replicas[-1].name
    assert ("replica", gone, "undeclared") in wrong(fewer, NETWORK)
    assert ("link", f"{gone}@app", "undeclared") in wrong(fewer, NETWORK)


@pytest.mark.parametrize(
    ("table", "removed", "expected"),
    [
        ("nat", "--to-destination", ("published port", "0.0.0.0:8080", "missing")),
        ("nat", "-j MASQUERADE", ("nat", "10.0.0.0/24", "missing")),
        ("nat", "-j TS-main-POSTROUTING", ("nat", "10.0.0.0/24", "missing")),
        (
            "filter",
            "nginx-lb to api-gateway",
            ("flow", "nginx-lb → api-gateway tcp 3000", "missing"),
        ),
        (
            "filter",
            "product-service-2 to redis-cache",
            ("flow", "product-service → redis-cache tcp 6379", "differs"),
        ),
    ],
)
def test_a_rule_that_is_gone_takes_what_it_opened(
    table: str, removed: str, expected: tuple[str, str, str]
):
    kept = tuple(line for line in NETWORK.rules[table] if removed not in line)
    assert len(kept) < len(NETWORK.rules[table])
    assert wrong(FLAT, replace(NETWORK, rules={**NETWORK.rules, table: kept})) == [expected]


def test_egress_and_connections_to_the_host_are_flows_too():
    drawn = text([topology(FLAT, NETWORK)])
    assert "    nginx-lb → api-gateway:3000, outside:53,80,443,53/udp" in drawn
    assert "redis-cache →" not in drawn  # a store opens no connection
    rule = "-A INPUT -i br-app -p tcp -m tcp --dport 22 -j ACCEPT"
    rules = {**NETWORK.rules, "filter": (rule, *NETWORK.rules["filter"])}
    services = sorted({replica.service for replica in FLAT.replicas})
    assert wrong(FLAT, replace(NETWORK, rules=rules)) == [
        ("flow", f"{service} → host tcp 22", "undeclared") for service in services
    ]


def test_a_foreign_rule_that_opens_something_is_found():
    rule = "-A FORWARD -s 10.0.0.10/32 -d 10.0.0.50/32 -p tcp -m tcp --dport 6379 -j ACCEPT"
    port = "-A PREROUTING -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.0.0.60:5432"
    rules = {
        "filter": (rule, *NETWORK.rules["filter"]),
        "nat": (*NETWORK.rules["nat"], port),
    }
    assert wrong(FLAT, replace(NETWORK, rules=rules)) == [
        ("published port", "0.0.0.0:8081", "undeclared"),
        ("flow", "nginx-lb → redis-cache tcp 6379", "undeclared"),
    ]


def test_nothing_of_one_world_is_the_others():
    found = observed.observed(FLAT, "docker", replace(NETWORK, namespaces={}))
    assert {one.kind for one in found} <= {"flow"}


def test_an_engine_may_choose_any_address_of_a_container_on_several_networks():
    replica = TIERED.replica("api-gateway")
    assert len(replica.attachments) == 2
    other, edge = replica.attachments[1].address, TIERED.replica("nginx-lb").docker_address
    to = "-p tcp -m tcp --dport {} -j DNAT --to-destination {}:{}"
    nat = (
        ":DOCKER - [0:0]",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        f"-A DOCKER -d 127.0.0.1/32 ! -i dk0 {to.format(3000, other, 3000)}",
        f"-A DOCKER ! -i dk0 {to.format(8088, edge, 81)}",
    )
    network = WorldNetwork(NamespaceNetwork(()), {}, {"nat": nat})
    items = compare(declared(TIERED, "docker"), observed.observed(TIERED, "docker", network))
    ports = {
        one.name: (one.state, one.fact("for")) for one in items if one.kind == "published port"
    }
    assert ports == {
        "127.0.0.1:3000": ("as declared", "this host"),
        "0.0.0.0:8088": ("differs", "other machines"),
    }


def test_a_bridge_whose_frames_bypass_iptables_opens_everything_between_neighbours():
    links = [replace(one, filtered=False) for one in NETWORK.host.links]
    found = topology(FLAT, with_host_links(NETWORK, *links))
    assert "frames on br-app bypass iptables" in found.notes[0]
    assert len(found.wrong) > 100
    assert len(text([found]).splitlines()) < 60  # flows that are alike share a line
