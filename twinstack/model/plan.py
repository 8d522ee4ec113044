"""The resolved model: every name, address, command, limit and door, decided once and purely.

`resolve(topology, shape)` gives a `Plan`. The namespace world turns it into kernel steps, the
Docker world into Dockerfiles and a compose file, the benchmark compares what came of both.
Whoever reads a Plan decides nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from twinstack.errors import TwinstackError
from twinstack.model import addressing, names
from twinstack.model.checks import PEERS
from twinstack.model.runtimes import Launch, Role, launch_of
from twinstack.model.topology import Runtime, ServiceSpec, Topology, WorldName
from twinstack.model.vxlan import Vtep

MTU = 1500
#: Endpoints beside the replicas: this host, and a machine that stands for the internet.
HOST = "host"
OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Segment:
    """One layer-2 network in both worlds; the gateway is the host's own address on it.

    `internal`: no service whose home it is may go out or is published, so Docker's has no way out.
    """

    name: str
    tiers: tuple[str, ...]
    bridge: str
    subnet: IPv4Network
    gateway: IPv4Address
    docker_bridge: str
    docker_network: str
    docker_subnet: IPv4Network
    docker_gateway: IPv4Address
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Units: cpus in cores, memory in bytes, pids in processes and threads."""

    cpus: float
    memory_bytes: int
    pids: int


@dataclass(frozen=True, slots=True)
class Health:
    """The command that asks a replica whether it can serve; it exits 0 when it can.

    It runs inside the replica and starts no Python. Units: seconds.
    """

    command: tuple[str, ...]
    http_path: str | None
    interval_s: float = 2.0
    timeout_s: float = 2.0
    retries: int = 3


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container's place on one Docker network."""

    segment: str
    network: str
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Egress:
    """Ports on the internet that a replica may connect to."""

    tcp: tuple[int, ...]
    udp: tuple[int, ...]

    def ports(self, protocol: str) -> tuple[int, ...]:
        """Give those of a protocol: tcp or udp."""
        return self.tcp if protocol == "tcp" else self.udp


@dataclass(frozen=True, slots=True)
class RateLimit:
    """New connections that one client address may open to what the world may reach.

    Units: rate in connections a second; burst in connections.
    """

    rate_per_s: int
    burst: int


@dataclass(frozen=True, slots=True)
class Replica:
    """One instance of a service: a namespace in one world, a container in the other.

    `name` is the namespace's, the compose service's and the instance's name. `address` is its
    address in the namespace world, `docker_address` the one its peers use in Docker: the first
    of `attachments`. `limits` is None when limits are lifted.
    """

    name: str
    service: str
    number: int
    runtime: Runtime
    role: Role
    tier: str
    segment: str
    address: IPv4Address
    prefix_length: int
    gateway: IPv4Address
    attachments: tuple[Attachment, ...]
    host_link: str
    link: str
    port: int
    user: int
    workers: int
    launch: Launch
    environment: tuple[tuple[str, str], ...]
    secrets: tuple[str, ...]
    limits: Limits | None
    health: Health
    egress: Egress

    @property
    def docker_address(self) -> IPv4Address:
        return self.attachments[0].address

    def address_in(self, world: WorldName) -> IPv4Address:
        """Give the address that peers use in a world."""
        return self.address if world == "net" else self.docker_address

    def environment_in(self, world: WorldName) -> dict[str, str]:
        """Give the process's whole environment in a world."""
        return {**dict(self.environment), "TWINSTACK_ADDRESS": str(self.address_in(world))}


@dataclass(frozen=True, slots=True)
class Flow:
    """One permission: new connections from a service (or world, host) to a service's port."""

    source: str
    destination: str
    protocol: Literal["tcp", "udp"]
    port: int
    worlds: tuple[WorldName, ...]


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A door: a port of the host that leads to one replica."""

    world: WorldName
    bind: IPv4Address
    port: int
    replica: str
    replica_port: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The platform as it is going to be, in both worlds.

    `policy` says whether the flows are enforced. `rate_limit` is None: no limit.
    `vtep` is the host that it is for, where the replicas are on several. `machines`: its replicas
    are hosts themselves, each with mounts of its own.
    """

    instance: str
    shape: str
    segments: tuple[Segment, ...]
    replicas: tuple[Replica, ...]
    flows: tuple[Flow, ...]
    rate_limit: RateLimit | None
    published_ports: tuple[PublishedPort, ...]
    bases: tuple[tuple[Role, str], ...]
    limited: bool
    policy: bool = True
    mtu: int = MTU
    vtep: Vtep | None = None
    machines: bool = False

    @property
    def here(self) -> tuple[Replica, ...]:
        """Give the replicas that are on the host that the plan is for: all, if it is for one."""
        vtep = self.vtep
        if vtep is None:
            return self.replicas
        here = vtep.here
        return tuple(replica for replica in self.replicas if replica.name in here)

    @property
    def mark(self) -> str:
        return names.mark(self.instance)

    def segment(self, name: str) -> Segment:
        """Give a segment by its name. Raises: KeyError."""
        return next(_only(self.segments, name))

    def replica(self, name: str) -> Replica:
        """Give a replica by its name.

        Raises: TwinstackError that lists the names there are.
        """
        for replica in self.replicas:
            if replica.name == name:
                return replica
        known = ", ".join(replica.name for replica in self.replicas)
        raise TwinstackError(name, "is no service", f"there are {known}", "choose one of them")

    def replicas_of(self, service: str) -> tuple[Replica, ...]:
        """Give a service's replicas in their order."""
        return tuple(replica for replica in self.replicas if replica.service == service)

    def hosts(self, world: WorldName) -> dict[str, IPv4Address]:
        """Map every replica's name to the address that its peers use: /etc/hosts of a world."""
        return {replica.name: replica.address_in(world) for replica in self.replicas}

    def published_port(self, world: WorldName, service: str) -> PublishedPort | None:
        """Give the door to a service in a world, if one is declared."""
        found = {replica.name for replica in self.replicas_of(service)}
        doors = (door for door in self.published_ports if door.world == world)
        return next((door for door in doors if door.replica in found), None)


def resolve(
    topology: Topology,
    shape: str = "flat",
    instance: str = "main",
    *,
    limited: bool = True,
    policy: bool = True,
    rate_limit: bool = True,
) -> Plan:
    """Decide everything once.

    `limited=False` lifts every CPU, memory and pids limit, `policy=False` leaves the flows
    unenforced, `rate_limit=False` leaves new connections unlimited.
    Raises: TwinstackError for a shape that is not declared.
    """
    if shape not in topology.shapes:
        known = ", ".join(topology.shapes)
        raise TwinstackError(
            f"shape {shape}", "is not declared", f"there are {known}", "choose one of them"
        )
    names.check_instance(instance)
    segments = tuple(_segments(topology, shape, instance))
    replicas = tuple(_replicas(topology, segments, limited))
    firsts = {replica.service: replica for replica in reversed(replicas)}
    return Plan(
        instance=instance,
        shape=shape,
        segments=segments,
        replicas=replicas,
        flows=tuple(
            Flow(
                flow.source,
                flow.destination,
                flow.protocol,
                flow.port or topology.services[flow.destination].port,
                (flow.world,) if flow.world else ("net", "docker"),
            )
            for flow in topology.flows
        ),
        rate_limit=RateLimit(topology.edge.new_connections_per_second, topology.edge.burst)
        if rate_limit and topology.edge
        else None,
        published_ports=tuple(
            PublishedPort(
                door.world,
                door.bind,
                addressing.shifted_port(door.port, door.world, instance),
                firsts[door.service].name,
                firsts[door.service].port,
            )
            for door in topology.host_ports
        ),
        bases=tuple(topology.software.bases.items()),
        limited=limited,
        policy=policy,
    )


def _only(segments: tuple[Segment, ...], name: str) -> Iterator[Segment]:
    found = [segment for segment in segments if segment.name == name]
    if not found:
        raise KeyError(name)
    yield found[0]


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
    homed = {name: one for name, one in topology.services.items() if one.tier in tiers}
    published = {door.service for door in topology.host_ports if door.world == "docker"}
    egress = [one.egress or topology.egress for one in homed.values()]
    return bool(homed) and not (published & set(homed) or any(one.tcp or one.udp for one in egress))


def _replicas(
    topology: Topology, segments: tuple[Segment, ...], limited: bool
) -> Iterator[Replica]:
    home = {tier: segment for segment in segments for tier in segment.tiers}
    for name, chosen in addressing.places(topology).items():
        spec = topology.services[name]
        for number, place in enumerate(chosen, start=1):
            yield _replica(topology, name, spec, number, place, home, limited)


def _replica(
    topology: Topology,
    service: str,
    spec: ServiceSpec,
    number: int,
    place: int,
    home: dict[str, Segment],
    limited: bool,
) -> Replica:
    name = names.replica_name(service, number)
    segment = home[spec.tier]
    launch = launch_of(spec)
    egress = spec.egress or topology.egress
    attached = [segment]
    for flow in topology.flows:  # a container joins each network that it must reach into
        if flow.source == service and flow.destination not in PEERS:
            other = home[topology.services[flow.destination].tier]
            if other not in attached:
                attached.append(other)
    return Replica(
        name=name,
        service=service,
        number=number,
        runtime=spec.runtime,
        role=launch.role,
        tier=spec.tier,
        segment=segment.name,
        address=_placed(segment.subnet, place),
        prefix_length=segment.subnet.prefixlen,
        gateway=segment.gateway,
        attachments=tuple(
            Attachment(one.name, one.docker_network, _placed(one.docker_subnet, place))
            for one in attached
        ),
        host_link=names.host_link(name),
        link="eth0",
        port=spec.port,
        user=spec.user,
        workers=spec.workers,
        launch=launch,
        environment=(
            *launch.environment,
            ("TWINSTACK_SERVICE", service),
            ("TWINSTACK_REPLICA", name),
            ("TWINSTACK_PORT", str(spec.port)),
        ),
        secrets=spec.secrets,
        limits=Limits(spec.limits.cpus, spec.limits.memory, spec.limits.pids) if limited else None,
        health=Health(launch.probe, spec.health.http),
        egress=Egress(egress.tcp, egress.udp),
    )


def _placed(subnet: IPv4Network, place: int) -> IPv4Address:
    """Keep a replica's place (its last octet, in a /24) within another subnet."""
    return subnet.network_address + place
