"""What the values of a topology must say of each other, and how a mistake is put into words.

`mistakes` checks a well-formed `Topology`; `form_mistake` turns one of pydantic's reports into
a line with the path to the value and the remedy. Both are pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations
from typing import Any

from twinstack.errors import TwinstackError
from twinstack.model import addressing, placement
from twinstack.model.names import service_problem
from twinstack.model.topology import Topology

#: Links that we name ourselves: ends of veth pairs, bridges of Docker networks, tunnels.
LINK_PREFIXES = ("ve-", "dk-", "vx-")
#: What a flow may name beside services.
PEERS = frozenset({"world", "host"})
#: Names that /proc/sys/net and every network namespace have already.
KERNEL_NAMES = {"all", "default", "lo"}
#: A bridge numbers its ports with ten bits, and none is number 0. Source: br_private.h (Linux).
BRIDGE_PORTS = 1023


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
        words = {
            "greater_than_equal": "at least",
            "less_than_equal": "at most",
            "greater_than": "more than",
            "less_than": "less than",
        }[kind]
        return TwinstackError(place, f"{value!r} is out of range", "", f"use {words} {bound}")
    message = report["msg"][0].lower() + report["msg"][1:]
    shown = "" if isinstance(value, (dict, list)) else f"{value!r} "
    return TwinstackError(place, f"{shown}cannot be used", message, "mend the value")


def mistakes(topology: Topology) -> list[TwinstackError]:
    """Find every contradiction in a well-formed topology."""
    found = [
        *_name_mistakes(topology),
        *_segment_mistakes(topology),
        *_overlaps(topology),
        *addressing.mistakes(topology),
        *_flow_mistakes(topology),
        *_host_port_mistakes(topology),
        *placement.mistakes(topology),
    ]
    found += [] if found else _crowds(topology)
    # Places can be told only once every tier has its segment and every replica its address.
    return found or list(addressing.place_mistakes(topology))


def _name_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    for name in topology.services:
        if problem := service_problem(name):
            yield TwinstackError(f"services.{name}", "cannot be named so", problem, "rename it")
        elif name in PEERS:
            yield TwinstackError(
                f"services.{name}",
                "cannot be named so",
                f"{name!r} stands for a peer outside",
                "rename it",
            )
    replicas: dict[str, str] = {}
    for name, service in topology.services.items():
        for number in range(1, service.replicas + 1):
            replica = name if number == 1 else f"{name}-{number}"
            if replicas.setdefault(replica, name) != name:
                yield TwinstackError(
                    f"services.{name}",
                    "cannot be named so",
                    f"{replica} would also be a replica of {replicas[replica]}",
                    "rename it",
                )


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
                        f"{path}.{name}.tiers",
                        f"cannot hold {tier}",
                        f"{homes[tier]} holds it already",
                        "give each tier one segment",
                    )
            for key in ("subnet", "docker_subnet"):
                subnet: IPv4Network = getattr(segment, key)
                if subnet.prefixlen > 29:
                    yield TwinstackError(
                        f"{path}.{name}.{key}",
                        f"{subnet} is too small",
                        "a gateway and a few services must fit",
                        "use /29 or larger",
                    )
                elif not subnet.is_private or subnet.is_loopback or subnet.is_link_local:
                    yield TwinstackError(
                        f"{path}.{name}.{key}",
                        f"{subnet} cannot be used",
                        "it is not a private network",
                        "use one such as 10.0.0.0/24",
                    )
        for tier, service in tiers.items():
            if tier not in homes:
                yield TwinstackError(
                    f"services.{service}.tier",
                    f"{tier} has no segment in shape {shape_name}",
                    "",
                    f"add {tier} to the tiers of a segment of {path}",
                )
        bridges: dict[str, str] = {}
        for name, segment in shape.segments.items():
            if segment.bridge in KERNEL_NAMES:
                yield TwinstackError(
                    f"{path}.{name}.bridge",
                    f"{segment.bridge} cannot be used",
                    "the kernel means something else by it",
                    "name another bridge",
                )
            if segment.bridge.startswith(LINK_PREFIXES):
                yield TwinstackError(
                    f"{path}.{name}.bridge",
                    f"{segment.bridge} cannot be used",
                    f"links of our own begin with {', '.join(LINK_PREFIXES)}",
                    "name another bridge",
                )
            if bridges.setdefault(segment.bridge, name) != name:
                yield TwinstackError(
                    f"{path}.{name}.bridge",
                    f"{segment.bridge} is used twice",
                    f"{bridges[segment.bridge]} has it",
                    "name another bridge",
                )


def _crowds(topology: Topology) -> Iterator[TwinstackError]:
    """Find segments with more replicas than a bridge has ports."""
    for shape_name, shape in topology.shapes.items():
        for name, segment in shape.segments.items():
            here = [one for one in topology.services.values() if one.tier in segment.tiers]
            count = sum(one.replicas for one in here)
            if count > BRIDGE_PORTS:
                yield TwinstackError(
                    f"shapes.{shape_name}.segments.{name}",
                    f"cannot hold {count} replicas",
                    f"a bridge has {BRIDGE_PORTS} ports",
                    "declare fewer, or further segments",
                )


def _overlaps(topology: Topology) -> Iterator[TwinstackError]:
    """Find subnets that meet: two of one shape, or the two worlds' (both may be up at once)."""
    subnets = [
        (shape_name, key, f"shapes.{shape_name}.segments.{name}.{key}", getattr(segment, key))
        for shape_name, shape in topology.shapes.items()
        for name, segment in shape.segments.items()
        for key in ("subnet", "docker_subnet")
    ]
    for (shape, key, first, one), (other_shape, other_key, second, other) in combinations(
        subnets, 2
    ):
        if one.overlaps(other) and (shape == other_shape or key != other_key):
            relation = "is the same as" if one == other else "overlaps"
            yield TwinstackError(
                second,
                f"{other} {relation} {first} ({one})",
                "",
                "declare subnets that do not overlap",
            )


def _flow_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    known = [*topology.services, *sorted(PEERS)]
    seen: set[tuple[str, str, str, int | None]] = set()
    for index, flow in enumerate(topology.flows):
        for key, name in (("from", flow.source), ("to", flow.destination)):
            if name not in known or (key == "to" and name in PEERS):
                close = difflib.get_close_matches(name, known, n=1)
                remedy = f"did you mean {close[0]}?" if close else "name a service of this file"
                yield TwinstackError(f"flows.{index}.{key}", f"{name!r} is no service", "", remedy)
        there = topology.services.get(flow.destination)
        own = there.port if there and flow.protocol == "tcp" else None
        asked = (flow.source, flow.destination, flow.protocol, flow.port or own)
        if asked in seen:
            yield TwinstackError(
                f"flows.{index}", f"{asked[0]} to {asked[1]} is declared twice", "", "remove one"
            )
        seen.add(asked)
        if flow.protocol == "udp" and flow.port is None:
            yield TwinstackError(
                f"flows.{index}.port",
                "is missing",
                "a service's own port is TCP's",
                "name the UDP port",
            )


def _host_port_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    taken: dict[int, int] = {}
    for index, door in enumerate(topology.host_ports):
        if door.service not in topology.services:
            yield TwinstackError(
                f"host_ports.{index}.service",
                f"{door.service!r} is no service",
                "",
                "name a service of this file",
            )
        if door.port in taken:
            yield TwinstackError(
                f"host_ports.{index}.port",
                f"{door.port} is used twice",
                f"host_ports.{taken[door.port]} has it",
                "choose another port",
            )
        taken[door.port] = index
