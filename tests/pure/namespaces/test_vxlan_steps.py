"""Tunnels: what is asked of the kernel, read by pyroute2."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from tests.pure.linux.test_netlink import decoded
from tests.support.core_cases import link
from twinstack.linux import neigh, rtnetlink
from twinstack.linux.links import TunnelFacts
from twinstack.namespaces.facts import FdbFacts, NetFacts
from twinstack.namespaces.vxlan_steps import ALL_ZEROS_MAC, SourceRoute, VxlanEntries, VxlanPort

HERE, THERE = IPv4Address("10.88.0.11"), IPv4Address("10.88.0.12")
MAC = "02:54:0a:00:00:1e"


def test_a_tunnel_is_asked_for_whole_and_without_learning():
    message = decoded(rtnetlink.new_tunnel("vx-app", 7300, HERE, 4789, 1450, 77), ifinfmsg)
    assert (message.get_attr("IFLA_IFNAME"), message.get_attr("IFLA_MTU")) == ("vx-app", 1450)
    info = message.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "vxlan"
    data = info.get_attr("IFLA_INFO_DATA")
    assert data.get_attr("IFLA_VXLAN_ID") == 7300
    assert data.get_attr("IFLA_VXLAN_LOCAL") == str(HERE)
    assert data.get_attr("IFLA_VXLAN_PORT") == 4789
    assert data.get_attr("IFLA_VXLAN_LEARNING") == 0


def test_a_port_is_asked_to_learn_and_flood_nothing_and_to_answer():
    info = decoded(rtnetlink.quiet_port("vx-app"), ifinfmsg).get_attr("IFLA_LINKINFO")
    port = info.get_attr("IFLA_INFO_SLAVE_DATA")
    told = {
        name: port.get_attr(f"IFLA_BRPORT_{name}")
        for name in ("LEARNING", "UNICAST_FLOOD", "MCAST_FLOOD", "NEIGH_SUPPRESS")
    }
    assert told == {"LEARNING": 0, "UNICAST_FLOOD": 0, "MCAST_FLOOD": 0, "NEIGH_SUPPRESS": 1}


def test_entries_are_asked_for_where_they_belong():
    remote = decoded(neigh.put_remote(5, MAC, str(THERE), beside=False), ndmsg)
    assert (remote["family"], remote["ifindex"], remote["flags"]) == (7, 5, 2)
    assert remote.get_attr("NDA_LLADDR") == MAC
    port = decoded(neigh.put_port(5, MAC), ndmsg)
    assert (port["flags"], port["state"]) == (4, 0x40)
    neighbour = decoded(neigh.put_neighbour(6, "10.0.0.30", MAC), ndmsg)
    assert (neighbour["family"], neighbour["state"]) == (2, 0x80)
    assert neighbour.get_attr("NDA_DST") == "10.0.0.30"


def test_copies_for_everybody_stand_beside_each_other_and_others_replace():
    assert neigh.put_remote(5, ALL_ZEROS_MAC, str(THERE), beside=True).flags & 0x800
    assert not neigh.put_remote(5, MAC, str(THERE), beside=False).flags & 0x800


def test_a_route_is_asked_for_with_its_source():
    message = decoded(rtnetlink.source_route(4, IPv4Network("10.0.0.0/24"), HERE), rtmsg)
    assert message.get_attr("RTA_PREFSRC") == str(HERE)
    assert (message.get_attr("RTA_DST"), message["dst_len"]) == ("10.0.0.0", 24)


def test_what_was_learned_is_no_entry_of_ours():
    learned = struct.pack("=BxxxiHBB", 7, 5, 0x02, 0, 0) + b"\x0a\0\x02\0" + bytes(6) + b"\0\0"
    assert neigh.read_entry(memoryview(learned)) is None


TUNNEL = VxlanPort("vx-app", "br-app", 7300, HERE, 4789, 1450, "twinstack:x", 77)
MADE = link(
    "vx-app",
    kind="vxlan",
    mtu=1450,
    alias="twinstack:x",
    group=77,
    master="br-app",
    tunnel=TunnelFacts(7300, str(HERE), 4789, df=True, learning=False),
    quiet_port=True,
)


def test_a_tunnel_as_declared_differs_in_nothing():
    assert TUNNEL.difference(NetFacts(links={"vx-app": MADE})) is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"mtu": 1500}, "has mtu 1500"),
        ({"up": False}, "is down"),
        ({"master": None}, "is a port of no bridge"),
        ({"quiet_port": False}, "its port learns"),
        ({"tunnel": TunnelFacts(7301, str(HERE), 4789, True, False)}, "has VNI 7301"),
        ({"tunnel": TunnelFacts(7300, str(HERE), 4789, False, False)}, "fragmented"),
        ({"tunnel": TunnelFacts(7300, str(HERE), 4789, True, True)}, "learns MACs"),
        ({"alias": None}, "lacks our mark"),
        ({"tunnel": None, "kind": "dummy"}, "is a dummy"),
    ],
)
def test_a_tunnel_tells_how_it_differs(changed: dict[str, object], told: str):
    from dataclasses import replace

    found = replace(MADE, **changed)  # type: ignore[arg-type]
    assert told in str(TUNNEL.difference(NetFacts(links={"vx-app": found})))


def test_entries_tell_what_is_missing_and_what_is_too_much():
    wanted = VxlanEntries(
        "vx-app", "br-app", frozenset({(MAC, str(THERE))}), frozenset({("10.0.0.30", MAC)})
    )
    there = FdbFacts(wanted.remote, wanted.ports, wanted.neighbours)
    assert wanted.difference(NetFacts(fdb={"vx-app": there})) is None
    stale = FdbFacts(frozenset({(MAC, "10.88.0.13")}), wanted.ports, wanted.neighbours)
    assert wanted.difference(NetFacts(fdb={"vx-app": stale})) == (
        "misses 1 forwarding; has too many: 1 forwarding"
    )


def test_a_host_that_asks_from_the_gateways_address_is_told():
    route = SourceRoute("br-app", IPv4Network("10.0.0.0/24"), HERE)
    facts = NetFacts(route_sources={("10.0.0.0/24", "br-app"): "10.0.0.1"})
    assert route.difference(facts) == "has source 10.0.0.1"
