from __future__ import annotations

from typing import Any

import pytest

from tests.support.core_cases import planned
from twinstack.linux.neigh import ALL_ZEROS_MAC
from twinstack.model.placement import hosts_of
from twinstack.model.plan import Plan
from twinstack.model.topology import HostsSpec
from twinstack.model.vxlan import FdbEntry
from twinstack.namespaces import rules
from twinstack.namespaces.steps import Bridge, Namespace, VethPair, network_steps
from twinstack.namespaces.vxlan_steps import (
    HostMounts,
    SourceRoute,
    VxlanEntries,
    VxlanPort,
)
from twinstack.overlay.host_plans import Spread, host_plan, spread_over_hosts, underlay_plan

COUNT = 3


def spread_plan(
    shape: str = "tiered", *, lost: frozenset[str] = frozenset()
) -> tuple[Plan, Spread]:
    plan = planned(shape)
    return plan, spread_over_hosts(plan, HostsSpec(), COUNT, lost)


def fdb_of(plan: Plan) -> tuple[FdbEntry, ...]:
    assert plan.vtep is not None
    return plan.vtep.fdb


def of_kind(plan: Plan, kind: type) -> list[Any]:
    return [step for step in network_steps(plan) if isinstance(step, kind)]


def test_every_replica_is_on_one_host():
    plan, spread = spread_plan()
    here = [replica.name for host in spread.hosts for replica in host_plan(plan, spread, host).here]
    assert sorted(here) == sorted(replica.name for replica in plan.replicas)


def test_the_underlay_is_a_bridge_and_for_each_host_a_namespace_with_its_own_mounts():
    plan, spread = spread_plan()
    underlay = underlay_plan(plan, spread)
    bridges = [(bridge.link, bridge.address, bridge.mtu) for bridge in of_kind(underlay, Bridge)]
    assert bridges == [("br-underlay", "10.88.0.1/24", 1500)]
    names = [host.name for host in hosts_of(HostsSpec(), COUNT)]
    assert [step.namespace for step in of_kind(underlay, Namespace)] == names
    assert [step.namespace for step in of_kind(underlay, HostMounts)] == names


def test_every_segment_has_a_vni_of_its_own_the_same_on_every_host():
    plan, spread = spread_plan()
    vnis = [
        {tunnel.bridge: tunnel.vni for tunnel in of_kind(host_plan(plan, spread, host), VxlanPort)}
        for host in spread.hosts
    ]
    assert vnis == [{"br-frontend": 7300, "br-backend": 7301, "br-database": 7302}] * COUNT


def test_a_tunnel_leaves_room_for_its_own_headers():
    plan, spread = spread_plan()
    for host in spread.hosts:
        own = host_plan(plan, spread, host)
        mtus = {step.mtu for kind in (VxlanPort, Bridge, VethPair) for step in of_kind(own, kind)}
        assert mtus == {1450}


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_every_replica_elsewhere_is_behind_its_own_host(shape: str):
    plan, spread = spread_plan(shape)
    address = {host.name: str(host.address) for host in spread.hosts}
    for host in spread.hosts:
        own = host_plan(plan, spread, host)
        remote = {entry for step in of_kind(own, VxlanEntries) for entry in step.remote}
        macs = {entry.mac: entry.replica for entry in fdb_of(own)}
        behind = {macs[mac]: at for mac, at in remote if mac != ALL_ZEROS_MAC}
        expected = {name: address[at] for name, at in spread.where.items() if at != host.name}
        assert behind == expected


def test_broadcasts_go_to_each_other_host_that_is_not_lost():
    plan, spread = spread_plan(lost=frozenset({"host-2"}))
    own = host_plan(plan, spread, spread.hosts[0])
    for step in of_kind(own, VxlanEntries):
        assert {at for mac, at in step.remote if mac == ALL_ZEROS_MAC} == {"10.88.0.13"}


def test_the_gateway_is_the_same_on_every_host():
    plan, spread = spread_plan()
    gateways = {
        tuple(
            (bridge.link, bridge.address, bridge.mac)
            for bridge in of_kind(host_plan(plan, spread, host), Bridge)
        )
        for host in spread.hosts
    }
    assert len(gateways) == 1
    assert all(mac for bridges in gateways for _, _, mac in bridges)


def test_a_host_sends_from_its_own_address():
    plan, spread = spread_plan()
    for host in spread.hosts:
        routes = of_kind(host_plan(plan, spread, host), SourceRoute)
        assert {route.source for route in routes} == {host.address}
        assert len(routes) == len(plan.segments)


def test_macs_are_unicast_locally_administered_and_distinct():
    plan, spread = spread_plan()
    macs = [entry.mac for entry in fdb_of(host_plan(plan, spread, spread.hosts[0]))]
    assert len(set(macs)) == len(macs)
    assert all(int(mac[:2], 16) & 0b11 == 0b10 for mac in macs)


def test_a_published_port_is_open_on_every_host_and_forwarded_from_its_own_address():
    plan, spread = spread_plan()
    for host in spread.hosts:
        hooks = {hook.title: hook.rules for hook in rules.hooks(host_plan(plan, spread, host))}
        assert any("DNAT" in rule for rule in hooks["nat PREROUTING"])
        snat = f"SNAT --to-source {host.address}"
        elsewhere = spread.where["nginx-lb"] != host.name
        assert any(snat in rule for rule in hooks["nat POSTROUTING"]) == elsewhere


def test_a_moved_replica_changes_every_hosts_entries_and_no_policy():
    plan, before = spread_plan()
    _, after = spread_plan(lost=frozenset({before.where["redis-cache"]}))
    host = next(host for host in after.alive if host.name != after.where["redis-cache"])
    plans = [host_plan(plan, spread, host) for spread in (before, after)]
    earlier, later = (of_kind(own, VxlanEntries) for own in plans)
    assert earlier != later
    earlier, later = (
        [step for step in network_steps(own) if step.name.startswith("rules filter")]
        for own in plans
    )
    assert earlier == later
