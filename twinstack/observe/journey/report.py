"""One request's way through a world: which links it crossed, who worked on it, and how long; pure.

From the outermost leg (`legs`) inwards and back, each moment belongs to one *step*: a packet
between two links, or somebody at work. So the steps add up to the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from twinstack.errors import CannotTell
from twinstack.model.topology import WorldName
from twinstack.observe.journey.exchanges import Leg, sender
from twinstack.observe.journey.segments import Ends, Packet
from twinstack.observe.traffic import protocols as h

Kind = Literal["hop", "work", "connect"]
#: What each kind of step is called, in the order of a legend.
KINDS: tuple[tuple[Kind, str], ...] = (
    ("work", "somebody works"),
    ("hop", "between links"),
    ("connect", "a connection opens"),
)
CLIENT = "client"
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """The request as its client saw it. Units: nanoseconds of the real-time clock, bytes."""

    ends: Ends
    began_ns: int
    connected_ns: int
    sent_ns: int
    done_ns: int
    status: int
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of the way. Units: microseconds since the client began; `depth` counts legs.

    `stage` is what it is part of, in words that both worlds share.
    """

    kind: Kind
    depth: int
    stage: str
    what: str
    at_us: float
    took_us: float


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What NAT did to a leg's request, between two links; its answer is turned back likewise."""

    after: str
    before_ends: str
    until: str
    after_ends: str


@dataclass(frozen=True, slots=True)
class Counted:
    """A rule of the host's iptables, and how much more it counted afterwards than before."""

    table: str
    chain: str
    rule: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Journey:
    """The whole way. Units: microseconds. `sights` of `packets`, on `links`, carried the request
    and its answer, handshakes and acknowledgements included.
    """

    world: WorldName
    shape: str
    path: str
    url: str
    status: int
    body_bytes: int
    total_us: float
    links: int
    packets: int
    sights: int
    steps: tuple[Step, ...]
    rewrites: tuple[Rewrite, ...]
    rules: tuple[Counted, ...]
    notes: tuple[str, ...]


def steps(legs: Sequence[Leg], asked: Asked, stage: Callable[[str], str]) -> tuple[Step, ...]:
    """Divide the time between the client's begin and end. `stage` gives a replica's service.

    Raises: CannotTell when the request was seen nowhere.
    """
    if not legs:
        raise CannotTell(
            "the request", "was seen on no link", "it took another way", 'run "invoke health"'
        )
    way = _Way(legs, asked, stage)
    way.go()
    return tuple(way.steps)


class _Way:
    """Walks the legs, from the client's begin to its end."""

    def __init__(self, legs: Sequence[Leg], asked: Asked, stage: Callable[[str], str]) -> None:
        self.steps: list[Step] = []
        self._legs, self._asked, self._stage = legs, asked, stage
        self._at = asked.began_ns

    def go(self) -> None:
        asked, root = self._asked, self._legs[0]
        self._until(
            "connect",
            0,
            f"{CLIENT} → {root.server}: connect",
            f"{CLIENT} connects: SYN, SYN+ACK",
            asked.connected_ns,
        )
        self._until("work", 0, CLIENT, f"{CLIENT} sends", root.request.first.time_ns)
        self._leg(replace(root, client=CLIENT), asked.done_ns, 0)
        self._until("work", 0, CLIENT, f"{CLIENT} wakes and reads", asked.done_ns)

    def _leg(self, leg: Leg, limit_ns: int, depth: int) -> None:
        name = f"{self._stage(leg.client)} → {self._stage(leg.server)}"
        self._path(leg.request, depth, f"{name}: request")
        answers = [one for one in leg.answers if one.last.time_ns <= limit_ns]
        if not answers:
            return
        if depth < _DEEPEST:
            self._within(leg, answers[0].first.time_ns, depth + 1)
        self._work(leg.server, answers[0].first.time_ns, depth)
        if len(answers) > 1:
            self._until(
                "work",
                depth,
                self._stage(leg.server),
                f"{leg.server} sends {len(answers) - 1} more packets",
                answers[-1].first.time_ns,
            )
        self._path(answers[-1], depth, f"{name}: answer")

    def _within(self, leg: Leg, until_ns: int, depth: int) -> None:
        """Go through what the server of a leg asked of others before it answered."""
        for other in self._legs:
            begins = other.request.first.time_ns
            if other.client != leg.server or other is leg or not self._at <= begins <= until_ns:
                continue
            if other.connection is leg.connection:
                continue
            self._opening(other, leg.server, begins, depth)
            self._work(leg.server, begins, depth - 1)
            self._leg(other, until_ns, depth)

    def _opening(self, leg: Leg, who: str, until_ns: int, depth: int) -> None:
        """Tell of a connection that was opened for this leg."""
        syn = next(
            (one for one in leg.connection.packets if one.flags & (h.SYN | h.ACK) == h.SYN), None
        )
        answer = next(
            (one for one in leg.connection.packets if one.flags & (h.SYN | h.ACK) == h.SYN | h.ACK),
            None,
        )
        if syn is None or answer is None:
            return
        if self._at <= syn.first.time_ns and answer.last.time_ns <= until_ns:
            self._work(who, syn.first.time_ns, depth - 1)
            name = f"{self._stage(who)} → {self._stage(leg.server)}: connect"
            self._until("connect", depth, name, f"connect to {leg.server}", answer.last.time_ns)

    def _work(self, who: str, until_ns: int, depth: int) -> None:
        self._until("work", depth, self._stage(who), f"{who} works", until_ns)

    def _path(self, packet: Packet, depth: int, stage: str) -> None:
        for one, other in zip(packet.sights, packet.sights[1:], strict=False):
            self._until("hop", depth, stage, f"{one.place} → {other.place}", other.time_ns)

    def _until(self, kind: Kind, depth: int, stage: str, what: str, end_ns: int) -> None:
        """Add what took from where we are until then; nothing where it was overtaken."""
        if end_ns <= self._at:
            return
        begin = (self._at - self._asked.began_ns) / 1000
        self.steps.append(Step(kind, depth, stage, what, begin, (end_ns - self._at) / 1000))
        self._at = end_ns


def rewrites(legs: Sequence[Leg], asked: Asked) -> tuple[Rewrite, ...]:
    """List what NAT made of the requests' addresses, from link to link."""
    found = []
    if legs:
        first = legs[0].request.first
        if first.ends != asked.ends:
            found.append(
                Rewrite(
                    f"the {CLIENT}'s socket", written(asked.ends), first.place, written(first.ends)
                )
            )
    for leg in legs:
        for one, other in zip(leg.request.sights, leg.request.sights[1:], strict=False):
            if one.ends != other.ends:
                found.append(
                    Rewrite(one.place, written(one.ends), other.place, written(other.ends))
                )
    return tuple(found)


def all_ends(legs: Sequence[Leg], asked: Asked) -> set[Ends]:
    """Give the ends of every packet, and those between two rewrites: a target's, then a source's.

    Answers are seen by rules with their ends turned around.
    """
    found = {asked.ends}
    for leg in legs:
        for packet in leg.connection.packets:
            forms = {one.ends for one in packet.sights}
            if leg is legs[0] and sender(packet) == sender(leg.request):
                forms.add(asked.ends)
            found |= {(*one[:2], *other[2:]) for one in forms for other in forms}
    return found


def written(ends: Ends) -> str:
    """Write who sends to whom."""
    return f"{ends[0]}:{ends[1]} → {ends[2]}:{ends[3]}"


def stages(found: Journey) -> dict[str, tuple[Kind, float]]:
    """Add up the steps of each stage, in their order. Units: microseconds."""
    sums: dict[str, tuple[Kind, float]] = {}
    for one in found.steps:
        kind, before = sums.get(one.stage, (one.kind, 0.0))
        sums[one.stage] = kind, before + one.took_us
    return sums
