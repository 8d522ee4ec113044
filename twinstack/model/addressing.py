"""The address plan: each replica's host number, decided once and checked for every shape. Pure.

Addresses are declared for one shape. A replica's *host number* is the distance of its address from
the start of that subnet. It keeps the number in every other shape and in the Docker world.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from twinstack.errors import WrongUse
from twinstack.model.mistakes import Mistake, ValuePath
from twinstack.model.topology import SegmentSpec, Topology

#: The shape that addresses are declared for, or else the first one.
_ADDRESSED_SHAPE = "flat"
#: Instances other than main get Docker subnets and ports of their own, this far apart.
_INSTANCE_SUBNETS = 8
_INSTANCE_PORTS = 10


def reserved_addresses(subnet: IPv4Network) -> tuple[IPv4Address, ...]:
    """Give a subnet's network address, its gateway and its broadcast address."""
    first = subnet.network_address
    return first, first + 1, subnet.broadcast_address


def addressed_segments(topology: Topology) -> dict[str, SegmentSpec]:
    """Map each tier to the segment of its services' declared addresses."""
    shapes = topology.shapes
    shape = shapes.get(_ADDRESSED_SHAPE) or next(iter(shapes.values()))
    return {tier: segment for segment in shape.segments.values() for tier in segment.tiers}


def host_numbers(topology: Topology) -> dict[str, list[int]]:
    """Map each service to its replicas' host numbers: of declared addresses, then of the pool.

    Needs a topology without mistakes.
    """
    homes = addressed_segments(topology)
    pools = {segment.bridge: iter(_free(topology, segment)) for segment in homes.values()}
    numbers: dict[str, list[int]] = {}
    for name, spec in topology.services.items():
        segment = homes[spec.tier]
        own = list(spec.addresses[: spec.replicas])
        own += [next(pools[segment.bridge]) for _ in range(spec.replicas - len(own))]
        start = int(segment.subnet.network_address)
        numbers[name] = [int(address) - start for address in own]
    return numbers


def _free(topology: Topology, segment: SegmentSpec) -> Iterator[IPv4Address]:
    """Give the addresses of a segment's pool that no service declares."""
    declared = {address for spec in topology.services.values() for address in spec.addresses}
    first, last = segment.pool or (IPv4Address(1), IPv4Address(0))
    for value in range(int(first), int(last) + 1):
        if (address := IPv4Address(value)) not in declared:
            yield address


def mistakes(topology: Topology) -> Iterator[Mistake]:
    """Find addresses that cannot be used, and pools that are too small."""
    homes = addressed_segments(topology)
    owners: dict[IPv4Address, ValuePath] = {}
    extra: Counter[str] = Counter()
    judged_by: dict[str, list[ValuePath]] = {}  # bridge → what decides which addresses are free
    for name, spec in topology.services.items():
        own: ValuePath = ("services", name)
        segment = homes.get(spec.tier)
        given_by = [] if segment is None else [(*own, "tier"), *_given_by(topology, segment)]
        for index, address in enumerate(spec.addresses):
            path = (*own, "addresses", index)
            if segment is not None:
                yield from _address_mistakes(path, address, segment.subnet, tuple(given_by))
            if (owner := owners.setdefault(address, path)) != path:
                failure, cause = f"{address} is used twice", f"services.{owner[1]} has it"
                remedy = "give each replica an address of its own"
                yield Mistake(path, failure, cause, remedy, (owner,))
        if segment is None:
            continue
        rivals = judged_by.setdefault(segment.bridge, [])
        rivals += [*given_by, (*own, "addresses"), (*own, "replicas")]
        missing = max(spec.replicas - len(spec.addresses), 0)
        extra[segment.bridge] += missing
        free = sum(1 for _ in _free(topology, segment)) if missing else 0
        if missing and extra[segment.bridge] > free:
            yield Mistake(
                (*own, "replicas"),
                f"{extra[segment.bridge]} replicas have no address",
                f"the pool of {segment.bridge} has {free} free",
                "declare addresses, or a larger subnet and pool",
                tuple(rivals),
            )


def _given_by(topology: Topology, segment: SegmentSpec) -> list[ValuePath]:
    """Give the paths of what says which addresses a segment has."""
    return [
        ("shapes", shape_name, "segments", name, key)
        for shape_name, shape in topology.shapes.items()
        for name, found in shape.segments.items()
        if found is segment
        for key in ("tiers", "subnet", "pool")
    ]


def _address_mistakes(
    path: ValuePath, address: IPv4Address, subnet: IPv4Network, judged_by: tuple[ValuePath, ...]
) -> Iterator[Mistake]:
    if address not in subnet:
        failure, remedy = f"{address} is outside {subnet}", f"use an address in {subnet}"
        yield Mistake(path, failure, "", remedy, judged_by)
    elif address in reserved_addresses(subnet):
        cause = f"it is the network's, the gateway's or the broadcast address of {subnet}"
        yield Mistake(path, f"{address} is reserved", cause, "use another address", judged_by)


def host_number_mistakes(topology: Topology) -> Iterator[Mistake]:
    """Find host numbers that do not fit, or meet, in another shape or in Docker's networks.

    One line for each subnet or service. Needs a topology without other mistakes.
    """
    numbers = host_numbers(topology)
    for shape_name, shape in topology.shapes.items():
        for name, segment in shape.segments.items():
            members = {
                service: numbers[service]
                for service, spec in topology.services.items()
                if spec.tier in segment.tiers
            }
            path = ("shapes", shape_name, "segments", name)
            for key in ("subnet", "docker_subnet"):
                yield from _too_small((*path, key), getattr(segment, key), members)
            yield from _meeting(shape_name, members)


def _too_small(
    path: ValuePath, subnet: IPv4Network, members: Mapping[str, Sequence[int]]
) -> Iterator[Mistake]:
    last, service = max(((max(own), name) for name, own in members.items()), default=(0, ""))
    if last >= subnet.num_addresses - 1:
        cause = f"{service} has host number {last} in it"
        yield Mistake(path, f"{subnet} is too small", cause, "declare a larger one")


def _meeting(shape: str, members: Mapping[str, Sequence[int]]) -> Iterator[Mistake]:
    owners: dict[int, str] = {}
    for service, numbers in members.items():
        met = [number for number in numbers if owners.setdefault(number, service) != service]
        if met:
            yield Mistake(
                ("services", service, "addresses"),
                "cannot be used",
                f"in shape {shape} {owners[met[0]]} has the same host number, {met[0]}",
                "declare addresses that have different host numbers in their subnets",
            )


def _instance_offset(instance: str) -> int:
    """Give 0 for main and 1 to 30 for any other instance, the same at every run."""
    return 0 if instance == "main" else 1 + zlib.crc32(instance.encode()) % 30


def shifted_subnet(subnet: IPv4Network, instance: str) -> IPv4Network:
    """Give an instance's own Docker subnet. Raises: TwinstackError when there is none."""
    apart = max(_INSTANCE_SUBNETS * 256, subnet.num_addresses)
    start = int(subnet.network_address) + _instance_offset(instance) * apart
    if start + subnet.num_addresses > 1 << 32:
        cause = f"its offset from {subnet} leaves IPv4"
        remedy = "declare a lower docker_subnet, or choose another instance name"
        raise WrongUse(f"instance {instance}", "has no Docker subnet", cause, remedy)
    return IPv4Network((start, subnet.prefixlen))


def shifted_port(port: int, world: str, instance: str) -> int:
    """Give an instance's own port of the host. Raises: TwinstackError when there is none."""
    if world == "net":  # two namespace worlds never share a host: their bridges have one name
        return port
    shifted = port + _instance_offset(instance) * _INSTANCE_PORTS
    if shifted > 65535:
        failure, cause = f"has no port for {port}", f"{shifted} is above 65535"
        remedy = "declare a lower host port, or choose another instance name"
        raise WrongUse(f"instance {instance}", failure, cause, remedy)
    return shifted
