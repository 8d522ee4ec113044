"""A VTEP: its MACs and what it knows of the other hosts."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from twinstack.model.vxlan import FdbEntry, Vtep, VxlanLink, mac_of

WEB, STORE = IPv4Address("10.0.0.10"), IPv4Address("10.0.0.50")
VTEP = Vtep(
    host="host-1",
    address=IPv4Address("10.88.0.11"),
    underlay=IPv4Network("10.88.0.0/24"),
    peers=(IPv4Address("10.88.0.12"),),
    tunnels=(VxlanLink("app", "vx-app", 7300),),
    fdb=(
        FdbEntry("web", "app", WEB, mac_of(WEB), None),
        FdbEntry("store", "app", STORE, mac_of(STORE), IPv4Address("10.88.0.12")),
    ),
)


def test_a_mac_is_local_unicast_and_holds_the_address():
    assert mac_of(WEB) == "02:54:0a:00:00:0a"
    first = int(mac_of(WEB)[:2], 16)
    assert (first & 2, first & 1) == (2, 0)


def test_a_replica_without_another_host_is_here():
    assert VTEP.here == {"web"}


def test_a_vtep_knows_its_links_and_every_mac():
    assert VTEP.tunnel("app").vni == 7300
    assert VTEP.mac("store") == mac_of(STORE)
    with pytest.raises(StopIteration):
        VTEP.tunnel("other")
