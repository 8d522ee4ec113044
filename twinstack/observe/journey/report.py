"""One request's journey through a world: data only. Units: microseconds, bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from twinstack.model.topology import WorldName
from twinstack.observe.journey.segments import Ends

#: Who sends the request: no link of the stack.
CLIENT = "client"
Kind = Literal["hop", "work", "connect"]
#: What each kind of step is called, in the order of a legend.
KINDS: tuple[tuple[Kind, str], ...] = (
    ("work", "a process works"),
    ("hop", "between links"),
    ("connect", "a connection opens"),
)


@dataclass(frozen=True, slots=True)
class SentRequest:
    """The request as its client saw it. Units: nanoseconds of the real-time clock."""

    ends: Ends
    began_ns: int
    connected_ns: int
    done_ns: int
    status: int
    body_bytes: int


@dataclass(frozen=True, slots=True)
class JourneyStep:
    """One piece of the journey."""

    kind: Kind
    depth: int  # how many exchanges it lies within
    stage: str  # what it is part of, in words that both worlds share
    what: str
    at_us: float  # since the client began
    took_us: float


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What NAT made of a request between two links; the response is turned back likewise."""

    after: str  # the link before
    before_ends: str
    until: str  # the link behind
    after_ends: str


@dataclass(frozen=True, slots=True)
class RuleCount:
    """A rule of the host's iptables, and how much more it counted than before."""

    table: str
    chain: str
    rule: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Journey:
    """The whole journey."""

    world: WorldName
    shape: str
    path: str
    url: str
    status: int
    body_bytes: int
    total_us: float
    links: int  # crossed
    packets: int  # of the request's connections, handshakes and acknowledgements included
    sights: int  # these packets, counted at every link
    steps: tuple[JourneyStep, ...]
    rewrites: tuple[Rewrite, ...]
    rules: tuple[RuleCount, ...]
    notes: tuple[str, ...]

    def stages(self) -> dict[str, tuple[Kind, float]]:
        """Add up the steps of each stage, in their order. Units: microseconds."""
        sums: dict[str, tuple[Kind, float]] = {}
        for step in self.steps:
            kind, before = sums.get(step.stage, (step.kind, 0.0))
            sums[step.stage] = kind, before + step.took_us
        return sums


@dataclass(frozen=True, slots=True)
class Journeys:
    """One journey in each world that was asked."""

    worlds: tuple[Journey, ...]
