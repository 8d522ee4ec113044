"""The namespace world's interfaces as they are now: bridges, host ends, inside ends."""

from __future__ import annotations

from twinstack.linux import netns
from twinstack.model.plan import Plan
from twinstack.namespaces import dumps
from twinstack.world import Link

_LOOPBACK = "lo"


def observed(plan: Plan) -> tuple[Link, ...]:
    """List what bears our mark, in the plan's order. Raises: StepFailed."""
    with dumps.looking_into((), plan.mark) as looked:  # ours alone: a stranger of our name is not
        host, _ = dumps.read_host()
        inside = looked()
    ours = {name: one for name, one in host.items() if one.alias == plan.mark}
    segments = {one.bridge: one.name for one in plan.segments}
    replicas = {one.host_link: one.name for one in plan.here}
    order = {one.name: place for place, one in enumerate(plan.replicas)}
    bridges = [
        Link(name, "bridge", "", segments.get(name, ""), "")
        for name, one in ours.items()
        if one.kind == "bridge"
    ]
    host_ends = [
        Link(name, "host end", "", segments.get(one.master or "", ""), replicas.get(name, ""))
        for name, one in ours.items()
        if one.kind == "veth"
    ]
    where = {one.replica: one.segment for one in host_ends}
    inside_ends = [
        Link(link, "inside", str(netns.PINS / name), where.get(name, ""), name)
        for name, one in inside.items()
        for link in one.links
        if link != _LOOPBACK
    ]
    placed = [one.name for one in plan.segments]
    bridges.sort(key=lambda one: placed.index(one.segment) if one.segment else len(placed))
    for ends in (host_ends, inside_ends):
        ends.sort(key=lambda one: order.get(one.replica, len(order)))
    return (*bridges, *host_ends, *inside_ends)
