"""The resolved model: every name, address, command, limit and published port, decided once. Pure.

`resolve(topology, shape)` gives a `Plan`. The namespace world turns it into kernel steps, the
Docker world into Dockerfiles and a compose file; the benchmark compares the two. Readers of a Plan
decide nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from twinstack.errors import WrongUse
from twinstack.model import addressing, names, releases
from twinstack.model.names import PEERS
from twinstack.model.releases import CHECKOUT, Releases
from twinstack.model.runtimes import Launch, Role, launch_of
from twinstack.model.scale import Scale, scaled
from twinstack.model.topology import WORLDS, Egress, Limits, RateLimit, Runtime, Topology, WorldName
from twinstack.model.vxlan import Vtep

MTU = 1500
#: Endpoints beside the replicas: this host, and a machine that stands for the internet.
HOST = "host"
OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Segment:
    """One layer-2 network in both worlds."""

    name: str
    tiers: tuple[str, ...]
    bridge: str
    subnet: IPv4Network
    gateway: IPv4Address  # the host's own address on the bridge
    docker_bridge: str
    docker_network: str
    docker_subnet: IPv4Network
    docker_gateway: IPv4Address
    #: No service of it has egress or a published port: Docker gives no way out.
    internal: bool = False

    def bridge_in(self, world: WorldName) -> str:
        return self.bridge if world == "net" else self.docker_bridge

    def subnet_in(self, world: WorldName) -> IPv4Network:
        return self.subnet if world == "net" else self.docker_subnet

    def gateway_in(self, world: WorldName) -> IPv4Address:
        return self.gateway if world == "net" else self.docker_gateway


@dataclass(frozen=True, slots=True)
class Health:
    """The command, run inside the replica, that exits 0 when the replica can serve."""

    command: tuple[str, ...] = ()  # starts no Python interpreter
    http_path: str | None = None
    interval_s: float = 2.0
    timeout_s: float = 2.0
    retries: int = 3


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container on one Docker network."""

    segment: str
    network: str
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Replica:
    """One instance of a service: a namespace in one world, a container in the other."""

    name: str  # of the namespace, and of the compose service
    service: str
    number: int  # from 1
    runtime: Runtime
    role: Role
    tier: str
    segment: str
    address: IPv4Address  # in the namespace world
    host_link: str  # the host's end of the veth pair
    launch: Launch
    version: str = CHECKOUT  # of its software, where it is not this checkout's
    link: str = "eth0"  # the namespace's end
    attachments: tuple[Attachment, ...] = ()  # Docker networks; peers use the first one's address
    port: int = 0
    user: int = 0  # uid and gid
    workers: int = 0
    environment: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    limits: Limits | None = None  # None: lifted
    health: Health = Health()
    egress: Egress = field(default_factory=Egress)
    #: The platform's subnets in each world, divided by blanks.
    networks: tuple[tuple[WorldName, str], ...] = ()

    @property
    def is_store(self) -> bool:
        return self.runtime in {"redis", "postgres"}

    @property
    def binds_low_port(self) -> bool:
        """Say whether it needs a capability, or the sysctl ip_unprivileged_port_start."""
        return self.port < 1024

    @property
    def docker_address(self) -> IPv4Address:
        return self.attachments[0].address

    def address_in(self, world: WorldName) -> IPv4Address:
        """Give the address that peers use in a world."""
        return self.address if world == "net" else self.docker_address

    def environment_in(self, world: WorldName) -> dict[str, str]:
        """Give the process's whole environment in a world."""
        return {
            **dict(self.environment),
            "TWINSTACK_ADDRESS": str(self.address_in(world)),
            "TWINSTACK_NETWORKS": dict(self.networks).get(world, ""),
        }


@dataclass(frozen=True, slots=True)
class Flow:
    """New connections that are permitted from a service (or world, host) to a service's port."""

    source: str
    destination: str
    protocol: Literal["tcp", "udp"]
    port: int
    worlds: tuple[WorldName, ...]


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port of the host that leads to one replica."""

    world: WorldName
    bind: IPv4Address
    port: int
    replica: str
    replica_port: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The platform as it is going to be, in both worlds."""

    instance: str
    shape: str
    segments: tuple[Segment, ...]
    replicas: tuple[Replica, ...]
    flows: tuple[Flow, ...] = ()
    rate_limit: RateLimit | None = None
    published_ports: tuple[PublishedPort, ...] = ()
    bases: tuple[tuple[Role, str], ...] = ()  # declared base images
    limited: bool = True  # whether the limits of replicas hold
    policy: bool = True  # whether the flows are enforced
    scale: Scale = ()  # where the numbers of replicas are not the declared ones
    releases: Releases = ()  # where a version is not the checkout's
    mtu: int = MTU
    vtep: Vtep | None = None  # the host that the plan is for, where replicas are on several
    machines: bool = False  # replicas are hosts themselves, each with mounts of its own

    @property
    def here(self) -> tuple[Replica, ...]:
        """Give the replicas on the host that the plan is for: all, if it is for one host."""
        here = None if self.vtep is None else self.vtep.here
        return tuple(replica for replica in self.replicas if here is None or replica.name in here)

    @property
    def mark(self) -> str:
        return names.mark(self.instance)

    def segment(self, name: str) -> Segment:
        """Give a segment by its name. Raises: KeyError."""
        return {segment.name: segment for segment in self.segments}[name]

    def replica(self, name: str) -> Replica:
        """Give a replica by its name. Raises: WrongUse that lists the names there are."""
        return names.named(self.replicas, name)

    def replicas_of(self, service: str) -> tuple[Replica, ...]:
        """Give a service's replicas in their order."""
        return tuple(replica for replica in self.replicas if replica.service == service)

    def hosts(self, world: WorldName) -> dict[str, IPv4Address]:
        """Map every replica's name to the address that its peers use: /etc/hosts of a world."""
        return {replica.name: replica.address_in(world) for replica in self.replicas}

    def published_port(self, world: WorldName, service: str) -> PublishedPort | None:
        """Give the published port of a service in a world, if one is declared."""
        for port in self.published_ports:
            if port.world == world and self.replica(port.replica).service == service:
                return port
        return None


def resolve(
    topology: Topology,
    shape: str = "flat",
    instance: str = "main",
    *,
    limited: bool = True,
    policy: bool = True,
    rate_limit: bool = True,
    scale: Scale = (),
    released: Releases = (),
) -> Plan:
    """Decide everything once.

    `scale` replaces declared numbers of replicas, `released` versions of services;
    `limited=False` lifts every CPU, memory and pids limit, `policy=False` leaves the flows
    unenforced, `rate_limit=False` leaves new connections unlimited.
    Raises: WrongUse for a shape that is not declared; TopologyError for a scale that does
    not fit.
    """
    topology = scaled(topology, scale)
    if shape not in topology.shapes:
        known = f"there are {', '.join(topology.shapes)}"
        raise WrongUse(f"shape {shape}", "is not declared", known, "choose one of them")
    names.check_instance(instance)
    segments = tuple(_segments(topology, shape, instance))
    return Plan(
        instance=instance,
        shape=shape,
        segments=segments,
        replicas=tuple(_replicas(topology, segments, limited, released)),
        flows=tuple(
            Flow(
                flow.source,
                flow.destination,
                flow.protocol,
                flow.port or topology.services[flow.destination].port,
                (flow.world,) if flow.world else WORLDS,
            )
            for flow in topology.flows
        ),
        rate_limit=topology.edge if rate_limit else None,
        published_ports=tuple(
            PublishedPort(
                spec.world,
                spec.bind,
                addressing.shifted_port(spec.port, spec.world, instance),
                names.replica_name(spec.service, 1),
                topology.services[spec.service].port,
            )
            for spec in topology.host_ports
        ),
        bases=tuple(topology.software.bases.items()),
        limited=limited,
        policy=policy,
        scale=scale,
        releases=released,
    )


def _segments(topology: Topology, shape: str, instance: str) -> Iterator[Segment]:
    for name, spec in topology.shapes[shape].segments.items():
        docker_subnet = addressing.shifted_subnet(spec.docker_subnet, instance)
        yield Segment(
            name=name,
            tiers=spec.tiers,
            bridge=spec.bridge,
            subnet=spec.subnet,
            gateway=spec.subnet.network_address + 1,
            docker_bridge=names.docker_bridge(instance, name),
            docker_network=f"twinstack-{instance}_{name}",
            docker_subnet=docker_subnet,
            docker_gateway=docker_subnet.network_address + 1,
            internal=_is_internal(topology, spec.tiers),
        )


def _is_internal(topology: Topology, tiers: tuple[str, ...]) -> bool:
    members = {name: spec for name, spec in topology.services.items() if spec.tier in tiers}
    published = {port.service for port in topology.host_ports if port.world == "docker"}
    egress = [spec.egress or topology.egress for spec in members.values()]
    goes_out = any(ports.tcp or ports.udp for ports in egress)
    return bool(members) and not goes_out and published.isdisjoint(members)


def _replicas(
    topology: Topology, segments: tuple[Segment, ...], limited: bool, released: Releases
) -> Iterator[Replica]:
    home = {tier: segment for segment in segments for tier in segment.tiers}
    networks = tuple(
        (world, " ".join(str(segment.subnet_in(world)) for segment in segments)) for world in WORLDS
    )
    numbered = addressing.host_numbers(topology)
    links = names.host_links({service: len(numbers) for service, numbers in numbered.items()})
    for service, host_numbers in numbered.items():
        spec, release = topology.services[service], releases.of(released, service)
        segment, launch = home[spec.tier], launch_of(spec)
        attached = {segment.name: segment}
        for flow in topology.flows:  # a container joins each network that it must reach into
            if flow.source == service and flow.destination not in PEERS:
                other = home[topology.services[flow.destination].tier]
                attached[other.name] = other
        for number, host_number in enumerate(host_numbers, start=1):
            name = names.replica_name(service, number)
            yield Replica(
                name=name,
                service=service,
                number=number,
                runtime=spec.runtime,
                role=launch.role,
                tier=spec.tier,
                segment=segment.name,
                address=segment.subnet.network_address + host_number,
                attachments=tuple(
                    Attachment(
                        joined.name,
                        joined.docker_network,
                        joined.docker_subnet.network_address + host_number,
                    )
                    for joined in attached.values()
                ),
                host_link=links[name],
                port=spec.port,
                user=spec.user,
                workers=spec.workers,
                launch=launch,
                version=release.version(number),
                environment=(
                    *launch.environment,
                    ("TWINSTACK_SERVICE", service),
                    ("TWINSTACK_REPLICA", name),
                    ("TWINSTACK_PORT", str(spec.port)),
                    *((("CACHE", spec.cache),) if spec.cache == "near" else ()),
                ),
                secrets=spec.secrets,
                limits=spec.limits if limited else None,
                health=Health(launch.probe, spec.health.http),
                egress=spec.egress or topology.egress,
                networks=networks,
            )
