"""The namespace world's interfaces as they are now: bridges, host ends, inside ends."""

from __future__ import annotations

from twinstack.linux import netns
from twinstack.model.plan import Plan
from twinstack.namespaces import dumps
from twinstack.world import Link


def observe_links(plan: Plan) -> tuple[Link, ...]:
    """List what carries our mark, in the plan's order. Raises: StepFailed."""
    with dumps.visiting((), plan.mark) as waiting_namespaces:
        host, _ = dumps.read_host()
        namespaces = waiting_namespaces()
    segments = {segment.bridge: segment.name for segment in plan.segments}
    replicas = {replica.host_link: replica.name for replica in plan.here}
    bridges, host_ends = [], []
    for name, link in host.items():
        if link.alias != plan.mark:
            continue
        if link.kind == "bridge":
            bridges.append(Link(name, "bridge", "", segments.get(name, ""), ""))
        elif link.kind == "veth":
            segment, replica = segments.get(link.master or "", ""), replicas.get(name, "")
            host_ends.append(Link(name, "host end", "", segment, replica))
    segment_of = {end.replica: end.segment for end in host_ends}
    inside_ends = [
        Link(link, "inside", str(netns.PINS / name), segment_of.get(name, ""), name)
        for name, namespace in namespaces.items()
        for link in namespace.links
        if link != "lo"
    ]
    by_segment = {segment.name: place for place, segment in enumerate(plan.segments)}
    by_replica = {replica.name: place for place, replica in enumerate(plan.replicas)}
    return (
        *sorted(bridges, key=lambda link: by_segment.get(link.segment, len(by_segment))),
        *sorted(host_ends, key=lambda link: by_replica.get(link.replica, len(by_replica))),
        *sorted(inside_ends, key=lambda link: by_replica.get(link.replica, len(by_replica))),
    )
