"""The Docker world's interfaces: bridges, host ends and inside ends of veth pairs.

The engine names the host's end at random: it is found by the index of its peer, which each end
knows. Source: veth(4), IFLA_LINK in if_link.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twinstack.linux import child
from twinstack.linux.links import LinkFacts, links_here
from twinstack.model.plan import HOST, Plan
from twinstack.world import Link

Links = Mapping[str, LinkFacts]


def observe_links(plan: Plan, namespaces: Mapping[str, Path | None]) -> tuple[Link, ...]:
    """List the interfaces of the host and of each replica, in their order. Raises: StepFailed."""
    found = child.each(namespaces, lambda _name: links_here())
    inside = {name: found[name] for name in namespaces if name != HOST and name in found}
    return pair(plan, namespaces, found[HOST], inside)


def pair(
    plan: Plan, namespaces: Mapping[str, Path | None], host: Links, inside: Mapping[str, Links]
) -> tuple[Link, ...]:
    """Join each container's interfaces with their ends on the host, by index. Pure."""
    outer = str(namespaces[HOST] or "")
    segments = {segment.docker_bridge: segment.name for segment in plan.segments}
    ports = (link for link in host.values() if link.kind == "veth" and link.master in segments)
    by_index = {link.index: link for link in ports}
    bridges = [
        Link(name, "bridge", outer, segment, "")
        for name, segment in segments.items()
        if name in host and host[name].kind == "bridge"
    ]
    host_ends, inside_ends = [], []
    for replica, links in inside.items():
        for link in links.values():
            other = by_index.get(link.peer or 0)
            # An index says little across namespaces: the other end must point back here.
            if link.name == "lo" or other is None or other.peer != link.index:
                continue
            segment = segments[other.master or ""]
            host_ends.append(Link(other.name, "host end", outer, segment, replica))
            inside_ends.append(
                Link(link.name, "inside", str(namespaces[replica]), segment, replica)
            )
    return (*bridges, *host_ends, *inside_ends)
