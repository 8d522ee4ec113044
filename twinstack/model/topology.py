"""The written model: what topology.yml says, parsed once and checked whole.

`load` gives a `Topology` or raises `TopologyError` with one line for every mistake, each with
the path to the value. pydantic checks the form of each value, `topology_rules` what the values
say of each other. Nothing here decides an address or a name: that is `plan.resolve`.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from twinstack.model.names import interface_problem

_SIZE = re.compile(r"(\d+)([KMG])")
#: What one multiport match of iptables takes, and one hashlimit.
PORTS_MAX = 15
RATE_MAX = 10_000
_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


def _bytes(value: object) -> int:
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a size is a whole number with K, M or G, such as 128M")
    size = int(found[1]) * _UNITS[found[2]]
    if size % 4096:  # the kernel rounds a limit to whole pages, and reads it back so
        raise ValueError("a size is a whole number of pages of 4K")
    return size


def _interface(value: str) -> str:
    if problem := interface_problem(value):
        raise ValueError(problem)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", value):
        # A dot divides a sysctl's path, a plus is iptables's wildcard, a quote ends a rule's word.
        raise ValueError(f"{value!r} is not letters, digits, hyphens and underscores")
    return value


def _pool(value: object) -> tuple[IPv4Address, IPv4Address]:
    ends = str(value).split("-")
    if len(ends) != 2:
        raise ValueError("a pool is FIRST-LAST, such as 10.0.0.128-10.0.0.239")
    first, last = (IPv4Address(end.strip()) for end in ends)
    if last < first:
        raise ValueError(f"its last address {last} comes before its first {first}")
    return first, last


Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Size = Annotated[int, BeforeValidator(_bytes), Field(ge=8 * 1024**2)]
InterfaceName = Annotated[str, AfterValidator(_interface)]
WorldName = Literal["net", "docker"]
Runtime = Literal["nginx", "asgi", "wsgi", "redis", "postgres"]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SegmentSpec(_Written):
    """One layer-2 network: a bridge in one world, a Docker network in the other."""

    bridge: InterfaceName
    subnet: IPv4Network
    docker_subnet: IPv4Network
    tiers: tuple[str, ...] = Field(min_length=1)
    pool: Annotated[tuple[IPv4Address, IPv4Address] | None, BeforeValidator(_pool)] = None


class ShapeSpec(_Written):
    """One way to lay the tiers out on segments."""

    segments: dict[str, SegmentSpec] = Field(min_length=1)


class LimitsSpec(_Written):
    """Units: cpus in cores, memory in bytes once parsed, pids in processes and threads."""

    cpus: float = Field(ge=0.01, le=1024)
    memory: Size
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


class EgressSpec(_Written):
    """Ports that services may reach on the internet: every service, or the one that declares it."""

    tcp: tuple[Port, ...] = Field(default=(), max_length=PORTS_MAX)
    udp: tuple[Port, ...] = Field(default=(), max_length=PORTS_MAX)

    @model_validator(mode="after")
    def _each_once(self) -> EgressSpec:
        for name, ports in (("tcp", self.tcp), ("udp", self.udp)):
            if len(set(ports)) < len(ports):
                raise ValueError(f"{name} names a port twice")
        return self


class EdgeSpec(_Written):
    """How many new connections a second one client address may open to what the world may reach.

    `burst` is what it may open at once after a pause. iptables keeps no finer count than these.
    """

    new_connections_per_second: int = Field(ge=1, le=RATE_MAX, strict=True)
    burst: int = Field(ge=1, le=RATE_MAX, strict=True)


class ServiceSpec(_Written):
    """One service as declared."""

    runtime: Runtime
    tier: str
    addresses: tuple[IPv4Address, ...] = ()
    port: Port
    user: int = Field(ge=1000, le=4_294_967_293, strict=True)
    limits: LimitsSpec
    health: HealthSpec
    replicas: int = Field(default=1, ge=1, le=10_000, strict=True)
    workers: int = Field(default=1, ge=1, le=64, strict=True)
    threads: int = Field(default=1, ge=1, le=256, strict=True)
    module: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] | None = None
    secrets: tuple[Annotated[str, Field(pattern=r"^\w[\w.]*$")], ...] = ()
    egress: EgressSpec | None = None

    @model_validator(mode="after")
    def _module_when_python(self) -> ServiceSpec:
        if (self.runtime in {"asgi", "wsgi"}) != (self.module is not None):
            raise ValueError("a module goes with the runtimes asgi and wsgi, and only with them")
        if self.health.ping not in {None, self.runtime}:
            raise ValueError(f"a {self.runtime} does not answer the ping of {self.health.ping}")
        return self


class FlowSpec(_Written):
    """One permission to connect, in both worlds or in the one it names.

    Without `port` it is the destination's own.
    """

    source: str = Field(alias="from")
    destination: str = Field(alias="to")
    world: WorldName | None = None
    protocol: Literal["tcp", "udp"] = "tcp"
    port: Port | None = None


class HostPortSpec(_Written):
    """One port of the host that leads to a service."""

    world: WorldName
    port: Port
    service: str
    bind: IPv4Address = IPv4Address("127.0.0.1")


class HostsSpec(_Written):
    """Where replicas are when the stack is spread over several hosts.

    `underlay` joins the hosts, by `bridge` where they are simulated. `machines` names them with
    their addresses; without it they are host-1, host-2 and so on. `placement` names, for a
    service, the hosts that its replicas go to in turn; who is not named goes round all of them.
    `vni` is the first segment's VXLAN network identifier, the others' follow.
    """

    underlay: IPv4Network = IPv4Network("10.88.0.0/24")
    bridge: InterfaceName = "br-underlay"
    machines: dict[str, IPv4Address] = {}
    placement: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    vni: int = Field(default=7300, ge=1, le=16_777_000, strict=True)


class SoftwareSpec(_Written):
    """Docker's base images by role, where they are not our own."""

    bases: dict[Literal["python", "nginx", "redis", "postgres"], str] = {}


class Topology(_Written):
    """The whole platform as declared."""

    shapes: dict[str, ShapeSpec] = Field(min_length=1)
    services: dict[str, ServiceSpec] = Field(min_length=1)
    flows: tuple[FlowSpec, ...] = ()
    egress: EgressSpec = EgressSpec()
    edge: EdgeSpec | None = None
    host_ports: tuple[HostPortSpec, ...] = ()
    hosts: HostsSpec = HostsSpec()
    software: SoftwareSpec = SoftwareSpec()
