"""Which hosts there are and which replica is on which, decided once and checked; pure.

A replica that nobody placed goes round the hosts, each service starting one host further, so
that a service's replicas are on different hosts. When a host is lost only its own replicas
move: each to the next host in its round.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.errors import TwinstackError
from twinstack.model import addressing
from twinstack.model.topology import HostsSpec, Topology

#: The place of the first host that nobody gave an address; before it are gateways and yours.
_FIRST_PLACE = 11
#: How many simulated hosts one machine is asked to bear.
MOST = 64
_NUMBERED = re.compile(r"host-([1-9][0-9]?)")
_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,18}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Host:
    """One host, by its name and its address on the underlay."""

    name: str
    address: IPv4Address


def hosts_of(spec: HostsSpec, count: int | None = None) -> tuple[Host, ...]:
    """Give the declared machines, or as many numbered hosts.

    Raises: TwinstackError for a count that cannot be had.
    """
    if spec.machines:
        there = tuple(Host(name, address) for name, address in spec.machines.items())
        if count not in {None, len(there)}:
            raise TwinstackError(
                f"--hosts {count}",
                "cannot be had",
                f"hosts.machines declares {len(there)}",
                "leave the number out, or edit topology.yml",
            )
        return there
    count = _DEFAULT if count is None else count
    most = min(MOST, spec.underlay.num_addresses - _FIRST_PLACE - 1)
    if not 1 <= count <= most:
        raise TwinstackError(
            f"--hosts {count}",
            "is out of range",
            f"{spec.underlay} bears 1 to {most}",
            "choose another number",
        )
    start = spec.underlay.network_address + _FIRST_PLACE
    return tuple(Host(f"host-{number + 1}", start + number) for number in range(count))


_DEFAULT = 3


def placed(
    services: Mapping[str, Sequence[str]],
    hosts: Sequence[str],
    declared: Mapping[str, Sequence[str]],
    lost: Collection[str] = (),
) -> dict[str, str]:
    """Map each replica to its host. `services` lists each service's replicas in their order.

    Raises: TwinstackError for a host that is not there, and when all of a service's are lost.
    """
    if unknown := sorted(set(lost) - set(hosts)):
        raise TwinstackError(
            unknown[0], "is no host", f"there are {', '.join(hosts)}", "choose one of them"
        )
    chosen: dict[str, str] = {}
    for offset, (service, replicas) in enumerate(services.items()):
        own = declared.get(service)
        for host in own or ():
            if host not in hosts:
                raise TwinstackError(
                    f"hosts.placement.{service}",
                    f"{host} is no host",
                    f"there are {', '.join(hosts)}",
                    "name one of them, or bring up more (--hosts)",
                )
        ring = list(own) if own else [*hosts[offset % len(hosts) :], *hosts[: offset % len(hosts)]]
        for number, replica in enumerate(replicas):
            first = number % len(ring)
            turn = [host for host in (*ring[first:], *ring[:first]) if host not in lost]
            if not turn:
                raise TwinstackError(
                    replica,
                    "has no host",
                    f"{', '.join(ring)} cannot be used",
                    f"name more hosts in hosts.placement.{service}",
                )
            chosen[replica] = turn[0]
    return chosen


def mistakes(topology: Topology) -> Iterator[TwinstackError]:
    """Find what is declared of hosts and cannot be."""
    spec = topology.hosts
    if spec.underlay.prefixlen > 27 or not spec.underlay.is_private:
        yield TwinstackError(
            "hosts.underlay",
            f"{spec.underlay} cannot be used",
            "it is not private, or too small",
            "use one such as 10.88.0.0/24",
        )
        return
    for shape_name, shape in topology.shapes.items():
        for name, segment in shape.segments.items():
            path = f"shapes.{shape_name}.segments.{name}"
            for key in ("subnet", "docker_subnet"):
                if getattr(segment, key).overlaps(spec.underlay):
                    yield TwinstackError(
                        "hosts.underlay",
                        f"{spec.underlay} overlaps {path}.{key}",
                        "",
                        "declare subnets that do not overlap",
                    )
            if segment.bridge == spec.bridge:
                yield TwinstackError(
                    "hosts.bridge",
                    f"{spec.bridge} is used twice",
                    f"{path} has it",
                    "name another bridge",
                )
    yield from _machine_mistakes(spec)
    for service, named in spec.placement.items():
        if service not in topology.services:
            yield TwinstackError(
                f"hosts.placement.{service}", "is no service", "", "name a service of this file"
            )
        for host in named:
            if host not in spec.machines if spec.machines else not _NUMBERED.fullmatch(host):
                yield TwinstackError(
                    f"hosts.placement.{service}",
                    f"{host!r} is no host",
                    "hosts are those of hosts.machines, or else host-1, host-2 …",
                    "mend the name",
                )


def _machine_mistakes(spec: HostsSpec) -> Iterator[TwinstackError]:
    taken: dict[IPv4Address, str] = {}
    for name, address in spec.machines.items():
        path = f"hosts.machines.{name}"
        if not _NAME.fullmatch(name):
            yield TwinstackError(
                path,
                "cannot be named so",
                "1 to 20 lower-case letters, digits and hyphens",
                "rename it",
            )
        if address not in spec.underlay or address in addressing.reserved(spec.underlay):
            yield TwinstackError(
                path,
                f"{address} cannot be used",
                f"it is no host's address in {spec.underlay}",
                "use another address",
            )
        if taken.setdefault(address, name) != name:
            yield TwinstackError(
                path,
                f"{address} is used twice",
                f"{taken[address]} has it",
                "give each host an address of its own",
            )
