"""What is asked: who connects to what, by which address and port. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Literal

from twinstack.errors import WrongUse
from twinstack.model.plan import HOST, OUTSIDE, Plan, Replica
from twinstack.model.topology import WorldName

Protocol = Literal["tcp", "udp", "ping"]
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp", "ping")
#: What is said on a connection, to see that somebody answers.
Speech = Literal["", "http", "redis", "postgres"]
_SPEECH: dict[str, Speech] = {"redis": "redis", "postgres": "postgres"}


@dataclass(frozen=True, slots=True)
class Question:
    """One connection that is to be explained."""

    world: WorldName
    source: str  # a replica, HOST or OUTSIDE
    destination: str  # a replica, HOST, or "" for a machine that the plan does not know
    address: str  # as the plan has it; "": this host's own, which is known when OUTSIDE is there
    port: int  # 0 of a ping
    protocol: Protocol
    published: bool = False  # by a port of the host: `port` is the host's
    speech: Speech = ""
    path: str = ""  # what is asked for by HTTP
    by_name: bool = False  # a replica's, which the source looks up; else an address was given

    def __str__(self) -> str:
        to = self.destination or self.address
        if self.published:
            to += f", by this host's port {self.port}"
        elif self.port:
            to += f":{self.port}"
        return f"{self.source} to {to}" + (f" ({self.protocol})" if self.protocol != "tcp" else "")


def parse(plan: Plan, world: WorldName, source: str, destination: str, protocol: str) -> Question:
    """Read what a user wrote: SOURCE, and DESTINATION with or without :PORT.

    A service is its first replica. Raises: WrongUse.
    """
    if protocol not in PROTOCOLS:
        raise WrongUse(
            "--protocol", f"cannot be {protocol}", "it is tcp, udp or ping", "choose one"
        )
    kind = next(known for known in PROTOCOLS if known == protocol)
    if source not in {HOST, OUTSIDE}:
        source = _replica(plan, source, f"{HOST} or {OUTSIDE}").name
    name, port = _split(destination)
    if (local := plan_port(plan, world, name, port)) is not None:
        _require_local(source, kind)
        return local
    if name == HOST:
        address, to = ("" if source == OUTSIDE else _gateway(plan, world, source)), HOST
    elif name[:1].isdigit():
        address, to = _address(name), _owner(plan, world, name)
    else:
        replica = _replica(plan, name, f"{HOST} or an IPv4 address")
        published = plan.published_port(world, replica.service)
        by_port = source == OUTSIDE and port is None and kind == "tcp"
        if by_port and published and not published.bind.is_loopback:
            speech, path = _speech(replica, replica.port)
            return Question(
                world, source, replica.name, "", published.port, kind, True, speech, path
            )
        address, to, port = str(replica.address_in(world)), replica.name, port or replica.port
    by_name = name != HOST and not name[:1].isdigit()
    if kind == "ping":
        return Question(world, source, to, address, 0, kind, by_name=by_name)
    if port is None:
        cause = "only a service has a port of its own"
        raise WrongUse(destination, "has no port", cause, f"name one: {destination}:80")
    speech, path = _speech(plan.replica(to), port) if to not in {HOST, ""} else ("", "")
    return Question(world, source, to, address, port, kind, False, speech, path, by_name)


def plan_port(plan: Plan, world: WorldName, name: str, port: int | None) -> Question | None:
    """Give the question behind localhost:PORT, where that is a published port of the world."""
    if name != "localhost" and not name.startswith("127."):
        return None
    for published in plan.published_ports:
        if (published.world, published.port) == (world, port):
            replica = plan.replica(published.replica)
            speech, path = _speech(replica, replica.port)
            address = "127.0.0.1" if name == "localhost" else _address(name)
            return Question(
                world, HOST, replica.name, address, published.port, "tcp", True, speech, path
            )
    known = [str(each.port) for each in plan.published_ports if each.world == world]
    cause = f"the {world} world publishes {', '.join(known) or 'no port'}"
    raise WrongUse(f"{name}:{port or ''}", "is no port of this world", cause, "choose one of them")


def _require_local(source: str, kind: Protocol) -> None:
    """Refuse what a port on localhost cannot be asked. Raises: WrongUse."""
    if source != HOST:
        cause, remedy = f"in {source} it is {source} itself", f"ask as {HOST}, or name a service"
        raise WrongUse("localhost", "is this host itself", cause, remedy)
    if kind != "tcp":
        cause, remedy = "ports are published for TCP", "leave it out"
        raise WrongUse("--protocol", f"cannot be {kind} here", cause, remedy)


def _replica(plan: Plan, name: str, beside: str) -> Replica:
    replicas = {replica.name: replica for replica in plan.replicas}
    first = {replica.service: replica for replica in reversed(plan.replicas)}
    found = replicas.get(name) or first.get(name)
    if found is None:
        cause = f"there are {', '.join(replicas)}, {beside}"
        raise WrongUse(name, "is no end of a connection", cause, "choose one of them")
    return found


def _split(destination: str) -> tuple[str, int | None]:
    name, colon, text = destination.partition(":")
    if not colon:
        return name, None
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise WrongUse(
            destination, "has no such port", "it is a number of 1 to 65535", "choose one"
        )
    return name, int(text)


def _address(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except AddressValueError as error:
        raise WrongUse(text, "is no address", str(error), "write it like 10.0.0.60") from error


def _owner(plan: Plan, world: WorldName, address: str) -> str:
    for replica in plan.replicas:
        own = {str(replica.address_in(world)), *(str(a.address) for a in replica.attachments)}
        if address in own and any(
            IPv4Address(address) in segment.subnet_in(world) for segment in plan.segments
        ):
            return replica.name
    gateways = {str(segment.gateway_in(world)) for segment in plan.segments}
    return HOST if address in gateways else ""


def _gateway(plan: Plan, world: WorldName, source: str) -> str:
    segment = plan.segments[0].name if source == HOST else plan.replica(source).segment
    return str(plan.segment(segment).gateway_in(world))


def _speech(replica: Replica, port: int) -> tuple[Speech, str]:
    if port != replica.port:
        return "", ""
    path = replica.health.http_path
    return _SPEECH.get(replica.runtime, "http" if path else ""), path or ""
