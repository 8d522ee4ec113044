"""Hold segments, tiers and subnets against each other. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations

from twinstack.model.addressing import reserved_addresses
from twinstack.model.mistakes import Mistake, ValuePath, dotted, meant
from twinstack.model.names import segment_problem
from twinstack.model.topology import SegmentSpec, Topology

#: A bridge numbers its ports with ten bits, and none is number 0. Source: br_private.h (Linux).
BRIDGE_PORTS = 1023


def mistakes(topology: Topology) -> Iterator[Mistake]:
    """Find what contradicts itself in a segment, a shape or between shapes."""
    for path, segment in _segments(topology):
        if problem := segment_problem(str(path[-1])):
            yield Mistake(path, "cannot be named so", problem, "rename it", of_key=True)
        yield from _pool_mistakes(path, segment)
    yield from _tier_mistakes(topology)
    yield from _bridge_mistakes(topology)
    yield from _overlaps(topology)


def crowded_bridges(topology: Topology) -> list[Mistake]:
    """Find segments with more replicas than a bridge has ports."""
    replicas: Counter[str] = Counter()
    for spec in topology.services.values():
        replicas[spec.tier] += spec.replicas
    counts = [
        (path, sum(replicas[tier] for tier in segment.tiers))
        for path, segment in _segments(topology)
    ]
    cause, remedy = f"a bridge has {BRIDGE_PORTS} ports", "declare fewer, or further segments"
    return [
        Mistake(path, f"cannot hold {count} replicas", cause, remedy)
        for path, count in counts
        if count > BRIDGE_PORTS
    ]


def _segments(topology: Topology) -> Iterator[tuple[ValuePath, SegmentSpec]]:
    for shape_name, shape in topology.shapes.items():
        for name, segment in shape.segments.items():
            yield ("shapes", shape_name, "segments", name), segment


def _pool_mistakes(path: ValuePath, segment: SegmentSpec) -> Iterator[Mistake]:
    if segment.pool is None:
        return
    (first, last), subnet, judged_by = segment.pool, segment.subnet, ((*path, "subnet"),)
    cause = ""
    if first not in subnet or last not in subnet:
        cause = f"it is outside {subnet}"
    elif any(first <= address <= last for address in reserved_addresses(subnet)):
        cause = f"it holds a reserved address of {subnet}: its first two or last"
    if cause:
        failure, remedy = f"cannot be {first}-{last}", "choose another within the subnet"
        yield Mistake((*path, "pool"), failure, cause, remedy, judged_by)


def _tier_mistakes(topology: Topology) -> Iterator[Mistake]:
    """Find tiers in two segments of a shape, or in none of some shape or of all."""
    members: dict[str, list[str]] = {}
    for service, spec in topology.services.items():
        members.setdefault(spec.tier, []).append(service)
    homes: dict[str, dict[str, ValuePath]] = {shape: {} for shape in topology.shapes}
    for path, segment in _segments(topology):
        held, name = homes[str(path[1])], (*path, "tiers")
        for index, tier in enumerate(segment.tiers):
            if (home := held.setdefault(tier, name)) != name:
                failure, cause = f"cannot hold {tier}", f"{home[3]} holds it already"
                yield Mistake((*name, index), failure, cause, "give each tier one segment", (home,))
    every = {tier: None for held in homes.values() for tier in held}
    holders = tuple((*path, "tiers") for path, _ in _segments(topology))
    for tier, services in members.items():
        if tier not in every:  # a misspelling is one mistake, not one for each shape
            for service in services:
                failure, remedy = f"{tier!r} is no tier", f"there are {', '.join(every)}"
                path = ("services", service, "tier")
                yield Mistake(
                    path, failure, "no segment holds it", meant(tier, every, remedy), holders
                )
            continue
        for shape in (shape for shape, held in homes.items() if tier not in held):
            yield Mistake(
                ("shapes", shape, "segments"),
                f"no segment holds the tier {tier}",
                f"{services[0]} is in it",
                f"add {tier} to the tiers of a segment",
                (
                    ("services", services[0], "tier"),
                    *(path for path in holders if path[1] == shape),
                ),
                of_key=True,
            )


def _bridge_mistakes(topology: Topology) -> Iterator[Mistake]:
    underlay: ValuePath = ("hosts", "bridge")
    owners: dict[tuple[str | int, str], ValuePath] = {
        (shape, topology.hosts.bridge): underlay for shape in topology.shapes
    }
    for segment_path, segment in _segments(topology):
        path = (*segment_path, "bridge")
        if (owner := owners.setdefault((path[1], segment.bridge), path)) != path:
            failure, cause = f"{segment.bridge} is used twice", f"{dotted(owner)} has it"
            yield Mistake(path, failure, cause, "name another bridge", (owner,))


def _overlaps(topology: Topology) -> Iterator[Mistake]:
    """Find subnets that meet: two of one shape, or of what may be up at once."""
    subnets: list[tuple[ValuePath, IPv4Network]] = [
        ((*path, key), getattr(segment, key))
        for path, segment in _segments(topology)
        for key in ("subnet", "docker_subnet")
    ]
    subnets.append((("hosts", "underlay"), topology.hosts.underlay))
    for (path, subnet), (other_path, other) in combinations(subnets, 2):
        # Of two shapes only one is up in a world, and so only one of their subnets.
        apart = path[0] == other_path[0] and path[1] != other_path[1] and path[-1] == other_path[-1]
        if subnet.overlaps(other) and not apart:
            relation = "is the same as" if subnet == other else "overlaps"
            failure = f"{other} {relation} {dotted(path)} ({subnet})"
            yield Mistake(
                other_path, failure, "", "declare subnets that do not overlap", judged_by=(path,)
            )
