"""Divide a journey's time into steps, from the client inwards and back. Pure.

Each moment belongs to one step: a packet between two links, or a process at work. So the steps add
up to the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from twinstack.errors import CannotTell
from twinstack.observe.journey.exchanges import Exchange
from twinstack.observe.journey.report import CLIENT, JourneyStep, Kind, SentRequest
from twinstack.observe.journey.segments import TcpSegment, handshake

_MAX_DEPTH = 8


def steps(
    exchanges: Sequence[Exchange], request: SentRequest, stage: Callable[[str], str]
) -> tuple[JourneyStep, ...]:
    """Divide the time between the client's begin and end. `stage` gives a replica's service.

    Raises: CannotTell when the request was seen nowhere.
    """
    if not exchanges:
        raise CannotTell(
            "the request", "was seen on no link", "it took another way", 'run "invoke health"'
        )
    walk = _Walk(exchanges, request, stage)
    walk.whole()
    return tuple(walk.steps)


class _Walk:
    """Goes through the exchanges, from the client's begin to its end."""

    def __init__(
        self, exchanges: Sequence[Exchange], request: SentRequest, stage: Callable[[str], str]
    ) -> None:
        self.steps: list[JourneyStep] = []
        self._exchanges, self._request, self._stage = exchanges, request, stage
        self._at = request.began_ns

    def whole(self) -> None:
        request, outermost = self._request, self._exchanges[0]
        stage = f"{CLIENT} → {outermost.server}: connect"
        what = f"{CLIENT} connects: SYN, SYN+ACK"
        self._until("connect", 0, stage, what, request.connected_ns)
        self._until("work", 0, CLIENT, f"{CLIENT} sends", outermost.request.first.time_ns)
        self._exchange(replace(outermost, client=CLIENT), request.done_ns, 0)
        self._until("work", 0, CLIENT, f"{CLIENT} wakes and reads", request.done_ns)

    def _exchange(self, exchange: Exchange, limit_ns: int, depth: int) -> None:
        name = f"{self._stage(exchange.client)} → {self._stage(exchange.server)}"
        self._hops(exchange.request, depth, f"{name}: request")
        responses = [segment for segment in exchange.responses if segment.last.time_ns <= limit_ns]
        if not responses:
            return
        answered_ns, last = responses[0].first.time_ns, responses[-1]
        if depth < _MAX_DEPTH:
            self._upstream(exchange, answered_ns, depth + 1)
        self._work(exchange.server, answered_ns, depth)
        if len(responses) > 1:
            what = f"{exchange.server} sends {len(responses) - 1} more packets"
            stage = self._stage(exchange.server)
            self._until("work", depth, stage, what, last.first.time_ns)
        self._hops(last, depth, f"{name}: answer")

    def _upstream(self, exchange: Exchange, until_ns: int, depth: int) -> None:
        """Go through what the server asked of its upstreams before it answered."""
        for other in self._exchanges:
            begins_ns = other.request.first.time_ns
            if other.client != exchange.server or other.connection is exchange.connection:
                continue
            if self._at <= begins_ns <= until_ns:
                self._connect(other, exchange.server, begins_ns, depth)
                self._work(exchange.server, begins_ns, depth - 1)
                self._exchange(other, until_ns, depth)

    def _connect(self, exchange: Exchange, client: str, until_ns: int, depth: int) -> None:
        """Add the handshake of a connection that was opened for this exchange."""
        opening = handshake(exchange.connection)
        if opening is None:
            return
        syn, answer = opening
        if self._at <= syn.first.time_ns and answer.last.time_ns <= until_ns:
            self._work(client, syn.first.time_ns, depth - 1)
            stage = f"{self._stage(client)} → {self._stage(exchange.server)}: connect"
            what = f"connect to {exchange.server}"
            self._until("connect", depth, stage, what, answer.last.time_ns)

    def _work(self, replica: str, until_ns: int, depth: int) -> None:
        self._until("work", depth, self._stage(replica), f"{replica} works", until_ns)

    def _hops(self, segment: TcpSegment, depth: int, stage: str) -> None:
        for here, there in segment.hops:
            self._until("hop", depth, stage, f"{here.place} → {there.place}", there.time_ns)

    def _until(self, kind: Kind, depth: int, stage: str, what: str, end_ns: int) -> None:
        """Add a step from the current moment on, unless that is later already."""
        if end_ns <= self._at:
            return
        begin_us = (self._at - self._request.began_ns) / 1000
        took_us = (end_ns - self._at) / 1000
        self.steps.append(JourneyStep(kind, depth, stage, what, begin_us, took_us))
        self._at = end_ns
