"""Hold the values of a topology against each other, and put each mistake into words. Pure.

`mistakes` checks a well-formed `Topology`; `form_mistake` turns one of pydantic's reports into
a line with the path to the value and the remedy.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations
from typing import Any

from twinstack.errors import TwinstackError
from twinstack.model import addressing, placement
from twinstack.model.names import PEERS, replica_name
from twinstack.model.topology import Topology

#: A bridge numbers its ports with ten bits, and none is number 0. Source: br_private.h (Linux).
BRIDGE_PORTS = 1023
_BOUNDS = {
    "greater_than_equal": "at least",
    "less_than_equal": "at most",
    "greater_than": "more than",
    "less_than": "less than",
}


def form_mistake(report: dict[str, Any]) -> TwinstackError:
    """Put one of pydantic's error reports into our form."""
    path = ".".join(str(part) for part in report["loc"] if part != "[key]")
    kind, context, value = report["type"], report.get("ctx", {}), report.get("input")
    cause = str(context.get("error", report["msg"]))
    if report["loc"] and report["loc"][-1] == "[key]":
        return TwinstackError(path, "cannot be named so", cause, "rename it")
    if kind == "extra_forbidden":
        return TwinstackError(path, "is not a known key", "", "remove it, or correct its spelling")
    if kind == "missing":
        return TwinstackError(path, "is missing", "", "add it")
    if kind == "value_error":
        return TwinstackError(path, "cannot be used", cause, "correct the value")
    if kind in _BOUNDS:
        bound = f"{_BOUNDS[kind]} {next(iter(context.values()))}"
        return TwinstackError(path, f"{value!r} is out of range", "", f"use {bound}")
    shown = "" if isinstance(value, (dict, list)) else f"{value!r} "
    message = report["msg"][0].lower() + report["msg"][1:]
    return TwinstackError(path, f"{shown}cannot be used", message, "correct the value")


def mistakes(topology: Topology) -> list[TwinstackError]:
    """Find every contradiction in a well-formed topology."""
    found = [
        *_replica_name_mistakes(topology),
        *_tier_mistakes(topology),
        *_bridge_mistakes(topology),
        *_overlaps(topology),
        *addressing.mistakes(topology),
        *_flow_mistakes(topology),
        *_host_port_mistakes(topology),
        *placement.mistakes(topology),
    ]
    found += [] if found else _crowded_bridges(topology)
    # Host numbers exist only once every tier has its segment and every replica its address.
    return found or list(addressing.host_number_mistakes(topology))


def _replica_name_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    owners: dict[str, str] = {}
    for service, spec in topology.services.items():
        for number in range(1, spec.replicas + 1):
            replica = replica_name(service, number)
            if (owner := owners.setdefault(replica, service)) != service:
                cause = f"{replica} would also be a replica of {owner}"
                yield TwinstackError(
                    f"services.{service}", "cannot be named so", cause, "rename it"
                )


def _tier_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    services = {spec.tier: service for service, spec in topology.services.items()}
    for shape_name, shape in topology.shapes.items():
        path = f"shapes.{shape_name}.segments"
        homes: dict[str, str] = {}
        for name, segment in shape.segments.items():
            for tier in segment.tiers:
                if (home := homes.setdefault(tier, name)) != name:
                    failure, cause = f"cannot hold {tier}", f"{home} holds it already"
                    remedy = "give each tier one segment"
                    yield TwinstackError(f"{path}.{name}.tiers", failure, cause, remedy)
        for tier, service in services.items():
            if tier not in homes:
                failure = f"{tier} has no segment in shape {shape_name}"
                remedy = f"add {tier} to the tiers of a segment of {path}"
                yield TwinstackError(f"services.{service}.tier", failure, "", remedy)


def _bridge_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    for shape_name, shape in topology.shapes.items():
        owners: dict[str, str] = {topology.hosts.bridge: "hosts.bridge"}
        for name, segment in shape.segments.items():
            path = f"shapes.{shape_name}.segments.{name}.bridge"
            if (owner := owners.setdefault(segment.bridge, path)) != path:
                failure = f"{segment.bridge} is used twice"
                yield TwinstackError(path, failure, f"{owner} has it", "name another bridge")


def _crowded_bridges(topology: Topology) -> Iterator[TwinstackError]:
    """Find segments with more replicas than a bridge has ports."""
    replicas: Counter[str] = Counter()
    for spec in topology.services.values():
        replicas[spec.tier] += spec.replicas
    for shape_name, shape in topology.shapes.items():
        for name, segment in shape.segments.items():
            count = sum(replicas[tier] for tier in segment.tiers)
            if count > BRIDGE_PORTS:
                path = f"shapes.{shape_name}.segments.{name}"
                failure = f"cannot hold {count} replicas"
                cause = f"a bridge has {BRIDGE_PORTS} ports"
                yield TwinstackError(path, failure, cause, "declare fewer, or further segments")


def _overlaps(topology: Topology) -> Iterator[TwinstackError]:
    """Find subnets that meet: two of one shape, or of what may be up at once."""
    subnets: list[tuple[str, str, str, IPv4Network]] = [
        (shape_name, key, f"shapes.{shape_name}.segments.{name}.{key}", getattr(segment, key))
        for shape_name, shape in topology.shapes.items()
        for name, segment in shape.segments.items()
        for key in ("subnet", "docker_subnet")
    ]
    subnets.append(("", "underlay", "hosts.underlay", topology.hosts.underlay))
    for (shape, key, path, subnet), (other_shape, other_key, other_path, other) in combinations(
        subnets, 2
    ):
        if subnet.overlaps(other) and (shape == other_shape or key != other_key):
            relation = "is the same as" if subnet == other else "overlaps"
            failure = f"{other} {relation} {path} ({subnet})"
            remedy = "declare subnets that do not overlap"
            yield TwinstackError(other_path, failure, "", remedy)


def _flow_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    known = [*topology.services, *sorted(PEERS)]
    seen: set[tuple[str, str, str, int | None]] = set()
    for index, flow in enumerate(topology.flows):
        path = f"flows.{index}"
        for key, name in (("from", flow.source), ("to", flow.destination)):
            if name not in known or (key == "to" and name in PEERS):
                close = difflib.get_close_matches(name, known, n=1)
                remedy = f"did you mean {close[0]}?" if close else "name a service of this file"
                yield TwinstackError(f"{path}.{key}", f"{name!r} is no service", "", remedy)
        spec = topology.services.get(flow.destination)
        own = spec.port if spec and flow.protocol == "tcp" else None
        identity = (flow.source, flow.destination, flow.protocol, flow.port or own)
        if identity in seen:
            failure = f"{flow.source} to {flow.destination} is declared twice"
            yield TwinstackError(path, failure, "", "remove one")
        seen.add(identity)
        if flow.protocol == "udp" and flow.port is None:
            cause = "a service's own port is TCP's"
            yield TwinstackError(f"{path}.port", "is missing", cause, "name the UDP port")


def _host_port_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    owners: dict[int, str] = {}
    for index, published in enumerate(topology.host_ports):
        path = f"host_ports.{index}"
        if published.service not in topology.services:
            failure, remedy = f"{published.service!r} is no service", "name a service of this file"
            yield TwinstackError(f"{path}.service", failure, "", remedy)
        if (owner := owners.setdefault(published.port, path)) != path:
            failure = f"{published.port} is used twice"
            yield TwinstackError(f"{path}.port", failure, f"{owner} has it", "choose another port")
