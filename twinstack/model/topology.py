"""The written model: the form of topology.yml. pydantic checks each value where it is declared.

`checks` then compares values with each other, and `plan.resolve` decides addresses and names.
docs/schemas/topology.yml.json is made from these classes: editors show their descriptions.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from twinstack.model.values import (
    BridgeName,
    HostName,
    Pool,
    Port,
    SecretName,
    SegmentName,
    ServiceName,
    Size,
    Subnet,
)

#: What one multiport match of iptables takes, and one hashlimit.
PORTS_MAX = 15
RATE_MAX = 10_000
WorldName = Literal["net", "docker"]
WORLDS: tuple[WorldName, ...] = ("net", "docker")
Runtime = Literal["nginx", "asgi", "wsgi", "redis", "postgres"]
#: Of a tier's or a service's name.
_TIERS, _SERVICES = ["frontend", "backend", "database"], ["nginx-lb"]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SegmentSpec(_Written):
    """One layer-2 network: a bridge in one world, a Docker network in the other."""

    bridge: BridgeName
    subnet: Subnet = Field(description="The namespace world's.")
    docker_subnet: Subnet = Field(
        description="The Docker world's, so that both can be up at once.",
        examples=["172.30.0.0/24"],
    )
    tiers: tuple[str, ...] = Field(
        min_length=1, description="The tiers that share it.", examples=[_TIERS]
    )
    pool: Pool | None = Field(
        default=None, description="First and last address of replicas that declare none."
    )


class ShapeSpec(_Written):
    """One way to lay the tiers out on segments."""

    segments: dict[SegmentName, SegmentSpec] = Field(min_length=1)


class Limits(_Written):
    """Limits of one replica's cgroup."""

    cpus: float = Field(ge=0.01, le=1024, strict=True, description="In cores.", examples=[1.0])
    memory_bytes: Size = Field(alias="memory", description="A whole number with K, M or G.")
    pids: int = Field(
        ge=1, le=4_194_304, strict=True, description="Processes and threads.", examples=[64]
    )


class HealthSpec(_Written):
    """How to ask a service whether it can serve: an HTTP path or a store's own ping."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    http: Annotated[str, Field(pattern=r"^/[\w./-]*$", examples=["/health"])] | None = None
    ping: Literal["redis", "postgres"] | None = None


class Egress(_Written):
    """Ports that services may reach on the internet: every service, or the one that declares it."""

    tcp: tuple[Port, ...] = Field(default=(), max_length=PORTS_MAX)
    udp: tuple[Port, ...] = Field(default=(), max_length=PORTS_MAX)

    def ports(self, protocol: str) -> tuple[int, ...]:
        """Give those of a protocol: tcp or udp."""
        return self.tcp if protocol == "tcp" else self.udp


class RateLimit(_Written):
    """What one client address may ask of what the world may reach: connections, and requests."""

    rate_per_s: int = Field(
        alias="new_connections_per_second", ge=1, le=RATE_MAX, strict=True, examples=[1000]
    )
    requests_per_s: int | None = Field(
        default=None,
        alias="requests_per_second",
        ge=1,
        le=RATE_MAX,
        strict=True,
        description="Without it nginx counts none.",
    )
    burst: int = Field(
        ge=1,
        le=RATE_MAX,
        strict=True,
        description="Of either at once, after a pause.",
        examples=[2000],
    )
    connections: int = Field(
        default=1000, ge=1, le=RATE_MAX, strict=True, description="Open at any time."
    )


class ServiceSpec(_Written):
    """One service as declared."""

    runtime: Runtime = Field(examples=["wsgi"])
    tier: str = Field(description="One of those that the shapes' segments hold.", examples=_TIERS)
    addresses: tuple[IPv4Address, ...] = Field(
        default=(),
        description="Of its replicas in the shape flat; in any other shape each keeps its distance "
        "from the start of the subnet. Further replicas have addresses of the pool.",
    )
    port: Port
    user: int = Field(
        ge=1000,
        le=4_294_967_293,
        strict=True,
        description="Its uid and gid, which no other service has.",
        examples=[30010],
    )
    limits: Limits
    health: HealthSpec
    replicas: int = Field(default=1, ge=1, le=10_000, strict=True)
    workers: int = Field(default=1, ge=1, le=64, strict=True, description="Processes of a replica.")
    threads: int = Field(default=1, ge=1, le=256, strict=True, description="Of each worker (wsgi).")
    module: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] | None = Field(
        default=None,
        description="The application of the runtimes asgi and wsgi.",
        examples=["services.product_service.app:app"],
    )
    secrets: tuple[SecretName, ...] = Field(
        default=(), description="Passwords that are generated; for a store, what it checks them by."
    )
    data: bool = Field(
        default=False,
        strict=True,
        description="Keep a directory over restarts, as stores always do.",
    )
    egress: Egress | None = Field(
        default=None, description="Its own, instead of the one that all services have."
    )
    cache: Literal["shared", "near"] = Field(
        default="shared",
        description="Where the product service reads what it has answered: in Redis each time, or "
        "in its process while Redis vouches for it, which takes a hop out of what is compared.",
    )


class FlowSpec(_Written):
    """One permission to connect."""

    source: str = Field(alias="from", description="A service, world or host.", examples=_SERVICES)
    destination: str = Field(alias="to", description="A service.", examples=_SERVICES)
    world: WorldName | None = Field(default=None, description="Without it: both.")
    protocol: Literal["tcp", "udp"] = "tcp"
    port: Port | None = Field(default=None, description="Without it: the destination's own.")


class HostPortSpec(_Written):
    """One published port: a port of the host that leads to a service."""

    world: WorldName = Field(examples=["net"])
    port: Port
    service: str = Field(examples=_SERVICES)
    bind: IPv4Address = Field(
        default=IPv4Address("127.0.0.1"),
        description="The host's address: 0.0.0.0 for other machines too.",
    )


class HostsSpec(_Written):
    """Where replicas are when the stack is spread over several hosts."""

    underlay: Subnet = Field(
        default=IPv4Network("10.88.0.0/24"), description="The network that joins the hosts."
    )
    bridge: BridgeName = Field(
        default="br-underlay", description="The underlay's, where the hosts are simulated."
    )
    machines: dict[HostName, IPv4Address] = Field(
        default={},
        description="Real hosts with their addresses; without any they are host-1, host-2 …",
    )
    placement: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        default={},
        description="The hosts that a service's replicas go to in turn; others go round all hosts.",
    )
    vni: int = Field(
        default=7300,
        ge=1,
        le=16_777_000,
        strict=True,
        description="VXLAN network identifier of the first segment; the others' follow.",
    )


class SoftwareSpec(_Written):
    """Docker's base images by role, where they are not our own."""

    bases: dict[Literal["python", "nginx", "redis", "postgres"], str] = {}


class Topology(_Written):
    """The whole platform as declared."""

    shapes: dict[str, ShapeSpec] = Field(
        min_length=1, description="Ways to lay the tiers out on segments; flat has the addresses."
    )
    services: dict[ServiceName, ServiceSpec] = Field(min_length=1)
    flows: tuple[FlowSpec, ...] = Field(
        default=(), description="Permitted new connections; everything else is denied."
    )
    egress: Egress = Field(
        default=Egress(),
        description="To the internet, for services without an egress of their own.",
    )
    edge: RateLimit | None = None
    host_ports: tuple[HostPortSpec, ...] = ()
    hosts: HostsSpec = HostsSpec()
    software: SoftwareSpec = SoftwareSpec()
