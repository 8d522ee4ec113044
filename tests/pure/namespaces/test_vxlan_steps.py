"""Tunnels: what is asked of the kernel, read by pyroute2."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.support.core_cases import link
from twinstack.linux.links import VxlanFacts
from twinstack.linux.neigh import NeighbourEntry
from twinstack.namespaces.facts import NetFacts
from twinstack.namespaces.vxlan_steps import SourceRoute, VxlanEntries, VxlanPort

HERE, THERE = IPv4Address("10.88.0.11"), IPv4Address("10.88.0.12")
MAC = "02:54:0a:00:00:1e"


TUNNEL = VxlanPort("vx-app", "br-app", 7300, HERE, 4789, 1450, "twinstack:x", 77)
MADE = link(
    "vx-app",
    kind="vxlan",
    mtu=1450,
    alias="twinstack:x",
    group=77,
    master="br-app",
    vxlan=VxlanFacts(7300, str(HERE), 4789, df=True, learning=False),
    static_port=True,
)


def test_a_vxlan_link_as_declared_does_not_differ():
    assert TUNNEL.difference(NetFacts(links={"vx-app": MADE})) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"mtu": 1500}, "has mtu 1500"),
        ({"up": False}, "is down"),
        ({"master": None}, "is a port of no bridge"),
        ({"static_port": False}, "its port learns"),
        ({"vxlan": VxlanFacts(7301, str(HERE), 4789, True, False)}, "has VNI 7301"),
        ({"vxlan": VxlanFacts(7300, str(HERE), 4789, False, False)}, "df off"),
        ({"vxlan": VxlanFacts(7300, str(HERE), 4789, True, True)}, "learning on"),
        ({"alias": None}, "lacks our mark"),
        ({"vxlan": None, "kind": "dummy"}, "is a dummy"),
    ],
)
def test_a_vxlan_link_names_each_difference(changed: dict[str, object], reason: str):
    link = replace(MADE, **changed)  # type: ignore[arg-type]
    assert reason in str(TUNNEL.difference(NetFacts(links={"vx-app": link})))


def test_entries_count_what_is_missing_and_what_is_surplus():
    entries = VxlanEntries(
        "vx-app", "br-app", frozenset({(MAC, str(THERE))}), frozenset({("10.0.0.30", MAC)})
    )
    foreign = NeighbourEntry("eth0", "neighbour", MAC, "10.0.0.30")
    declared = entries.entries | {foreign}
    assert entries.difference(NetFacts(neighbours=declared)) is None
    forwarding = NeighbourEntry("vx-app", "vxlan", MAC, str(THERE))
    stale = declared - {forwarding} | {replace(forwarding, to="10.88.0.13")}
    assert entries.difference(NetFacts(neighbours=stale)) == (
        "misses 1 forwarding; has too many: 1 forwarding"
    )


def test_a_route_from_the_gateways_address_differs():
    route = SourceRoute("br-app", IPv4Network("10.0.0.0/24"), HERE)
    facts = NetFacts(routes={("10.0.0.0/24", "br-app"): "10.0.0.1"})
    assert route.difference(facts) == "has source 10.0.0.1"
