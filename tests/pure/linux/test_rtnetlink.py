"""What we ask of the kernel is what pyroute2, which is not ours, reads."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from tests.support.netlink_messages import decoded
from twinstack.linux import rtnetlink

HERE = IPv4Address("10.88.0.11")


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
    message = decoded(rtnetlink.set_hairpin("ve-x", True), ifinfmsg)
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


def test_a_tunnel_is_asked_for_whole_and_without_learning():
    message = decoded(rtnetlink.new_vxlan("vx-app", 7300, HERE, 4789, 1450, 77), ifinfmsg)
    assert (message.get_attr("IFLA_IFNAME"), message.get_attr("IFLA_MTU")) == ("vx-app", 1450)
    info = message.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "vxlan"
    data = info.get_attr("IFLA_INFO_DATA")
    assert data.get_attr("IFLA_VXLAN_ID") == 7300
    assert data.get_attr("IFLA_VXLAN_LOCAL") == str(HERE)
    assert data.get_attr("IFLA_VXLAN_PORT") == 4789
    assert data.get_attr("IFLA_VXLAN_LEARNING") == 0


def test_a_port_is_asked_to_learn_and_flood_nothing_and_to_answer():
    info = decoded(rtnetlink.set_port_static("vx-app"), ifinfmsg).get_attr("IFLA_LINKINFO")
    port = info.get_attr("IFLA_INFO_SLAVE_DATA")
    switches = {
        name: port.get_attr(f"IFLA_BRPORT_{name}")
        for name in ("LEARNING", "UNICAST_FLOOD", "MCAST_FLOOD", "NEIGH_SUPPRESS")
    }
    assert switches == {"LEARNING": 0, "UNICAST_FLOOD": 0, "MCAST_FLOOD": 0, "NEIGH_SUPPRESS": 1}


def test_a_route_is_asked_for_with_its_source():
    message = decoded(rtnetlink.source_route(4, IPv4Network("10.0.0.0/24"), HERE), rtmsg)
    assert message.get_attr("RTA_PREFSRC") == str(HERE)
    assert (message.get_attr("RTA_DST"), message["dst_len"]) == ("10.0.0.0", 24)


def test_a_narrow_link_is_set_down_before_it_is_widened():
    down, wide, *_ = rtnetlink.set_up("eth0", mtu=1400, current_mtu=1279)
    message = decoded(down, ifinfmsg)
    assert (message["flags"], message["change"]) == (0, 1)
    assert decoded(wide, ifinfmsg).get_attr("IFLA_MTU") == 1400


def test_a_bridge_is_filtered_by_its_own_switch():
    info = decoded(rtnetlink.filter_bridge("br-app", True), ifinfmsg).get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_DATA").get_attr("IFLA_BR_NF_CALL_IPTABLES") == 1
