"""What we pack is what pyroute2, which is not ours, reads: requests, and the kernel's answers."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from twinstack.linux import netlink, rtnetlink
from twinstack.linux.netlink import Request


def decoded(request: Request, kind: type) -> Any:
    header = struct.pack("=IHHII", 16 + len(request.body), request.kind, request.flags, 1, 0)
    message = kind(header + request.body)
    message.decode()
    return message


def test_a_bridge_is_asked_for_quiet_and_in_our_group():
    message = decoded(rtnetlink.new_bridge("br-app", 1400, 77), ifinfmsg)
    assert message.get_attr("IFLA_IFNAME") == "br-app"
    assert message.get_attr("IFLA_MTU") == 1400
    assert message.get_attr("IFLA_GROUP") == 77
    info = message.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "bridge"
    data = info.get_attr("IFLA_INFO_DATA")
    assert (data.get_attr("IFLA_BR_STP_STATE"), data.get_attr("IFLA_BR_MCAST_SNOOPING")) == (0, 0)


def test_a_pair_is_born_with_its_far_end_inside():
    message = decoded(rtnetlink.new_pair("ve-x", "eth0", 9, 1500, 77), ifinfmsg)
    assert message.get_attr("IFLA_IFNAME") == "ve-x"
    assert message.get_attr("IFLA_NUM_TX_QUEUES") == message.get_attr("IFLA_NUM_RX_QUEUES") == 1
    info = message.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "veth"
    peer = info.get_attr("IFLA_INFO_DATA").get_attr("VETH_INFO_PEER")
    assert peer.get_attr("IFLA_IFNAME") == "eth0"
    assert peer.get_attr("IFLA_NET_NS_FD") == 9
    assert peer.get_attr("IFLA_MTU") == 1500


def test_a_link_takes_no_address_by_itself_before_it_is_up():
    wide, first, second = rtnetlink.set_up(
        "eth0", mtu=1400, alias="twinstack:x", master=5, group=77
    )
    # The MTU before all: a link of less than 1,280 has nothing of IPv6 that could be set.
    assert (decoded(wide, ifinfmsg)["flags"], decoded(wide, ifinfmsg).get_attr("IFLA_MTU")) == (
        0,
        1400,
    )
    quiet = decoded(first, ifinfmsg)
    inet6 = quiet.get_attr("IFLA_AF_SPEC").get_attr("AF_INET6")
    assert inet6.get_attr("IFLA_INET6_ADDR_GEN_MODE") == 1
    assert quiet["flags"] == 0
    up = decoded(second, ifinfmsg)
    assert (up["flags"], up["change"]) == (1, 1)
    assert up.get_attr("IFLA_IFALIAS") == "twinstack:x"
    assert (up.get_attr("IFLA_MASTER"), up.get_attr("IFLA_GROUP")) == (5, 77)


def test_a_hairpin_is_a_property_of_the_port():
    message = decoded(rtnetlink.hairpin("ve-x", True), ifinfmsg)
    info = message.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_SLAVE_KIND") == "bridge"
    assert info.get_attr("IFLA_INFO_SLAVE_DATA").get_attr("IFLA_BRPORT_MODE") == 1


def test_deleting_a_group_names_nothing_else():
    message = decoded(rtnetlink.delete_group(77), ifinfmsg)
    assert message["index"] == 0
    assert [name for name, _ in message["attrs"]] == ["IFLA_GROUP"]


def test_addresses_and_routes():
    address = decoded(rtnetlink.put_address(3, "10.0.0.9/24"), ifaddrmsg)
    assert (address["index"], address["prefixlen"]) == (3, 24)
    assert address.get_attr("IFA_LOCAL") == address.get_attr("IFA_ADDRESS") == "10.0.0.9"
    route = decoded(rtnetlink.default_route(3, IPv4Address("10.0.0.1")), rtmsg)
    assert (route["dst_len"], route["table"], route["type"]) == (0, 254, 1)
    assert (route.get_attr("RTA_GATEWAY"), route.get_attr("RTA_OIF")) == ("10.0.0.1", 3)


@given(st.lists(st.tuples(st.integers(1, 60), st.binary(max_size=40)), unique_by=lambda x: x[0]))
def test_attributes_are_taken_apart_as_they_were_packed(wanted: list[tuple[int, bytes]]):
    packed = b"".join(netlink.attribute(kind, value) for kind, value in wanted)
    assert len(packed) % 4 == 0
    found = netlink.attributes(memoryview(packed))
    assert {kind: bytes(value) for kind, value in found.items()} == dict(wanted)


@given(st.binary(max_size=64))
def test_attributes_of_nonsense_end_quietly(data: bytes):
    netlink.attributes(memoryview(data))


@pytest.mark.parametrize("code", [1, 17, 19])
def test_a_refusal_says_the_systems_word_and_the_kernels(code: int):
    refused = netlink.Refused(code, "Unknown device", 2)
    assert (refused.errno, refused.number) == (code, 2)
    assert "Unknown device" in str(refused)
