"""A flow as observed: a connection that passed, or a packet that the policy denied. Pure.

`WorldFlows` makes them of the kernel's conntrack entries and NFLOG packets, with the names of a
plan; `FlowFilter` chooses among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP
from typing import Literal

from twinstack.errors import WrongUse
from twinstack.linux.conntrack import ConntrackEntry
from twinstack.linux.nflog import DeniedPacket
from twinstack.model import names
from twinstack.model.plan import HOST, OUTSIDE, Plan
from twinstack.model.topology import WorldName
from twinstack.observe.connections.counts import WorldEnds, group_of, written
from twinstack.observe.traffic.peers import NamedPeer, PeerDirectory
from twinstack.observe.traffic.protocols import protocol_name
from twinstack.policy.chains import nflog_prefix
from twinstack.policy.permissions import Permission

FlowVerdict = Literal["allowed", "dropped"]
VERDICTS: tuple[FlowVerdict, ...] = ("allowed", "dropped")
ALLOWED, DROPPED = VERDICTS
_NUMBERS = {"icmp": IPPROTO_ICMP, "tcp": IPPROTO_TCP, "udp": IPPROTO_UDP}


@dataclass(frozen=True, slots=True)
class FlowEnd:
    """One end of a flow."""

    name: str  # the replica, or host; the address of a stranger
    service: str  # host, outside or unknown where it is of none
    address: str

    def is_called(self, name: str) -> bool:
        """Tell whether it is meant by a name."""
        return name in {self.name, self.service, self.address}


@dataclass(frozen=True, slots=True)
class ObservedFlow:
    """A connection that passed, or a packet that was denied."""

    time: float | None  # seconds since 1970: of its last packet so far; None: the kernel kept none
    world: WorldName
    source: FlowEnd
    destination: FlowEnd  # after NAT
    protocol: str
    port: int  # the destination's own; 0 where the protocol has none
    verdict: FlowVerdict
    rule: str  # the declared flow, or what denied it
    transferred: int | None  # bytes both ways; None: not counted


@dataclass(frozen=True, slots=True)
class FlowFilter:
    """Which flows are shown."""

    source: str = ""  # a replica, a service, host, outside or an address; "": any
    destination: str = ""
    port: int = 0  # 0: any
    verdict: str = ""  # "": either
    since: float | None = None  # seconds since 1970

    @property
    def verdicts(self) -> frozenset[FlowVerdict]:
        """Give the verdicts that are asked for."""
        return frozenset(each for each in VERDICTS if self.verdict in {"", each})

    def shows(self, flow: ObservedFlow) -> bool:
        """Tell whether a flow is shown; one without a time is older than any moment."""
        return (
            (not self.source or flow.source.is_called(self.source))
            and (not self.destination or flow.destination.is_called(self.destination))
            and (not self.port or flow.port == self.port)
            and flow.verdict in self.verdicts
            and (self.since is None or (flow.time is not None and flow.time >= self.since))
        )


class WorldFlows:
    """Makes flows of what the kernel tells, with the names of one world's plan."""

    def __init__(
        self, plan: Plan, world: WorldName, host: Iterable[IPv4Address | IPv6Address] = ()
    ) -> None:
        self._directory = PeerDirectory([plan], host)
        self._ends = WorldEnds(self._directory, plan, world)
        self._world = world
        self._prefix = nflog_prefix(plan, world)
        self._chain = names.chain(plan.instance, "DENY", world)

    def allowed(
        self, entry: ConntrackEntry, time: float | None, transferred: int | None = None
    ) -> ObservedFlow | None:
        """Give the flow of a tracked connection; None: it is none of this world's.

        The kernel keeps an entry only if its first packet passed every rule.
        """
        group = group_of(entry)
        if not self._ends.is_ours(group):
            return None
        permission, source, destination = self._judged(
            group.source, group.new_destination, group.protocol, group.new_port
        )
        rule = _declared(permission) if permission else "no flow"
        return ObservedFlow(
            time,
            self._world,
            source,
            destination,
            protocol_name(group.protocol).lower(),
            group.new_port,
            ALLOWED,
            rule,
            transferred,
        )

    def _judged(
        self, source: bytes, destination: bytes, protocol: int, port: int
    ) -> tuple[Permission | None, FlowEnd, FlowEnd]:
        client, server = self._ends.named(source), self._ends.named(destination)
        permission = self._directory.permission(client, server, protocol, port)
        return permission, _end(client, source), _end(server, destination)

    def dropped(self, packet: DeniedPacket, time: float) -> ObservedFlow | None:
        """Give the flow of a denied packet; None: it is none of this world's."""
        if packet.prefix != self._prefix:
            return None
        client, server = ip_address(packet.source).packed, ip_address(packet.destination).packed
        number = _NUMBERS.get(packet.protocol, 0)
        permission, source, destination = self._judged(client, server, number, packet.port)
        # What is declared is denied past a limit, or as a packet of a connection that is unknown.
        why = f"past a limit, or of no connection: {_declared(permission)}" if permission else ""
        rule = f"{self._chain}: {why or 'no flow'}"
        return ObservedFlow(
            time,
            self._world,
            source,
            destination,
            packet.protocol,
            packet.port,
            DROPPED,
            rule,
            None,
        )


def _end(peer: NamedPeer, raw: bytes) -> FlowEnd:
    address = written(raw)
    name = {"service": peer.instance, "host": HOST}.get(peer.kind, address)
    return FlowEnd(name, peer.name, address)


def _declared(permission: Permission) -> str:
    if permission.destination == OUTSIDE:
        return f"egress of {permission.source}"
    return f"flow from {permission.source} to {permission.destination}"


def last_packet(
    entry: ConntrackEntry, left_s: int, timeouts: Mapping[str, int], now: float
) -> float | None:
    """Give when an entry had its last packet, to a second; None: its state has no known timeout.

    Each packet sets an entry's timer to its state's timeout, and it then runs down; while data is
    unacknowledged the timeout is shorter. Source: nf_conntrack_proto_tcp.c.
    """
    if entry.protocol not in {IPPROTO_TCP, IPPROTO_UDP}:
        return None
    timeout = timeouts.get("REPLIED" if entry.state == "UNREPLIED" else entry.state)
    shorter = timeouts.get("unacknowledged", 0)
    if entry.state == "ESTABLISHED" and left_s <= shorter:
        timeout = shorter
    return None if timeout is None else now - max(timeout - left_s, 0)


def latest(flows: Iterable[ObservedFlow], count: int) -> list[ObservedFlow]:
    """Give the last so many, in the order of time; those without one come first."""
    ordered = sorted(flows, key=lambda flow: (flow.time or 0, flow.source.name, flow.port))
    return ordered[-count:]


def check_end(name: str, plans: Sequence[Plan]) -> None:
    """Refuse a name that no end of a flow can have. Raises: WrongUse."""
    try:
        ip_address(name or "0.0.0.0")
    except ValueError:
        known = {HOST, OUTSIDE}
        for plan in plans:
            known |= {each for replica in plan.replicas for each in (replica.name, replica.service)}
        if name not in known:
            cause = f"there are {', '.join(sorted(known))}, and addresses"
            raise WrongUse(name, "is no end of a flow", cause, "choose one of them") from None
