"""What each connection carried of a request, found by its id or by its time; and NAT's work. Pure.

An *exchange* is a request on one TCP connection and its response: client to nginx, nginx to the
gateway, … Those of HTTP have the request's id in their payload. Those with the stores have none:
they lie between the request's arrival at a service and the departure of that service's response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from twinstack.observe.journey.report import CLIENT, Rewrite, SentRequest
from twinstack.observe.journey.segments import (
    Ends,
    Sighting,
    TcpConnection,
    TcpSegment,
    connections,
    segments,
)

#: Names the replica that has an address.
NameOf = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request on one connection, and the segments that answered it."""

    client: str
    server: str
    connection: TcpConnection
    request: TcpSegment
    responses: tuple[TcpSegment, ...]


def find_exchanges(
    sightings: Sequence[Sighting], request_id: str, name_of: NameOf
) -> list[Exchange]:
    """Find all exchanges that belong to a request, in the order of time."""
    exchanges, others = [], []
    for connection in connections(segments(sightings)):
        http = _http(connection, request_id.encode(), name_of)
        if http is None:
            others.append(connection)
        else:
            exchanges.append(http)
    spans = [
        (exchange.server, exchange.request.last.time_ns, exchange.responses[0].first.time_ns)
        for exchange in exchanges
        if exchange.responses
    ]
    for connection in others:
        exchanges += [
            exchange
            for exchange in _all_exchanges(connection, name_of)
            if any(
                exchange.client == server and begin <= exchange.request.first.time_ns <= end
                for server, begin, end in spans
            )
        ]
    return sorted(exchanges, key=lambda exchange: exchange.request.first.time_ns)


def _http(connection: TcpConnection, request_id: bytes, name_of: NameOf) -> Exchange | None:
    for request in connection:
        if request_id in request.payload and not request.payload.startswith(b"HTTP/"):
            responses = [
                segment
                for segment in connection
                if segment.payload
                and segment.sender != request.sender
                and segment.first.time_ns > request.first.time_ns
            ]
            return _exchange(connection, request, responses, name_of)
    return None


def _all_exchanges(connection: TcpConnection, name_of: NameOf) -> Iterator[Exchange]:
    """Yield each request and its response, of a protocol in which the client speaks first."""
    request: TcpSegment | None = None
    responses: list[TcpSegment] = []
    for segment in connection:
        if not segment.payload:
            continue
        if request is None or (segment.sender == request.sender and responses):
            if request is not None:
                yield _exchange(connection, request, responses, name_of)
            request, responses = segment, []
        elif segment.sender != request.sender:
            responses.append(segment)
    if request is not None and responses:
        yield _exchange(connection, request, responses, name_of)


def _exchange(
    connection: TcpConnection, request: TcpSegment, responses: Sequence[TcpSegment], name_of: NameOf
) -> Exchange:
    client, server = name_of(request.first.ends[0]), name_of(request.last.ends[2])
    return Exchange(client, server, connection, request, tuple(responses))


def rewrites(exchanges: Sequence[Exchange], request: SentRequest) -> tuple[Rewrite, ...]:
    """List what NAT made of the requests' addresses, from link to link."""
    seen = [
        (here.place, here.ends, there.place, there.ends)
        for exchange in exchanges
        for here, there in exchange.request.hops
    ]
    if exchanges:
        first = exchanges[0].request.first
        seen.insert(0, (f"the {CLIENT}'s socket", request.ends, first.place, first.ends))
    return tuple(
        Rewrite(place, _text(ends), next_place, _text(next_ends))
        for place, ends, next_place, next_ends in seen
        if ends != next_ends
    )


def all_ends(exchanges: Sequence[Exchange], request: SentRequest) -> set[Ends]:
    """Give the ends of every packet, and those between two rewrites: destination, then source.

    Rules see a response with its ends turned around.
    """
    ends = {request.ends}
    for exchange in exchanges:
        for segment in exchange.connection:
            forms = {sighting.ends for sighting in segment.sightings}
            if exchange is exchanges[0] and segment.sender == exchange.request.sender:
                forms.add(request.ends)
            ends |= {(*one[:2], *other[2:]) for one in forms for other in forms}
    return ends


def _text(ends: Ends) -> str:
    return f"{ends[0]}:{ends[1]} → {ends[2]}:{ends[3]}"
