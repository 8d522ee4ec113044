"""A plan spread over hosts: the underlay that joins them, and each host's own plan; pure.

The underlay is a plan like any other: one segment, and a replica for each host. A host's plan is
the whole stack's with a `Vtep` that says which replicas are here and how to reach the others, so
its rules are the same on every host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

from twinstack.errors import WrongUse
from twinstack.model import names, placement
from twinstack.model.placement import Host
from twinstack.model.plan import Plan, Replica, Segment
from twinstack.model.runtimes import Launch
from twinstack.model.topology import HostsSpec
from twinstack.model.vxlan import OVERLAY_MTU, UNDERLAY_MTU, FdbEntry, Vtep, VxlanLink, mac_of

_NOTHING = Launch("python", (), (), (), "TERM")


@dataclass(frozen=True, slots=True)
class Spread:
    """The hosts, and where each replica is placed."""

    hosts: tuple[Host, ...]
    where: Mapping[str, str]  # replica → host
    underlay: IPv4Network
    bridge: str
    vni: int  # of the first segment; the others follow
    lost: frozenset[str] = frozenset()  # hosts that get no replicas

    @property
    def alive(self) -> tuple[Host, ...]:
        return tuple(host for host in self.hosts if host.name not in self.lost)

    def host(self, name: str) -> Host:
        """Give a host by its name. Raises: WrongUse that lists the names."""
        for host in self.hosts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.hosts)
        raise WrongUse(name, "is no host", f"there are {known}", "choose one of them")


def spread_over_hosts(
    plan: Plan, spec: HostsSpec, count: int | None = None, lost: frozenset[str] = frozenset()
) -> Spread:
    """Place every replica on a host. Raises: WrongUse where that is not possible."""
    hosts = placement.hosts_of(spec, count)
    services: dict[str, list[str]] = {}
    for replica in plan.replicas:
        services.setdefault(replica.service, []).append(replica.name)
    where = placement.placed(services, [host.name for host in hosts], spec.placement, lost)
    return Spread(hosts, where, spec.underlay, spec.bridge, spec.vni, lost)


def underlay_instance(instance: str) -> str:
    """Name the instance that the simulated hosts belong to."""
    return names.part_instance(instance, "hosts")


def machines_instance(instance: str) -> str:
    """Name the instance that keeps here what real machines share: passwords, and the options."""
    return names.part_instance(instance, "ssh")


def host_instance(instance: str, host: str) -> str:
    """Name the instance that a host's share of the plan belongs to."""
    return names.part_instance(instance, host)


def underlay_plan(plan: Plan, spread: Spread) -> Plan:
    """Decide the underlay: a bridge, and a namespace with its own mounts for each host."""
    gateway = spread.underlay.network_address + 1
    segment = Segment(
        name="underlay",
        tiers=("underlay",),
        bridge=spread.bridge,
        subnet=spread.underlay,
        gateway=gateway,
        docker_bridge="",
        docker_network="",
        docker_subnet=spread.underlay,
        docker_gateway=gateway,
    )
    return Plan(
        instance=underlay_instance(plan.instance),
        shape="underlay",
        segments=(segment,),
        replicas=tuple(_host_replica(host, segment) for host in spread.hosts),
        limited=False,
        policy=False,
        mtu=UNDERLAY_MTU,
        machines=True,
    )


def _host_replica(host: Host, segment: Segment) -> Replica:
    """Give a host as a replica of the underlay: one that runs nothing."""
    return Replica(
        name=host.name,
        service=host.name,
        number=1,
        runtime="nginx",
        role="nginx",
        tier="underlay",
        segment=segment.name,
        address=host.address,
        host_link=names.host_link(host.name),
        launch=_NOTHING,
    )


def host_plan(plan: Plan, spread: Spread, host: Host) -> Plan:
    """Decide a host's share: every rule and published port, and the replicas placed there."""
    addresses = {other.name: other.address for other in spread.hosts}

    def entry(replica: Replica) -> FdbEntry:
        where = spread.where[replica.name]
        behind = None if where == host.name else addresses[where]
        mac = mac_of(replica.address)
        return FdbEntry(replica.name, replica.segment, replica.address, mac, behind)

    vtep = Vtep(
        host=host.name,
        address=host.address,
        underlay=spread.underlay,
        peers=tuple(other.address for other in spread.alive if other != host),
        tunnels=tuple(
            VxlanLink(segment.name, tunnel_link(segment.name), spread.vni + number)
            for number, segment in enumerate(plan.segments)
        ),
        fdb=tuple(map(entry, plan.replicas)),
    )
    own = host_instance(plan.instance, host.name)
    return replace(plan, instance=own, mtu=OVERLAY_MTU, vtep=vtep)


def tunnel_link(segment: str) -> str:
    """Name a segment's VXLAN link."""
    return names.shortened(f"vx-{segment}", names.INTERFACE_MAX)
