"""What each connection carried of one request: found by its id, or by lying within it; pure.

A *leg* is one TCP connection's part: client to nginx, nginx to the gateway, …. Legs of HTTP are
known by the request's id in their payload; a service's exchanges with the stores by lying between
the request's arrival there and the answer's departure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from twinstack.observe.journey.segments import Connection, Packet, Sight, connections, packets


@dataclass(frozen=True, slots=True)
class Leg:
    """What one connection carried: the request, and its answer's packets that came in time."""

    client: str
    server: str
    connection: Connection
    request: Packet
    answers: tuple[Packet, ...]

    @property
    def arrived_ns(self) -> int:
        return self.request.last.time_ns

    @property
    def answered_ns(self) -> int:
        return self.answers[0].first.time_ns if self.answers else self.arrived_ns


def joined(sights: Sequence[Sight], request_id: str, named: Callable[[str], str]) -> list[Leg]:
    """Find all legs. `named` says whose an address is."""
    found = connections(packets(sights))
    legs = [leg for one in found for leg in _http(one, request_id.encode(), named)]
    spans = [(leg.server, leg.arrived_ns, leg.answered_ns) for leg in legs if leg.answers]
    carrying = {id(leg.connection) for leg in legs}
    for one in found:
        if id(one) not in carrying:
            legs += [
                leg
                for leg in _exchanges(one, named)
                if any(
                    leg.client == who and begin <= leg.request.first.time_ns <= end
                    for who, begin, end in spans
                )
            ]
    return sorted(legs, key=lambda leg: leg.request.first.time_ns)


def _http(connection: Connection, mark: bytes, named: Callable[[str], str]) -> Iterator[Leg]:
    for packet in connection.packets:
        if mark in packet.payload and not packet.payload.startswith(b"HTTP/"):
            asker = sender(packet)
            answers = tuple(
                one
                for one in connection.packets
                if one.payload and sender(one) != asker and one.first.time_ns > packet.first.time_ns
            )
            yield Leg(*_names(packet, named), connection, packet, answers)
            return


def _exchanges(connection: Connection, named: Callable[[str], str]) -> Iterator[Leg]:
    """Give each question and its answer, of a protocol in which the client speaks first."""
    question: Packet | None = None
    answers: list[Packet] = []
    for packet in connection.packets:
        if not packet.payload:
            continue
        if question is None or (sender(packet) == sender(question) and answers):
            if question is not None:
                yield Leg(*_names(question, named), connection, question, tuple(answers))
            question, answers = packet, []
        elif sender(packet) != sender(question):
            answers.append(packet)
    if question is not None and answers:
        yield Leg(*_names(question, named), connection, question, tuple(answers))


def sender(packet: Packet) -> tuple[str, int]:
    """Tell who sent a packet: the port of the end that NAT leaves alone is the first sight's."""
    return packet.first.ends[0], packet.first.ends[1]


def _names(packet: Packet, named: Callable[[str], str]) -> tuple[str, str]:
    return named(packet.first.ends[0]), named(packet.last.ends[2])
