"""What the kernel reports about links, addresses and routes is read as it means it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from twinstack.linux import links, rtnetlink
from twinstack.linux.links import RouteFacts, VxlanFacts
from twinstack.linux.netlink import Request, attribute, u8, u32
from twinstack.linux.rtnetlink import BR, BRPORT, IFLA, RTA

HERE = IPv4Address("10.88.0.11")


def read(request: Request, more: bytes = b"") -> links.LinkFacts:
    """Read a request as if the kernel reported it: its attributes are the same."""
    return links.read_link(links.parse_link(memoryview(request.body + more)), {4: "br-app"})


def test_a_bridge_is_read_as_it_was_asked_for():
    link = read(rtnetlink.new_bridge("br-app", 1400, 77, "02:00:00:00:00:01"))
    assert (link.name, link.kind, link.mtu, link.group) == ("br-app", "bridge", 1400, 77)
    assert (link.mac, link.master, link.up, link.vxlan) == ("02:00:00:00:00:01", None, False, None)


@pytest.mark.parametrize("on", [True, False])
def test_switches_of_bridges_and_ports_are_read(on: bool):
    assert read(rtnetlink.filter_bridge("br-app", on)).filtered == on
    assert read(rtnetlink.set_hairpin("ve-x", on)).hairpin == on


def test_a_port_is_static_only_with_all_four_switches():
    assert read(rtnetlink.set_port_static("vx-app")).static_port
    assert not read(rtnetlink.set_hairpin("vx-app", True)).static_port


def test_a_vxlan_is_read_as_it_was_asked_for():
    link = read(rtnetlink.new_vxlan("vx-app", 7300, HERE, 4789, 1450, 77))
    assert link.vxlan == VxlanFacts(7300, str(HERE), 4789, df=True, learning=False)


def test_a_link_that_is_up_has_its_master_alias_and_no_address_of_its_own_making():
    quiet, up = rtnetlink.set_up("eth0", alias="twinstack:x", master=4, group=77)
    link = read(up)
    assert (link.up, link.alias, link.master, link.group) == (True, "twinstack:x", "br-app", 77)
    assert link.autoconfigures_ipv6 is False  # no AF_INET6: a kernel without IPv6
    assert read(quiet).autoconfigures_ipv6 is False
    eui64 = attribute(IFLA.AF_SPEC, attribute(10, u8(8, 0)))
    assert read(up, eui64).autoconfigures_ipv6 is True


def test_an_address_is_read_with_its_link_and_length():
    request = rtnetlink.put_address(3, "10.0.0.9/24")
    assert links.read_address(memoryview(request.body)) == (3, "10.0.0.9/24")


def test_routes_of_the_main_table_are_read_and_no_others():
    default = rtnetlink.default_route(3, IPv4Address("10.0.0.1")).body
    assert links.read_route(memoryview(default)) == RouteFacts(links.DEFAULT, "10.0.0.1", 3, None)
    source = rtnetlink.source_route(4, IPv4Network("10.0.0.0/24"), HERE).body
    assert links.read_route(memoryview(source)) == RouteFacts("10.0.0.0/24", None, 4, str(HERE))
    assert links.read_route(memoryview(default + u32(RTA.TABLE, 100))) is None


def test_constants_are_the_kernels_names():
    assert (BRPORT.NEIGH_SUPPRESS, BR.NF_CALL_IPTABLES) == (32, 36)
