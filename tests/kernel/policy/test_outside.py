"""The machine that stands for the internet is reachable while it is there, and leaves nothing."""

from __future__ import annotations

import socket

import pytest

from tests.support.loopback import in_own_netns
from twinstack.errors import CannotTell
from twinstack.linux import child, links, rtnetlink
from twinstack.linux.netlink import Netlink
from twinstack.policy.outside import LINK, outside

pytestmark = pytest.mark.kernel
MARK = "twinstack:test"


def test_both_ends_reach_each_other_and_the_link_is_gone_afterwards():
    def work() -> tuple[object, ...]:
        with outside(None, MARK) as machine, Netlink() as netlink:
            link = links.dump_links(netlink)[LINK]
            with socket.create_server((machine.host_address, 0)) as server:
                port = server.getsockname()[1]

                def connect() -> str:
                    with socket.create_connection((machine.host_address, port), 5) as client:
                        return str(client.getsockname()[0])

                seen = child.inside("outside", machine.namespace, connect)
            during = link.alias, link.addresses, seen == machine.address
        with Netlink() as netlink:
            return *during, sorted(links.dump_links(netlink))

    assert in_own_netns(work) == (f"{MARK} outside", frozenset({"192.0.2.253/30"}), True, ["lo"])


def test_a_subnet_with_a_route_is_left_alone_and_so_is_a_foreign_link():
    def work() -> tuple[str, str]:
        with Netlink() as netlink:
            netlink.send([rtnetlink.new_bridge("br-x", 1500, 0)])
            netlink.send(rtnetlink.set_up("br-x"))
            index = links.index_of(netlink, "br-x")
            netlink.send([rtnetlink.put_address(index, "192.0.2.1/24")])
            with outside(None, MARK) as machine:
                address = machine.address
            netlink.send([rtnetlink.new_bridge(LINK, 1500, 0)])
            with pytest.raises(CannotTell, match="exists already"), outside(None, MARK):
                pass
            return address, ",".join(sorted(links.dump_links(netlink)))

    assert in_own_netns(work) == ("198.51.100.254", f"br-x,lo,{LINK}")
