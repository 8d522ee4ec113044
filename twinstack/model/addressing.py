"""Which replica has which place in its subnet, decided once and checked for every shape; pure.

Addresses are declared for one shape; a replica's *place* is its distance from the start of that
subnet, and it keeps its place in every other shape and in the Docker world.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from twinstack.errors import TwinstackError
from twinstack.model.topology import SegmentSpec, Topology

#: The shape that addresses are declared for, or else the first one.
_ADDRESSED_SHAPE = "flat"
#: Instances other than main get Docker subnets and ports of their own, this far apart.
_INSTANCE_SUBNETS = 8
_INSTANCE_PORTS = 10


def flat_segments(topology: Topology) -> dict[str, SegmentSpec]:
    """Map each tier to the segment whose subnet its services' declared addresses lie in."""
    shapes = topology.shapes
    shape = shapes.get(_ADDRESSED_SHAPE) or next(iter(shapes.values()))
    return {tier: segment for segment in shape.segments.values() for tier in segment.tiers}


def places(topology: Topology) -> dict[str, list[int]]:
    """Give each service as many places as it has replicas: its own, then the pool's.

    Needs a topology without mistakes.
    """
    homes = flat_segments(topology)
    used = {address for spec in topology.services.values() for address in spec.addresses}
    pools: dict[str, Iterator[IPv4Address]] = {}
    chosen: dict[str, list[int]] = {}
    for name, spec in topology.services.items():
        segment = homes[spec.tier]
        if segment.bridge not in pools:
            pools[segment.bridge] = _free(segment, used)
        own = list(spec.addresses[: spec.replicas])
        own += [next(pools[segment.bridge]) for _ in range(spec.replicas - len(own))]
        start = int(segment.subnet.network_address)
        chosen[name] = [int(address) - start for address in own]
    return chosen


def mistakes(topology: Topology) -> Iterator[TwinstackError]:
    """Find addresses and pools that cannot be had."""
    yield from _address_mistakes(topology)
    yield from _pool_mistakes(topology)


def _free(segment: SegmentSpec, used: set[IPv4Address]) -> Iterator[IPv4Address]:
    if segment.pool:
        first, last = (int(end) for end in segment.pool)
        for value in range(first, last + 1):
            if IPv4Address(value) not in used:
                yield IPv4Address(value)


def reserved(subnet: IPv4Network) -> tuple[IPv4Address, ...]:
    """Give a network's own addresses: its name, the gateway's, the broadcast."""
    first = subnet.network_address
    return first, first + 1, subnet.broadcast_address


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
            if address not in subnet:
                yield TwinstackError(
                    path, f"{address} is outside {subnet}", "", f"use an address in {subnet}"
                )
            elif address in reserved(subnet):
                yield TwinstackError(
                    path,
                    f"{address} is reserved",
                    f"it is the network's own in {subnet}",
                    "use another address",
                )
            if address in used:
                yield TwinstackError(
                    path,
                    f"{address} is used twice",
                    f"{used[address]} has it",
                    "give each replica an address of its own",
                )
            used[address] = f"services.{name}"


def _pool_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    used = {address for spec in topology.services.values() for address in spec.addresses}
    for shape_name, shape in topology.shapes.items():
        for name, segment in shape.segments.items():
            path = f"shapes.{shape_name}.segments.{name}.pool"
            if segment.pool and not all(end in segment.subnet for end in segment.pool):
                yield TwinstackError(
                    path,
                    f"{segment.pool[0]}-{segment.pool[1]} cannot be used",
                    f"it is outside {segment.subnet}",
                    "keep the pool inside the subnet",
                )
            elif segment.pool and any(
                segment.pool[0] <= one <= segment.pool[1] for one in reserved(segment.subnet)
            ):
                yield TwinstackError(
                    path,
                    f"{segment.pool[0]}-{segment.pool[1]} cannot be used",
                    f"it holds an address of the network's own in {segment.subnet}",
                    "leave out the first two addresses and the last",
                )
    wanted: dict[str, tuple[SegmentSpec, int, str]] = {}
    homes = flat_segments(topology)
    for name, service in topology.services.items():
        home = homes.get(service.tier)
        extra = service.replicas - len(service.addresses)
        if home is not None and extra > 0:
            count = wanted.get(home.bridge, (home, 0, name))[1]
            wanted[home.bridge] = (home, count + extra, name)
    for home, count, name in wanted.values():
        free = sum(1 for _ in _free(home, used))
        if count > free:
            yield TwinstackError(
                f"services.{name}.replicas",
                f"{count} replicas have no address",
                f"the pool of {home.bridge} has {free} free",
                "declare addresses, or a larger subnet and pool",
            )


def place_mistakes(topology: Topology) -> Iterator[TwinstackError]:
    """Find places that do not fit, or meet, in another shape or in Docker's networks.

    One line for each subnet or service. Needs a topology without other mistakes.
    """
    chosen = places(topology)
    for shape_name, shape in topology.shapes.items():
        for name, segment in shape.segments.items():
            here = {
                service: chosen[service]
                for service, spec in topology.services.items()
                if spec.tier in segment.tiers
            }
            path = f"shapes.{shape_name}.segments.{name}"
            for key in ("subnet", "docker_subnet"):
                yield from _too_small(f"{path}.{key}", getattr(segment, key), here)
            yield from _meeting(shape_name, here)


def _too_small(
    path: str, subnet: IPv4Network, here: dict[str, list[int]]
) -> Iterator[TwinstackError]:
    last = {service: max(chosen) for service, chosen in here.items()}
    furthest = max(last, key=lambda service: last[service], default=None)
    if furthest is not None and last[furthest] >= subnet.num_addresses - 1:
        yield TwinstackError(
            path,
            f"{subnet} is too small",
            f"{furthest} has place {last[furthest]} in it",
            "declare a larger one",
        )


def _meeting(shape: str, here: dict[str, list[int]]) -> Iterator[TwinstackError]:
    taken: dict[int, str] = {}
    for service, chosen in here.items():
        met = [place for place in chosen if taken.setdefault(place, service) != service]
        if met:
            yield TwinstackError(
                f"services.{service}.addresses",
                "cannot be used",
                f"in shape {shape} {taken[met[0]]} has the same place, {met[0]}",
                "declare addresses whose places in their subnets differ",
            )


def _instance_offset(instance: str) -> int:
    """Give 0 for main and 1 to 30 for any other instance, the same at every run."""
    return 0 if instance == "main" else 1 + zlib.crc32(instance.encode()) % 30


def shifted_subnet(subnet: IPv4Network, instance: str) -> IPv4Network:
    """Give an instance's own Docker subnet. Raises: TwinstackError when there is none."""
    apart = max(_INSTANCE_SUBNETS * 256, subnet.num_addresses)
    start = int(subnet.network_address) + _instance_offset(instance) * apart
    if start + subnet.num_addresses > 1 << 32:
        raise TwinstackError(
            f"instance {instance}",
            "has no Docker subnet",
            f"there is none so far after {subnet}",
            "declare a docker_subnet lower down, or name the instance otherwise",
        )
    return IPv4Network((start, subnet.prefixlen))


def shifted_port(port: int, world: str, instance: str) -> int:
    """Give an instance's own port of the host. Raises: TwinstackError when there is none."""
    if world == "net":  # two namespace worlds never share a host: their bridges have one name
        return port
    shifted = port + _instance_offset(instance) * _INSTANCE_PORTS
    if shifted > 65535:
        raise TwinstackError(
            f"instance {instance}",
            f"has no port for {port}",
            f"{shifted} is none",
            "declare a lower host port, or name the instance otherwise",
        )
    return shifted
