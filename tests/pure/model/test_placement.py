"""Which hosts there are and who is on which, by pure decision."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from tests.support.core_cases import planned, written
from twinstack.errors import TopologyError, TwinstackError
from twinstack.model.placement import hosts_of, placed
from twinstack.model.topology import HostsSpec
from twinstack.model.topology_file import parse

SERVICES = {"web": ["web"], "shop": ["shop", "shop-2", "shop-3"], "store": ["store"]}
HOSTS = ["host-1", "host-2", "host-3"]


def test_numbered_hosts_have_addresses_of_the_underlay():
    assert [(host.name, str(host.address)) for host in hosts_of(HostsSpec(), 2)] == [
        ("host-1", "10.88.0.11"),
        ("host-2", "10.88.0.12"),
    ]


@pytest.mark.parametrize("count", [0, -1, 65, 10_000])
def test_a_number_of_hosts_that_cannot_be_had_is_refused(count: int):
    with pytest.raises(TwinstackError, match="1 to 64"):
        hosts_of(HostsSpec(), count)


def test_declared_machines_are_the_hosts():
    spec = HostsSpec(machines={"left": IPv4Address("10.88.0.5")})
    assert [host.name for host in hosts_of(spec)] == ["left"]
    with pytest.raises(TwinstackError, match="declares 1"):
        hosts_of(spec, 3)


def test_replicas_of_a_service_go_to_different_hosts():
    where = placed(SERVICES, HOSTS, {})
    assert {where["shop"], where["shop-2"], where["shop-3"]} == set(HOSTS)


def test_declared_placement_is_kept():
    where = placed(SERVICES, HOSTS, {"shop": ["host-2", "host-3"], "store": ["host-1"]})
    assert [where[replica] for replica in SERVICES["shop"]] == ["host-2", "host-3", "host-2"]
    assert where["store"] == "host-1"


def test_only_who_was_on_a_lost_host_moves():
    before, after = placed(SERVICES, HOSTS, {}), placed(SERVICES, HOSTS, {}, {"host-2"})
    assert "host-2" not in after.values()
    assert all(after[replica] == host for replica, host in before.items() if host != "host-2")


def test_a_replica_without_any_host_left_is_an_error():
    with pytest.raises(TwinstackError, match="store: has no host: host-1 cannot be used"):
        placed(SERVICES, HOSTS, {"store": ["host-1"]}, {"host-1"})


def test_placement_on_a_host_that_is_not_up_is_an_error():
    with pytest.raises(TwinstackError, match="host-9 is no host"):
        placed(SERVICES, HOSTS, {"store": ["host-9"]})


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ({"underlay": "172.20.0.0/16"}, "overlaps shapes.tiered.segments.frontend.subnet"),
        ({"underlay": "8.8.8.0/24"}, "is not private"),
        ({"underlay": "10.88.0.0/28"}, "too small"),
        ({"bridge": "br-app"}, "br-app is used twice"),
        ({"placement": {"nobody": ["host-1"]}}, "hosts.placement.nobody: is no service"),
        ({"placement": {"redis-cache": ["left"]}}, "'left' is no host"),
        ({"machines": {"left": "10.9.0.1"}}, "no host's address in"),
        ({"machines": {"a": "10.88.0.5", "b": "10.88.0.5"}}, "is used twice"),
        ({"machines": {"Left": "10.88.0.5"}}, "cannot be named so"),
    ],
)
def test_mistakes_in_hosts_are_told(hosts: dict[str, object], message: str):
    with pytest.raises(TopologyError, match=message):
        parse(written(lambda document: document.update(hosts=hosts)))


def test_a_plan_for_one_host_has_all_its_replicas_here():
    plan = planned("flat")
    assert plan.here == plan.replicas
