"""The hosts of a spread stack, and which replica is on which, decided once and checked. Pure.

Replicas without a declared placement go round the hosts. Each service starts one host further, so
that a service's replicas are on different hosts. When a host is lost only its own replicas move:
each to the next host in its round.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.errors import WrongUse
from twinstack.model.addressing import reserved_addresses
from twinstack.model.mistakes import Mistake, ValuePath, meant
from twinstack.model.names import host_problem
from twinstack.model.topology import HostsSpec, Topology

_DEFAULT_COUNT = 3
#: The host number of host-1 on the underlay; before it are gateways and addresses of your own.
_FIRST_HOST_NUMBER = 11
#: How many simulated hosts one machine carries.
MOST = 64
_NUMBERED = re.compile(r"host-([1-9][0-9]?)")


@dataclass(frozen=True, slots=True)
class Host:
    """One host."""

    name: str
    address: IPv4Address  # on the underlay


def hosts_of(spec: HostsSpec, count: int | None = None) -> tuple[Host, ...]:
    """Give the declared machines, or as many numbered hosts. Raises: TwinstackError."""
    option = f"--hosts {count}"
    if spec.machines:
        if count not in {None, len(spec.machines)}:
            cause = f"hosts.machines declares {len(spec.machines)}"
            remedy = "leave the number out, or edit topology.yml"
            raise WrongUse(option, "cannot be used", cause, remedy)
        return tuple(Host(name, address) for name, address in spec.machines.items())
    count = _DEFAULT_COUNT if count is None else count
    most = min(MOST, spec.underlay.num_addresses - _FIRST_HOST_NUMBER - 1)
    if not 1 <= count <= most:
        cause = f"{spec.underlay} has room for 1 to {most}"
        raise WrongUse(option, "is out of range", cause, "choose another number")
    first = spec.underlay.network_address + _FIRST_HOST_NUMBER
    return tuple(Host(f"host-{number + 1}", first + number) for number in range(count))


def placed(
    services: Mapping[str, Sequence[str]],
    hosts: Sequence[str],
    declared: Mapping[str, Sequence[str]],
    lost: Collection[str] = (),
) -> dict[str, str]:
    """Map each replica to its host. `services` lists each service's replicas in their order.

    Raises: TwinstackError for an unknown host, and when all hosts of a service are lost.
    """
    known = f"there are {', '.join(hosts)}"
    if unknown := sorted(set(lost) - set(hosts)):
        raise WrongUse(unknown[0], "is no host", known, "choose one of them")
    host_of: dict[str, str] = {}
    for offset, (service, replicas) in enumerate(services.items()):
        start = offset % len(hosts)
        ring = list(declared.get(service) or (*hosts[start:], *hosts[:start]))
        path = f"hosts.placement.{service}"
        if unknown := [host for host in ring if host not in hosts]:
            remedy = "name one of them, or bring up more (--hosts)"
            raise WrongUse(path, f"{unknown[0]} is no host", known, remedy)
        for number, replica in enumerate(replicas):
            first = number % len(ring)
            alive = [host for host in (*ring[first:], *ring[:first]) if host not in lost]
            if not alive:
                cause, remedy = f"{', '.join(ring)} cannot be used", f"name more hosts in {path}"
                raise WrongUse(replica, "has no host", cause, remedy)
            host_of[replica] = alive[0]
    return host_of


def mistakes(topology: Topology) -> Iterator[Mistake]:
    """Find declared hosts and placements that cannot be used."""
    spec = topology.hosts
    underlay: ValuePath = ("hosts", "underlay")
    if spec.underlay.prefixlen > 27:
        failure = f"{spec.underlay} is too small"
        yield Mistake(underlay, failure, "", "use one such as 10.88.0.0/24")
    yield from _machine_mistakes(spec, underlay)
    for service, hosts in spec.placement.items():
        path: ValuePath = ("hosts", "placement", service)
        if service not in topology.services:
            remedy = meant(service, topology.services, "name a service of this file")
            yield Mistake(path, "is no service", "", remedy, of_key=True)
        for index, host in enumerate(hosts):
            if host not in spec.machines if spec.machines else not _NUMBERED.fullmatch(host):
                cause = "hosts are those of hosts.machines, or else host-1, host-2 …"
                remedy = meant(host, spec.machines, "correct the name")
                judged_by = (("hosts", "machines"),)
                yield Mistake((*path, index), f"{host!r} is no host", cause, remedy, judged_by)


def _machine_mistakes(spec: HostsSpec, underlay: ValuePath) -> Iterator[Mistake]:
    owners: dict[IPv4Address, ValuePath] = {}
    for name, address in spec.machines.items():
        path: ValuePath = ("hosts", "machines", name)
        if problem := host_problem(name):
            yield Mistake(path, "cannot be named so", problem, "rename it", of_key=True)
        if address not in spec.underlay or address in reserved_addresses(spec.underlay):
            cause = f"it is no host's address in {spec.underlay}"
            failure = f"{address} cannot be used"
            yield Mistake(path, failure, cause, "use another address", (underlay,))
        if (owner := owners.setdefault(address, path)) != path:
            failure, remedy = f"{address} is used twice", "give each host an address of its own"
            yield Mistake(path, failure, f"{owner[2]} has it", remedy, (owner,))
