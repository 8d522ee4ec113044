"""What NAT made of a request's addresses, as the links saw it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from twinstack.observe.journey.exchanges import Exchange
from twinstack.observe.journey.report import Rewrite, SentRequest
from twinstack.observe.journey.segments import Ends
from twinstack.observe.journey.steps import CLIENT


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
        for segment in exchange.connection.segments:
            forms = {sighting.ends for sighting in segment.sightings}
            if exchange is exchanges[0] and segment.sender == exchange.request.sender:
                forms.add(request.ends)
            ends |= {(*one[:2], *other[2:]) for one in forms for other in forms}
    return ends


def _text(ends: Ends) -> str:
    return f"{ends[0]}:{ends[1]} → {ends[2]}:{ends[3]}"
