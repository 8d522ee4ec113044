"""Entries are asked for where they belong, and read back as they were asked for."""

from __future__ import annotations

import struct
from dataclasses import replace

from pyroute2.netlink.rtnl.ndmsg import ndmsg

from tests.support.netlink_messages import decoded
from twinstack.linux import neigh
from twinstack.linux.neigh import NeighbourEntry
from twinstack.linux.netlink import u32

MAC = "02:54:0a:00:00:1e"
NAMES = {5: "vx-app", 6: "br-app"}
FORWARDING = NeighbourEntry("vx-app", "vxlan", MAC, "10.88.0.12")
PORT = NeighbourEntry("vx-app", "bridge", MAC)
NEIGHBOUR = NeighbourEntry("br-app", "neighbour", MAC, "10.0.0.30")


def test_entries_are_asked_for_where_they_belong():
    remote = decoded(neigh.put(5, FORWARDING), ndmsg)
    assert (remote["family"], remote["ifindex"], remote["flags"]) == (7, 5, 2)
    assert remote.get_attr("NDA_LLADDR") == MAC
    port = decoded(neigh.put(5, PORT), ndmsg)
    assert (port["flags"], port["state"]) == (4, 0x40)
    neighbour = decoded(neigh.put(6, NEIGHBOUR), ndmsg)
    assert (neighbour["family"], neighbour["state"]) == (2, 0x80)
    assert neighbour.get_attr("NDA_DST") == "10.0.0.30"


def test_copies_for_everybody_stand_beside_each_other_and_others_replace():
    assert neigh.put(5, replace(FORWARDING, mac=neigh.ALL_ZEROS_MAC)).flags & 0x800
    assert not neigh.put(5, FORWARDING).flags & 0x800


def test_what_was_learned_is_no_entry_of_ours():
    learned = struct.pack("=BxxxiHBB", 7, 5, 0x02, 0, 0) + b"\x0a\0\x02\0" + bytes(6) + b"\0\0"
    assert neigh.read_entry(memoryview(learned), NAMES) is None


def test_an_entry_is_read_back_as_it_was_put():
    for index, entry in ((5, FORWARDING), (6, NEIGHBOUR)):
        assert neigh.read_entry(memoryview(neigh.put(index, entry).body), NAMES) == entry


def test_a_static_entry_of_a_bridge_is_read_back_with_its_master_only():
    body = neigh.put(5, PORT).body
    assert neigh.read_entry(memoryview(body), NAMES) is None  # of no bridge
    with_master = body + u32(neigh.NDA.MASTER, 4)
    assert neigh.read_entry(memoryview(with_master), NAMES) == PORT
