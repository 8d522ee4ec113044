"""Containers' interfaces and their ends on the host."""

from __future__ import annotations

from pathlib import Path

from tests.support.core_cases import edited_plan
from twinstack.compose.interfaces import pair
from twinstack.linux.links import LinkFacts
from twinstack.model.plan import HOST
from twinstack.world import Link


def link(
    name: str, index: int, kind: str | None = None, peer: int | None = None, master: str = ""
) -> LinkFacts:
    return LinkFacts(
        name, index, kind, alias=None, mtu=1500, up=True, peer=peer, master=master or None
    )


def by_name(*links: LinkFacts) -> dict[str, LinkFacts]:
    return {link.name: link for link in links}


def test_an_interface_is_joined_with_the_end_on_a_bridge_of_ours_that_points_back():
    plan = edited_plan()
    bridge = plan.segments[0].docker_bridge
    host = by_name(
        link(bridge, 3, "bridge"),
        link("veth1", 7, "veth", peer=2, master=bridge),
        link("veth2", 8, "veth", peer=2, master="docker0"),
        link("veth3", 9, "veth", peer=5, master=bridge),
    )
    ends = by_name(
        link("lo", 1),
        link("eth0", 2, "veth", peer=7),
        link("eth1", 3, "veth", peer=8),
        link("eth2", 4, "veth", peer=9),
    )
    namespaces = {HOST: Path("/run/netns/x"), "nginx-lb": Path("/proc/1/ns/net")}
    assert pair(plan, namespaces, host, {"nginx-lb": ends}) == (
        Link(bridge, "bridge", "/run/netns/x", "app", ""),
        Link("veth1", "host end", "/run/netns/x", "app", "nginx-lb"),
        Link("eth0", "inside", "/proc/1/ns/net", "app", "nginx-lb"),
    )
