"""A plan spread over hosts: the underlay that joins them, and each host's own plan; pure.

The underlay is a plan like any other: one segment, with hosts in the place of replicas. A host's
plan is the whole stack's, with a `Vtep` that says who is here and how to the rest; so its rules
are the same on every host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

from twinstack.errors import TwinstackError
from twinstack.model import names, placement
from twinstack.model.placement import Host
from twinstack.model.plan import Egress, Health, Plan, Replica, Segment
from twinstack.model.runtimes import Launch
from twinstack.model.topology import HostsSpec
from twinstack.model.vxlan import OVERLAY_MTU, UNDERLAY_MTU, FdbEntry, Vtep, VxlanLink, mac_of

#: What the instance that holds the hosts is called, behind its owner's name.
UNDERLAY = "hosts"
#: What keeps, behind its owner's name, what is remembered here of machines that ssh reaches.
MACHINES = "ssh"
#: A host's own link to the underlay.
UPLINK = "eth0"
_NOTHING = Launch("python", (), (), (), "TERM")


@dataclass(frozen=True, slots=True)
class Spread:
    """Which hosts there are, and where each replica is. `lost` hosts are given nothing."""

    hosts: tuple[Host, ...]
    where: Mapping[str, str]
    underlay: IPv4Network
    bridge: str
    vni: int
    lost: frozenset[str] = frozenset()

    @property
    def alive(self) -> tuple[Host, ...]:
        return tuple(host for host in self.hosts if host.name not in self.lost)

    def host(self, name: str) -> Host:
        """Give a host by its name. Raises: TwinstackError that lists the names there are."""
        for host in self.hosts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.hosts)
        raise TwinstackError(name, "is no host", f"there are {known}", "choose one of them")


def spread(
    plan: Plan, spec: HostsSpec, count: int | None = None, lost: frozenset[str] = frozenset()
) -> Spread:
    """Place every replica. Raises: TwinstackError for hosts that cannot be had."""
    there = placement.hosts_of(spec, count)
    services: dict[str, list[str]] = {}
    for replica in plan.replicas:
        services.setdefault(replica.service, []).append(replica.name)
    where = placement.placed(services, [host.name for host in there], spec.placement, lost)
    return Spread(there, where, spec.underlay, spec.bridge, spec.vni, lost)


def underlay_instance(instance: str) -> str:
    """Name the instance that an instance's hosts are made by."""
    return names.part_instance(instance, UNDERLAY)


def machines_instance(instance: str) -> str:
    """Name the instance that keeps what its machines share: passwords, and what was asked."""
    return names.part_instance(instance, MACHINES)


def host_instance(instance: str, host: str) -> str:
    """Name the instance that a host's share of an instance is."""
    return names.part_instance(instance, host)


def underlay_plan(plan: Plan, found: Spread) -> Plan:
    """Decide the underlay: a bridge, and a namespace with mounts of its own for each host."""
    gateway = found.underlay.network_address + 1
    segment = Segment(
        name="underlay",
        tiers=("underlay",),
        bridge=found.bridge,
        subnet=found.underlay,
        gateway=gateway,
        docker_bridge="",
        docker_network="",
        docker_subnet=found.underlay,
        docker_gateway=gateway,
    )
    return Plan(
        instance=underlay_instance(plan.instance),
        shape="underlay",
        segments=(segment,),
        replicas=tuple(_machine(host, segment) for host in found.hosts),
        flows=(),
        rate_limit=None,
        published_ports=(),
        bases=(),
        limited=False,
        policy=False,
        mtu=UNDERLAY_MTU,
        machines=True,
    )


def _machine(host: Host, segment: Segment) -> Replica:
    """Give a host as the underlay has it: a replica that runs nothing."""
    return Replica(
        name=host.name,
        service=host.name,
        number=1,
        runtime="nginx",
        role="nginx",
        tier="underlay",
        segment=segment.name,
        address=host.address,
        prefix_length=segment.subnet.prefixlen,
        gateway=segment.gateway,
        attachments=(),
        host_link=names.host_link(host.name),
        link=UPLINK,
        port=0,
        user=0,
        workers=0,
        launch=_NOTHING,
        environment=(),
        secrets=(),
        limits=None,
        health=Health((), None),
        egress=Egress((), ()),
    )


def host_plan(plan: Plan, found: Spread, host: Host, mtu: int = OVERLAY_MTU) -> Plan:
    """Decide a host's share: every rule and door, and those replicas that are placed there.

    Units: mtu in bytes, of what services send; more than fits is a mistake that a test makes.
    """
    addresses = {one.name: one.address for one in found.hosts}
    fdb = tuple(
        FdbEntry(
            replica.name,
            replica.segment,
            replica.address,
            mac_of(replica.address),
            None
            if found.where[replica.name] == host.name
            else addresses[found.where[replica.name]],
        )
        for replica in plan.replicas
    )
    vtep = Vtep(
        host=host.name,
        address=host.address,
        underlay=found.underlay,
        peers=tuple(one.address for one in found.alive if one != host),
        tunnels=tuple(
            VxlanLink(segment.name, tunnel_link(segment.name), found.vni + number)
            for number, segment in enumerate(plan.segments)
        ),
        fdb=fdb,
        uplink=UPLINK,
    )
    return replace(
        plan,
        instance=host_instance(plan.instance, host.name),
        mtu=mtu,
        vtep=vtep,
    )


def tunnel_link(segment: str) -> str:
    """Name a segment's tunnel."""
    return names.shortened(f"vx-{segment}", names.INTERFACE_MAX)
