"""The written model: the form of topology.yml. pydantic checks each value where it is declared.

`checks` then compares values with each other, and `plan.resolve` decides addresses and names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from twinstack.model.names import bridge_problem, host_problem, segment_problem, service_problem

#: What one multiport match of iptables takes, and one hashlimit.
PORTS_MAX = 15
RATE_MAX = 10_000
#: The application that caches what it answers.
CACHING_MODULE = "services.product_service.app:app"
_SIZE = re.compile(r"(\d+)([KMG])")
_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


def reserved_addresses(subnet: IPv4Network) -> tuple[IPv4Address, ...]:
    """Give a subnet's network address, its gateway and its broadcast address."""
    first = subnet.network_address
    return first, first + 1, subnet.broadcast_address


def _bytes(value: object) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a size is a whole number with K, M or G, such as 128M")
    size = int(match[1]) * _UNITS[match[2]]
    if size % 4096:  # the kernel rounds a limit to whole pages, and reads it back so
        raise ValueError("a size is a whole number of pages of 4K")
    return size


def _without(problem: Callable[[str], str | None]) -> AfterValidator:
    def validate(value: str) -> str:
        if found := problem(value):
            raise ValueError(found)
        return value

    return AfterValidator(validate)


def _pool(value: object) -> tuple[IPv4Address, IPv4Address]:
    ends = str(value).split("-")
    if len(ends) != 2:
        raise ValueError("a pool is FIRST-LAST, such as 10.0.0.128-10.0.0.239")
    first, last = (IPv4Address(end.strip()) for end in ends)
    if last < first:
        raise ValueError(f"its last address {last} comes before its first {first}")
    return first, last


def _private(subnet: IPv4Network) -> IPv4Network:
    if subnet.prefixlen > 29:
        raise ValueError(f"{subnet} is too small: a gateway and a few services need /29 or larger")
    if not subnet.is_private or subnet.is_loopback or subnet.is_link_local:
        raise ValueError(f"{subnet} is not private: use one such as 10.0.0.0/24")
    return subnet


Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Size = Annotated[int, BeforeValidator(_bytes), Field(ge=8 * 1024**2)]
Subnet = Annotated[IPv4Network, AfterValidator(_private)]
BridgeName = Annotated[str, _without(bridge_problem)]
SegmentName = Annotated[str, _without(segment_problem)]
ServiceName = Annotated[str, _without(service_problem)]
HostName = Annotated[str, _without(host_problem)]
WorldName = Literal["net", "docker"]
WORLDS: tuple[WorldName, ...] = ("net", "docker")
Runtime = Literal["nginx", "asgi", "wsgi", "redis", "postgres"]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SegmentSpec(_Written):
    """One layer-2 network: a bridge in one world, a Docker network in the other."""

    bridge: BridgeName
    subnet: Subnet
    docker_subnet: Subnet
    tiers: tuple[str, ...] = Field(min_length=1)
    #: First and last address of replicas that declare none.
    pool: Annotated[tuple[IPv4Address, IPv4Address] | None, BeforeValidator(_pool)] = None

    @field_validator("pool")
    @classmethod
    def _pool_in_subnet(
        cls, pool: tuple[IPv4Address, IPv4Address] | None, info: ValidationInfo
    ) -> tuple[IPv4Address, IPv4Address] | None:
        subnet: IPv4Network | None = info.data.get("subnet")
        if pool and subnet:
            if not all(end in subnet for end in pool):
                raise ValueError(f"it is outside {subnet}")
            if any(pool[0] <= address <= pool[1] for address in reserved_addresses(subnet)):
                raise ValueError(f"it holds a reserved address of {subnet}: its first two or last")
        return pool


class ShapeSpec(_Written):
    """One way to lay the tiers out on segments."""

    segments: dict[SegmentName, SegmentSpec] = Field(min_length=1)


class Limits(_Written):
    """Limits of one replica's cgroup. Units: cpus in cores, pids in processes and threads."""

    cpus: float = Field(ge=0.01, le=1024)
    memory_bytes: Size = Field(alias="memory")
    pids: int = Field(ge=1, le=4_194_304, strict=True)


class HealthSpec(_Written):
    """How to ask a service whether it can serve: an HTTP path or a store's own ping."""

    http: Annotated[str, Field(pattern=r"^/[\w./-]*$")] | None = None
    ping: Literal["redis", "postgres"] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> HealthSpec:
        if (self.http is None) == (self.ping is None):
            raise ValueError("give exactly one of http and ping")
        return self


class Egress(_Written):
    """Ports that services may reach on the internet: every service, or the one that declares it."""

    tcp: tuple[Port, ...] = Field(default=(), max_length=PORTS_MAX)
    udp: tuple[Port, ...] = Field(default=(), max_length=PORTS_MAX)

    @model_validator(mode="after")
    def _each_once(self) -> Egress:
        for name, ports in (("tcp", self.tcp), ("udp", self.udp)):
            if len(set(ports)) < len(ports):
                raise ValueError(f"{name} names a port twice")
        return self

    def ports(self, protocol: str) -> tuple[int, ...]:
        """Give those of a protocol: tcp or udp."""
        return self.tcp if protocol == "tcp" else self.udp


class RateLimit(_Written):
    """What one client address may ask of what the world may reach: connections, and requests."""

    rate_per_s: int = Field(alias="new_connections_per_second", ge=1, le=RATE_MAX, strict=True)
    requests_per_s: int | None = Field(  # None: nginx counts none
        default=None, alias="requests_per_second", ge=1, le=RATE_MAX, strict=True
    )
    burst: int = Field(ge=1, le=RATE_MAX, strict=True)  # of either at once, after a pause
    connections: int = Field(default=1000, ge=1, le=RATE_MAX, strict=True)  # open at any time


class ServiceSpec(_Written):
    """One service as declared."""

    runtime: Runtime
    tier: str
    addresses: tuple[IPv4Address, ...] = ()
    port: Port
    user: int = Field(ge=1000, le=4_294_967_293, strict=True)
    limits: Limits
    health: HealthSpec
    replicas: int = Field(default=1, ge=1, le=10_000, strict=True)
    workers: int = Field(default=1, ge=1, le=64, strict=True)
    threads: int = Field(default=1, ge=1, le=256, strict=True)
    module: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] | None = None
    secrets: tuple[Annotated[str, Field(pattern=r"^\w[\w.]*$")], ...] = ()
    #: Whether an application keeps a directory over restarts; PostgreSQL always does.
    data: bool = False
    egress: Egress | None = None
    #: Where the product service reads what it has answered: in Redis each time, or in its process
    #: while Redis vouches for it, which takes a hop out of what is compared.
    cache: Literal["shared", "near"] = "shared"

    @model_validator(mode="after")
    def _module_when_python(self) -> ServiceSpec:
        if (self.runtime in {"asgi", "wsgi"}) != (self.module is not None):
            raise ValueError("a module goes with the runtimes asgi and wsgi, and only with them")
        if self.data and self.module is None:
            raise ValueError("data is for the runtimes asgi and wsgi: a store has its own")
        if self.cache == "near" and self.module != CACHING_MODULE:
            raise ValueError(f"cache: near is for the module {CACHING_MODULE}: no other caches")
        if self.health.ping not in {None, self.runtime}:
            raise ValueError(f"a {self.runtime} does not answer the ping of {self.health.ping}")
        return self


class FlowSpec(_Written):
    """One permission to connect."""

    source: str = Field(alias="from")
    destination: str = Field(alias="to")
    world: WorldName | None = None  # None: both
    protocol: Literal["tcp", "udp"] = "tcp"
    port: Port | None = None  # None: the destination's own


class HostPortSpec(_Written):
    """One published port: a port of the host that leads to a service."""

    world: WorldName
    port: Port
    service: str
    bind: IPv4Address = IPv4Address("127.0.0.1")


class HostsSpec(_Written):
    """Where replicas are when the stack is spread over several hosts."""

    #: The network that joins the hosts, and its bridge where they are simulated.
    underlay: Subnet = IPv4Network("10.88.0.0/24")
    bridge: BridgeName = "br-underlay"
    #: Real hosts by name, with their addresses; without any they are host-1, host-2 and so on.
    machines: dict[HostName, IPv4Address] = {}
    #: The hosts that a service's replicas go to in turn; the others go round all hosts.
    placement: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    #: The VXLAN network identifier of the first segment; the others' follow.
    vni: int = Field(default=7300, ge=1, le=16_777_000, strict=True)


class SoftwareSpec(_Written):
    """Docker's base images by role, where they are not our own."""

    bases: dict[Literal["python", "nginx", "redis", "postgres"], str] = {}


class Topology(_Written):
    """The whole platform as declared."""

    shapes: dict[str, ShapeSpec] = Field(min_length=1)
    services: dict[ServiceName, ServiceSpec] = Field(min_length=1)
    flows: tuple[FlowSpec, ...] = ()
    egress: Egress = Egress()
    edge: RateLimit | None = None
    host_ports: tuple[HostPortSpec, ...] = ()
    hosts: HostsSpec = HostsSpec()
    software: SoftwareSpec = SoftwareSpec()
