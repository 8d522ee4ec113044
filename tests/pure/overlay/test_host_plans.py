"""A plan spread over hosts: what each host is told, decided purely."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core_cases import planned
from twinstack.model.placement import hosts_of
from twinstack.model.plan import Plan
from twinstack.model.topology import HostsSpec
from twinstack.model.vxlan import FdbEntry
from twinstack.namespaces import rules
from twinstack.namespaces.steps import Bridge, Namespace, VethPair, network_steps
from twinstack.namespaces.vxlan_steps import (
    ALL_ZEROS_MAC,
    HostMounts,
    SourceRoute,
    VxlanEntries,
    VxlanPort,
)
from twinstack.overlay.host_plans import Spread, host_plan, spread, underlay_plan

COUNT = 3


def made(shape: str = "tiered", *, lost: frozenset[str] = frozenset()) -> tuple[Plan, Spread]:
    plan = planned(shape)
    return plan, spread(plan, HostsSpec(), COUNT, lost)


def stations_of(plan: Plan) -> tuple[FdbEntry, ...]:
    assert plan.vtep is not None
    return plan.vtep.fdb


def of_kind(plan: Plan, kind: type) -> list[Any]:
    return [step for step in network_steps(plan) if isinstance(step, kind)]


def test_every_replica_is_on_one_host():
    plan, found = made()
    here = [replica.name for host in found.hosts for replica in host_plan(plan, found, host).here]
    assert sorted(here) == sorted(replica.name for replica in plan.replicas)


def test_the_underlay_is_a_bridge_and_a_host_each_with_mounts_of_its_own():
    plan, found = made()
    under = underlay_plan(plan, found)
    assert [(one.link, one.address, one.mtu) for one in of_kind(under, Bridge)] == [
        ("br-underlay", "10.88.0.1/24", 1500)
    ]
    names = [host.name for host in hosts_of(HostsSpec(), COUNT)]
    assert [one.namespace for one in of_kind(under, Namespace)] == names
    assert [one.namespace for one in of_kind(under, HostMounts)] == names


def test_every_segment_has_one_vni_on_every_host_and_another_than_its_neighbours():
    plan, found = made()
    told = {
        host.name: {one.bridge: one.vni for one in of_kind(host_plan(plan, found, host), VxlanPort)}
        for host in found.hosts
    }
    assert set(map(str, told.values())) == {
        "{'br-frontend': 7300, 'br-backend': 7301, 'br-database': 7302}"
    }


def test_a_tunnel_leaves_room_for_its_own_headers():
    plan, found = made()
    for host in found.hosts:
        own = host_plan(plan, found, host)
        mtus = {one.mtu for kind in (VxlanPort, Bridge, VethPair) for one in of_kind(own, kind)}
        assert mtus == {1450}


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_every_replica_elsewhere_is_behind_its_own_host(shape: str):
    plan, found = made(shape)
    address = {host.name: str(host.address) for host in found.hosts}
    for host in found.hosts:
        own = host_plan(plan, found, host)
        remote = {one for step in of_kind(own, VxlanEntries) for one in step.remote}
        macs = {one.mac: one.replica for one in stations_of(own)}
        behind = {macs[mac]: at for mac, at in remote if mac != ALL_ZEROS_MAC}
        assert behind == {name: address[at] for name, at in found.where.items() if at != host.name}


def test_frames_to_everybody_go_to_each_other_host_that_is_not_lost():
    plan, found = made(lost=frozenset({"host-2"}))
    own = host_plan(plan, found, found.hosts[0])
    for step in of_kind(own, VxlanEntries):
        assert {at for mac, at in step.remote if mac == ALL_ZEROS_MAC} == {"10.88.0.13"}


def test_the_gateway_is_the_same_on_every_host():
    plan, found = made()
    gateways = {
        tuple(
            (one.link, one.address, one.mac)
            for one in of_kind(host_plan(plan, found, host), Bridge)
        )
        for host in found.hosts
    }
    assert len(gateways) == 1
    assert all(mac for one in gateways for _, _, mac in one)


def test_a_host_asks_from_its_own_address():
    plan, found = made()
    for host in found.hosts:
        routes = of_kind(host_plan(plan, found, host), SourceRoute)
        assert {one.source for one in routes} == {host.address}
        assert len(routes) == len(plan.segments)


def test_macs_are_unicast_locally_administered_and_distinct():
    plan, found = made()
    own = host_plan(plan, found, found.hosts[0])
    macs = [one.mac for one in stations_of(own)]
    assert len(set(macs)) == len(macs)
    assert all(int(mac[:2], 16) & 0b11 == 0b10 for mac in macs)


def test_a_door_is_open_on_every_host_and_asks_another_host_from_its_own_address():
    plan, found = made()
    for host in found.hosts:
        hooks = {hook.title: hook.rules for hook in rules.hooks(host_plan(plan, found, host))}
        assert any("DNAT" in rule for rule in hooks["nat PREROUTING"])
        asks = f"SNAT --to-source {host.address}"
        elsewhere = found.where["nginx-lb"] != host.name
        assert any(asks in rule for rule in hooks["nat POSTROUTING"]) == elsewhere


def test_a_moved_replica_changes_the_entries_of_every_host_and_no_policy():
    plan, before = made()
    _, after = made(lost=frozenset({before.where["redis-cache"]}))
    host = next(one for one in after.alive if one.name != after.where["redis-cache"])
    one, other = host_plan(plan, before, host), host_plan(plan, after, host)
    assert of_kind(one, VxlanEntries) != of_kind(other, VxlanEntries)
    assert [step for step in network_steps(one) if step.name.startswith("rules filter")] == [
        step for step in network_steps(other) if step.name.startswith("rules filter")
    ]
