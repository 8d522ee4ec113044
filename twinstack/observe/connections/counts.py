"""Count tracked connections by service, state, translation and source. Pure.

Source ports are left out when counting, so what is kept grows with who talks to whom, not with how
often; only a flood from made-up addresses makes it as long as the kernel's own table.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from twinstack.linux.conntrack import Entry
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.connections.report import Pair, Source, Translation
from twinstack.observe.traffic.packets import MAPPED, address_of
from twinstack.observe.traffic.peers import Peer, PeerDirectory

#: TCP's states before both ends have agreed, as connection tracking sees them.
HALF_OPEN = ("SYN_SENT", "SYN_SENT2", "SYN_RECV")
_PROTOCOLS = {
    socket.IPPROTO_ICMP: "ICMP",
    socket.IPPROTO_TCP: "TCP",
    socket.IPPROTO_UDP: "UDP",
    socket.IPPROTO_SCTP: "SCTP",
    socket.IPPROTO_ICMPV6: "ICMPv6",
}


@dataclass(frozen=True, slots=True)
class Alike:
    """Connections that differ in nothing but the client's port.

    To `destination` and `port` the client sent; the packets went on from `new_source` to
    `new_destination` and `new_port`.
    """

    protocol: int
    state: str
    source: bytes
    destination: bytes
    port: int
    new_source: bytes
    new_destination: bytes
    new_port: int


def alike(entry: Entry) -> Alike:
    """Leave out what every connection has of its own."""
    asked, answered = entry.asked, entry.answered
    return Alike(
        entry.protocol,
        entry.state,
        asked.source,
        asked.destination,
        asked.destination_port,
        answered.destination,
        answered.source,
        answered.source_port,
    )


class Tally:
    """Counted connections, and whose they are in a world of a plan."""

    def __init__(
        self, counts: Mapping[Alike, int], names: PeerDirectory, plan: Plan, world: WorldName
    ) -> None:
        self._names = names
        self._world = world
        self._doors = {door.port for door in plan.published_ports if door.world == world}
        self._known: dict[bytes, Peer] = {}
        self._mine = [(one, count) for one, count in counts.items() if self._is_mine(one)]
        self.total = sum(count for _, count in self._mine)

    def pairs(self) -> tuple[Pair, ...]:
        """List who is connected to whom, most first."""
        found: dict[tuple[str, str, str, int], Counter[str]] = {}
        verdicts = {}
        for one, count in self._mine:
            client, server = self._here(one.source), self._here(one.new_destination)
            key = (client.name, server.name, protocol_name(one.protocol), one.new_port)
            found.setdefault(key, Counter())[one.state] += count
            verdicts[key] = self._names.verdict(client, server, one.protocol, one.new_port)
        pairs = [
            Pair(*key, sum(states.values()), dict(sorted(states.items())), verdicts[key])
            for key, states in found.items()
        ]
        return tuple(
            sorted(pairs, key=lambda one: (-one.connections, one.client, one.server, one.port))
        )

    def translations(self) -> tuple[Translation, ...]:
        """List what NAT changed, most first."""
        found: Counter[tuple[str, str, str, str, str, str, str]] = Counter()
        for one, count in self._mine:
            kinds = []
            if (one.destination, one.port) != (one.new_destination, one.new_port):
                kinds.append("DNAT")
            if one.source != one.new_source:
                kinds.append("SNAT")
            if kinds:
                found[
                    "+".join(kinds),
                    self._here(one.source).name,
                    self._here(one.new_destination).name,
                    written(one.source),
                    place(one.destination, one.port),
                    written(one.new_source),
                    place(one.new_destination, one.new_port),
                ] += count
        ordered = sorted(found.items(), key=lambda one: (-one[1], one[0]))
        return tuple(Translation(*key, count) for key, count in ordered)

    def sources(self) -> tuple[Source, ...]:
        """List who opened them, most first."""
        opened: Counter[tuple[str, str]] = Counter()
        half: Counter[tuple[str, str]] = Counter()
        for one, count in self._mine:
            client = self._here(one.source)
            opened[client.name, client.instance] += count
            if one.state in HALF_OPEN:
                half[client.name, client.instance] += count
        ordered = sorted(opened.items(), key=lambda one: (-one[1], one[0]))
        return tuple(Source(*key, count, half[key]) for key, count in ordered)

    def _is_mine(self, one: Alike) -> bool:
        ends = (
            self._end(raw)
            for raw in (one.source, one.destination, one.new_source, one.new_destination)
        )
        if any(end.world == self._world for end in ends):
            return True
        # A program of the host's may stand at a door (docker-proxy): nothing is translated then.
        return one.port in self._doors and self._end(one.destination).kind in {"local", "host"}

    def _here(self, raw: bytes) -> Peer:
        """Name an end; in the host's own table a loopback address is the host."""
        found = self._end(raw)
        return Peer("host", "host", found.instance) if found.name == "loopback" else found

    def _end(self, raw: bytes) -> Peer:
        found = self._known.get(raw)
        if found is None:
            found = self._known[raw] = self._names.peer(*numbers(raw))
        return found


def count(entries: Iterable[Entry]) -> Counter[Alike]:
    """Count what is alike."""
    return Counter(alike(entry) for entry in entries)


def protocol_name(protocol: int) -> str:
    """Name a transport."""
    return _PROTOCOLS.get(protocol, f"protocol {protocol}")


def numbers(raw: bytes) -> tuple[int, int]:
    """Give the two numbers that `naming` knows an address by."""
    if len(raw) == 4:
        return 0, MAPPED | int.from_bytes(raw, "big")
    return int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")


def written(raw: bytes) -> str:
    """Write an address."""
    return str(address_of(*numbers(raw)))


def place(raw: bytes, port: int) -> str:
    """Write an address and its port."""
    address = written(raw)
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
