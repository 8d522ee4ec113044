"""What was observed of one attempt: data only, a comment a field. Units: seconds, bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from twinstack.linux.links import ChosenRoute, LinkFacts
from twinstack.linux.neigh import Neighbour
from twinstack.linux.sock_diag import TcpSocket
from twinstack.model.plan import HOST, Plan
from twinstack.observe.why.headers import Headers
from twinstack.observe.why.question import Question

#: answered: somebody said something. connected: nobody did, though something was asked.
#: open: a connection, nothing was asked. silent: nothing came back at all.
Outcome = Literal["answered", "connected", "open", "refused", "silent", "failed"]

ELSEWHERE = "another namespace"


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What the client saw."""

    number: int  # its port, or its pings' identifier
    address: str  # that it asked for
    outcome: Outcome
    took_s: float
    error: str = ""  # the name of the errno that ended it: EHOSTUNREACH, …
    status: int = 0  # of an HTTP answer
    said: str = ""  # the first words of the answer


@dataclass(frozen=True, slots=True)
class SeenPacket:
    """One packet of the attempt on one link."""

    place: str  # as `capture.targets.short_label` names it
    headers: Headers


@dataclass(frozen=True, slots=True)
class Drop:
    """A packet of the attempt that the kernel dropped."""

    reason: str
    where: str  # a replica, HOST or ELSEWHERE
    link: str  # that it was at; "" for none
    headers: Headers


def is_copy(reason: str, where: str) -> bool:
    """Tell whether a drop is of a copy that nobody waits for.

    A ring makes its bridge promiscuous: frames between others end in the host. A bridge that does
    not know a MAC sends frames to every port, so they end in all namespaces but one.
    """
    return reason == "OTHERHOST" and where in {HOST, ELSEWHERE}


@dataclass(frozen=True, slots=True)
class MetRule:
    """A rule that a packet of the attempt met, or a chain's policy."""

    where: str  # a replica or HOST
    table: str
    chain: str
    rule: str  # as iptables-save has it; "" for a policy, and a rule of no table of iptables
    verdict: str  # accept, drop, …, of what the rule leads to
    headers: Headers
    foreign: bool = False  # a rule of nf_tables itself: iptables does not list it


@dataclass(frozen=True, slots=True)
class NamespaceState:
    """A network namespace after the attempt."""

    links: Mapping[str, LinkFacts]
    route: ChosenRoute | None  # towards the other end
    no_route: str  # the errno's name where there is none
    neighbours: tuple[Neighbour, ...]
    sysctls: Mapping[str, int]  # ip_forward; of each link, rp_filter.LINK and others
    listeners: tuple[TcpSocket, ...]
    conntrack: tuple[int, int] | None  # tracked, and how many may be


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """The destination's main process and its cgroup."""

    pid: int
    state: str  # proc(5)'s letter: T is stopped
    frozen: bool  # its cgroup is
    files: int
    file_limit: int  # 0: not known
    pids: int
    pids_limit: int | None
    oom_kills: int
    throttled_s: float  # while the attempt lasted


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known."""

    plan: Plan
    question: Question
    attempt: AttemptResult
    places: tuple[str, ...]  # the links that were watched, in the order of the way there
    sightings: tuple[SeenPacket, ...]
    drops: tuple[Drop, ...]
    rules: tuple[MetRule, ...]
    namespaces: Mapping[str, NamespaceState]  # of the source, HOST, the destination
    process: ProcessFacts | None  # None: it does not run, or is none of the world's
    hosts_entry: str | None  # what the source's /etc/hosts gives for the name; None: nothing
    named: bool  # whether the source has an /etc/hosts, and asked for a name
    saved_rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # the host's, by table
    tracked: tuple[str, ...] = ()  # the host's conntrack entries of the attempt
    lacking: tuple[str, ...] = ()  # evidence that this kernel, or our rights, did not give

    @property
    def source(self) -> NamespaceState:
        return self.namespaces[self.question.source]

    @property
    def host(self) -> NamespaceState:
        return self.namespaces["host"]

    @property
    def destination(self) -> NamespaceState | None:
        return self.namespaces.get(self.question.destination)

    @property
    def speaks_as_asked(self) -> bool:
        """Tell whether an answer is of the protocol in which something was asked."""
        answered = self.attempt.outcome == "answered" and self.question.speech == "http"
        return not answered or self.attempt.status > 0

    def requests(self) -> tuple[SeenPacket, ...]:
        """Give the sightings of what the client sent."""
        return tuple(each for each in self.sightings if each.headers.source_port == self._number)

    def replies(self) -> tuple[SeenPacket, ...]:
        """Give the sightings of what came back."""
        number = self._number
        return tuple(each for each in self.sightings if each.headers.destination_port == number)

    @property
    def misnamed(self) -> bool:
        """Tell whether the source's /etc/hosts leads elsewhere, or nowhere.

        In a container, Docker's name server knows what the file lacks.
        """
        if not self.named or self.hosts_entry == self.question.address:
            return False
        return self.hosts_entry is not None or self.question.world == "net"

    @property
    def _number(self) -> int:
        return self.attempt.number

    def seen(self, place: str) -> bool:
        """Tell whether the client's packet was seen at a place."""
        return any(sighting.place == place for sighting in self.requests())
