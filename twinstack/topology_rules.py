"""What the values of a topology must say of each other, and how a mistake is put into words.

`mistakes` checks a well-formed `Topology`; `form_mistake` turns one of pydantic's reports into
a line with the path to the value and the remedy. Both are pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from typing import TYPE_CHECKING, Any

from twinstack.errors import TwinstackError
from twinstack.names import service_problem

if TYPE_CHECKING:
    from twinstack.topology import SegmentSpec, ShapeSpec, Topology

OUTSIDE = frozenset({"world", "host"})
_ADDRESSED_SHAPE = "flat"


def form_mistake(report: dict[str, Any]) -> TwinstackError:
    """Put one of pydantic's error reports into our form."""
    place = ".".join(str(part) for part in report["loc"])
    kind, context = report["type"], report.get("ctx", {})
    value = report.get("input")
    if kind == "extra_forbidden":
        return TwinstackError(place, "is not a known key", "", "remove it, or mend its spelling")
    if kind == "missing":
        return TwinstackError(place, "is missing", "", "add it")
    if kind == "value_error":
        cause = str(context.get("error", report["msg"]))
        return TwinstackError(place, "cannot be used", cause, "mend the value")
    if kind in {"greater_than_equal", "less_than_equal", "greater_than", "less_than"}:
        bound = next(iter(context.values()))
        words = {"greater_than_equal": "at least", "less_than_equal": "at most",
                 "greater_than": "more than", "less_than": "less than"}[kind]  # fmt: skip
        return TwinstackError(place, f"{value!r} is out of range", "", f"use {words} {bound}")
    message = report["msg"][0].lower() + report["msg"][1:]
    shown = "" if isinstance(value, (dict, list)) else f"{value!r} "
    return TwinstackError(place, f"{shown}cannot be used", message, "mend the value")


def mistakes(topology: Topology) -> list[TwinstackError]:
    """Find every contradiction in a well-formed topology."""
    return [
        *_name_mistakes(topology),
        *_segment_mistakes(topology),
        *_address_mistakes(topology),
        *_flow_mistakes(topology),
        *_host_port_mistakes(topology),
    ]


def _name_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    for name in topology.services:
        if problem := service_problem(name):
            yield TwinstackError(f"services.{name}", "cannot be named so", problem, "rename it")
        elif name in OUTSIDE:
            yield TwinstackError(
                f"services.{name}", "cannot be named so", f"{name!r} stands for a peer outside",
                "rename it",
            )  # fmt: skip
    replicas: dict[str, str] = {}
    for name, service in topology.services.items():
        for number in range(1, service.replicas + 1):
            replica = name if number == 1 else f"{name}-{number}"
            if replicas.setdefault(replica, name) != name:
                yield TwinstackError(
                    f"services.{name}", "cannot be named so",
                    f"{replica} would also be a replica of {replicas[replica]}", "rename it",
                )  # fmt: skip


def _segment_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    tiers = {service.tier: name for name, service in topology.services.items()}
    for shape_name, shape in topology.shapes.items():
        path = f"shapes.{shape_name}.segments"
        homes: dict[str, str] = {}
        for name, segment in shape.segments.items():
            if problem := service_problem(name):
                yield TwinstackError(f"{path}.{name}", "cannot be named so", problem, "rename it")
            for tier in segment.tiers:
                if homes.setdefault(tier, name) != name:
                    yield TwinstackError(
                        f"{path}.{name}.tiers", f"cannot hold {tier}",
                        f"{homes[tier]} holds it already", "give each tier one segment",
                    )  # fmt: skip
            for key in ("subnet", "docker_subnet"):
                subnet: IPv4Network = getattr(segment, key)
                if subnet.prefixlen > 29:
                    yield TwinstackError(
                        f"{path}.{name}.{key}", f"{subnet} is too small",
                        "a gateway and a few services must fit", "use /29 or larger",
                    )  # fmt: skip
                elif not subnet.is_private or subnet.is_loopback or subnet.is_link_local:
                    yield TwinstackError(
                        f"{path}.{name}.{key}", f"{subnet} cannot be used",
                        "it is not a private network", "use one such as 10.0.0.0/24",
                    )  # fmt: skip
            if segment.pool and not all(end in segment.subnet for end in segment.pool):
                yield TwinstackError(
                    f"{path}.{name}.pool", f"{segment.pool[0]}-{segment.pool[1]} cannot be used",
                    f"it is outside {segment.subnet}", "keep the pool inside the subnet",
                )  # fmt: skip
        for tier, service in tiers.items():
            if tier not in homes:
                yield TwinstackError(
                    f"services.{service}.tier", f"{tier} has no segment in shape {shape_name}",
                    "", f"add {tier} to the tiers of a segment of {path}",
                )  # fmt: skip
        yield from _overlaps(path, shape)
        bridges: dict[str, str] = {}
        for name, segment in shape.segments.items():
            if bridges.setdefault(segment.bridge, name) != name:
                yield TwinstackError(
                    f"{path}.{name}.bridge", f"{segment.bridge} is used twice",
                    f"{bridges[segment.bridge]} has it", "name another bridge",
                )  # fmt: skip


def _overlaps(path: str, shape: ShapeSpec) -> Iterator[TwinstackError]:
    subnets = [
        (f"{name}.{key}", getattr(segment, key))
        for name, segment in shape.segments.items()
        for key in ("subnet", "docker_subnet")
    ]
    for (first, one), (second, other) in combinations(subnets, 2):
        if one.overlaps(other):
            relation = "is the same as" if one == other else "overlaps"
            yield TwinstackError(
                f"{path}.{second}", f"{other} {relation} {path}.{first} ({one})", "",
                "declare subnets that do not overlap",
            )  # fmt: skip


def flat_segments(topology: Topology) -> dict[str, SegmentSpec]:
    """Map each tier to the segment whose subnet the declared addresses lie in.

    Addresses are declared once, for the shape named flat or else for the first one.
    """
    shapes = topology.shapes
    shape = shapes.get(_ADDRESSED_SHAPE) or next(iter(shapes.values()))
    return {tier: segment for segment in shape.segments.values() for tier in segment.tiers}


def _address_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    homes = flat_segments(topology)
    used: dict[IPv4Address, str] = {}
    for name, service in topology.services.items():
        segment = homes.get(service.tier)
        if segment is None:
            continue
        subnet = segment.subnet
        for index, address in enumerate(service.addresses):
            path = f"services.{name}.addresses.{index}"
            first = subnet.network_address
            reserved = (first, first + 1, subnet.broadcast_address)
            if address not in subnet:
                yield TwinstackError(
                    path, f"{address} is outside {subnet}", "", f"use an address in {subnet}"
                )
            elif address in reserved:
                yield TwinstackError(
                    path, f"{address} is reserved", f"it is the network's own in {subnet}",
                    "use another address",
                )  # fmt: skip
            if address in used:
                yield TwinstackError(
                    path, f"{address} is used twice", f"{used[address]} has it",
                    "give each replica an address of its own",
                )  # fmt: skip
            used[address] = f"services.{name}"
    yield from _pool_mistakes(topology, set(used))


def _pool_mistakes(topology: Topology, used: set[IPv4Address]) -> Iterator[TwinstackError]:
    homes = flat_segments(topology)
    wanted: dict[str, tuple[SegmentSpec, int, str]] = {}
    for name, service in topology.services.items():
        segment = homes.get(service.tier)
        extra = service.replicas - len(service.addresses)
        if segment is None or extra <= 0:
            continue
        count = wanted.get(segment.bridge, (segment, 0, name))[1]
        wanted[segment.bridge] = (segment, count + extra, name)
    for segment, count, name in wanted.values():
        free = 0
        if segment.pool:
            first, last = (int(end) for end in segment.pool)
            free = last - first + 1 - sum(first <= int(address) <= last for address in used)
        if count > free:
            yield TwinstackError(
                f"services.{name}.replicas", f"{count} replicas have no address",
                f"the pool of {segment.bridge} has {free} free",
                "declare addresses, or a larger subnet and pool",
            )  # fmt: skip


def _flow_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    known = [*topology.services, *sorted(OUTSIDE)]
    seen: set[tuple[str, str]] = set()
    for index, flow in enumerate(topology.flows):
        for key, name in (("from", flow.source), ("to", flow.destination)):
            if name not in known or (key == "to" and name in OUTSIDE):
                close = difflib.get_close_matches(name, known, n=1)
                remedy = f"did you mean {close[0]}?" if close else "name a service of this file"
                yield TwinstackError(f"flows.{index}.{key}", f"{name!r} is no service", "", remedy)
        pair = (flow.source, flow.destination)
        if pair in seen:
            yield TwinstackError(
                f"flows.{index}", f"{pair[0]} to {pair[1]} is declared twice", "", "remove one"
            )
        seen.add(pair)


def _host_port_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    taken: dict[int, int] = {}
    for index, door in enumerate(topology.host_ports):
        if door.service not in topology.services:
            yield TwinstackError(
                f"host_ports.{index}.service", f"{door.service!r} is no service", "",
                "name a service of this file",
            )  # fmt: skip
        if door.port in taken:
            yield TwinstackError(
                f"host_ports.{index}.port", f"{door.port} is used twice",
                f"host_ports.{taken[door.port]} has it", "choose another port",
            )  # fmt: skip
        taken[door.port] = index
