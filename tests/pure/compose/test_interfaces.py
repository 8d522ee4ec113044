"""Containers' interfaces and their ends on the host."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.core_cases import edited_plan
from twinstack.compose.interfaces import LinkEnd, pair, parse_links
from twinstack.world import Link


def test_links_are_read_without_those_that_have_no_index_or_name():
    text = json.dumps(
        [
            {
                "ifindex": 7,
                "ifname": "veth1",
                "link_index": 2,
                "master": "dk-app",
                "linkinfo": {"info_kind": "veth"},
            },
            {},
        ]
    )
    assert parse_links(text) == (
        LinkEnd(name="veth1", index=7, kind="veth", peer=2, master="dk-app"),
    )
    assert parse_links("") == ()


def test_an_interface_is_joined_with_the_end_on_a_bridge_of_ours_that_points_back():
    plan = edited_plan()
    bridge = plan.segments[0].docker_bridge
    host = (
        LinkEnd(name=bridge, index=3, kind="bridge"),
        LinkEnd(name="veth1", index=7, kind="veth", peer=2, master=bridge),
        LinkEnd(name="veth2", index=8, kind="veth", peer=2, master="docker0"),
        LinkEnd(name="veth3", index=9, kind="veth", peer=5, master=bridge),
    )
    ends = (
        LinkEnd(name="lo", index=1),
        LinkEnd(name="eth0", index=2, kind="veth", peer=7),
        LinkEnd(name="eth1", index=3, kind="veth", peer=8),
        LinkEnd(name="eth2", index=4, kind="veth", peer=9),
    )
    inside = {"nginx-lb": ("/proc/1/ns/net", ends)}
    assert pair(plan, Path("/run/netns/x"), host, inside) == (
        Link(bridge, "bridge", "/run/netns/x", "app", ""),
        Link("veth1", "host end", "/run/netns/x", "app", "nginx-lb"),
        Link("eth0", "inside", "/proc/1/ns/net", "app", "nginx-lb"),
    )
