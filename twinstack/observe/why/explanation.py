"""From evidence to an answer: does it pass, along which way, and if not, why not. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from twinstack.linux.links import LinkFacts
from twinstack.model.plan import HOST
from twinstack.model.topology import WorldName
from twinstack.observe.why import causes_far, causes_host, causes_near, rules
from twinstack.observe.why.case import Case, Cause, End, FailureCause
from twinstack.observe.why.evidence import Evidence, MetRule

#: A cause is looked for from the source on; the kernel's own reason, where nothing else is found.
CAUSES = (*causes_near.CAUSES, *causes_host.CAUSES, *causes_far.CAUSES)
#: Those of a service that answers: the network has done its part.
ANSWERED = (
    causes_near.name_unknown,
    causes_near.name_wrong,
    causes_far.short_of,
    causes_far.unwell,
)
_UNKNOWN = "unknown"
#: Gives each link of the way, with what is said of it.
Places = Callable[[Case], Iterator[tuple[str, str]]]
#: The hooks at which the filter table judges, and NAT rewrites.
_SHOWN_TABLES = ("filter", "nat", "raw", "mangle")


@dataclass(frozen=True, slots=True)
class Hop:
    """One place of the way."""

    place: str
    detail: str
    request: bool | None  # seen there; None: no ring was there
    answer: bool | None
    stops: bool = False  # the cause is here


@dataclass(frozen=True, slots=True)
class JudgedBy:
    """A rule that decided about a packet of the attempt."""

    where: str
    rule: str
    verdict: str
    stands_for: str  # the declared flow; "" for a rule of others


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether a connection passes, and why. Units: milliseconds."""

    world: WorldName | Literal["overlay"]
    source: str
    destination: str
    address: str
    port: int
    protocol: str
    passes: bool
    outcome: str  # as `evidence.Outcome`
    took_ms: float
    cause: str  # its short name; "" where it passes
    sentence: str
    remedy: str
    hops: tuple[Hop, ...]
    rules: tuple[JudgedBy, ...]
    rewrites: tuple[str, ...]  # what NAT made of the request
    tracked: tuple[str, ...]  # conntrack entries of the attempt, in the host
    drops: tuple[str, ...]  # what the kernel dropped, with its reason
    lacking: tuple[str, ...]  # evidence that could not be had

    @property
    def is_known(self) -> bool:
        return self.cause != _UNKNOWN


@dataclass(frozen=True, slots=True)
class Explanations:
    """The answer in each world that was asked."""

    worlds: tuple[Explanation, ...]


def explain(
    evidence: Evidence, causes: Sequence[Cause] = CAUSES, places: Places | None = None
) -> Explanation:
    """Find out whether the attempt passed; and where it did not, the cause.

    `causes` are looked for in their order, `places` gives the links of the way.
    """
    case = Case(evidence)
    question, attempt = evidence.question, evidence.attempt
    passes = _passes(evidence)
    cause_found = None if passes else _cause(case, causes)
    return Explanation(
        world=question.world,
        source=question.source,
        destination=question.destination or question.address,
        address=attempt.address,
        port=question.port,
        protocol=question.protocol,
        passes=passes,
        outcome=attempt.outcome,
        took_ms=round(attempt.took_s * 1000, 1),
        cause=cause_found.cause if cause_found else "",
        sentence=cause_found.sentence if cause_found else _success(case),
        remedy=cause_found.remedy if cause_found else "",
        hops=tuple(_hops(case, cause_found, places or _places)),
        rules=tuple(judged(evidence)),
        rewrites=tuple(_rewrites(evidence)),
        tracked=evidence.tracked,
        drops=tuple(
            f"{drop.where}{f', at {drop.link}' if drop.link else ''}: {drop.headers}: {drop.reason}"
            for drop in evidence.drops
        ),
        lacking=evidence.lacking,
    )


def _passes(evidence: Evidence) -> bool:
    attempt = evidence.attempt
    if evidence.misnamed or not evidence.speaks_as_asked:
        return False
    return attempt.outcome in {"answered", "open"} and attempt.status < 500


def _cause(case: Case, causes: Sequence[Cause]) -> FailureCause:
    """Give the first cause that the evidence shows."""
    if case.evidence.attempt.outcome == "answered":
        causes = ANSWERED
    return next((found for look in causes if (found := look(case))), None) or _unexplained(case)


def _success(case: Case) -> str:
    attempt, question = case.evidence.attempt, case.evidence.question
    how = {"open": "is accepted", "answered": "is answered"}[attempt.outcome]
    said = f" with {attempt.status}" if attempt.status else ""
    why = case.declared
    if not case.evidence.plan.policy:
        why = "the policies are off"
    return f"{question} {how}{said} in {attempt.took_s * 1000:.1f} ms" + (f": {why}" if why else "")


def _unexplained(case: Case) -> FailureCause:
    question, attempt = case.evidence.question, case.evidence.attempt
    far = case.far
    if question.protocol == "udp" and far and case.evidence.seen(f"{far.name}/{far.link}"):
        return FailureCause(
            "no-answer",
            far.name,
            f"the datagram reached {far.name}; nobody answered it, and nobody has to",
            "ask the service's log",
        )
    if attempt.outcome == "connected" and case.proxied:
        return FailureCause(
            "no-answer",
            question.destination,
            "docker-proxy accepts the connection, and none of its own to"
            f" {question.destination} is followed here; no answer came",
            f"ask on from there: invoke why host {question.destination} --world docker",
        )
    if attempt.outcome == "connected":
        return FailureCause(
            "no-answer",
            question.destination,
            f"{question.destination} accepts the connection, and does not answer in"
            f" {attempt.took_s:.1f} s",
            f"{case.restart(question.destination)} (its log: invoke {question.world}.logs"
            f" {question.destination})",
        )
    return FailureCause(
        _UNKNOWN,
        "",
        f"it does not pass ({attempt.error or attempt.outcome}); no cause was found",
        f'"invoke topology" compares the world with its plan; {case.net_up} repairs it',
    )


def _hops(case: Case, cause_found: FailureCause | None, places: Places) -> Iterator[Hop]:
    """List the way: the ends with their routes, each link in its order, the listener."""
    evidence = case.evidence
    question, attempt = evidence.question, evidence.attempt
    stops = cause_found.where if cause_found else None
    if stops == HOST and question.source != HOST:  # rules and routes act between the bridges
        end = case.near or case.far
        stops = end.segment.bridge_in(question.world) if end else stops
    hops = [_source(case)]
    answers = {packet.place for packet in evidence.replies()}
    for place, detail in places(case):
        watched = place in evidence.places
        seen = (evidence.seen(place), place in answers) if watched else (None, None)
        hops.append(Hop(place, detail, *seen))
    if case.far:
        hops.append(_listener(case))
    else:
        hops.append(Hop(question.destination or attempt.address, attempt.outcome, None, None))
    done = False
    for hop in hops:
        mine = not done and stops is not None and hop.place in {stops, f"{stops} (process)"}
        done = done or mine
        yield replace(hop, stops=mine)


def _places(case: Case) -> Iterator[tuple[str, str]]:
    """Describe each link of the way, in its order: in, out, bridges, and in again."""
    near, far = case.near, case.far
    if near:
        yield f"{near.name}/{near.link}", inside(near)
        yield from outside(near)
    bridges = {end.segment.bridge_in(case.evidence.question.world) for end in (near, far) if end}
    ordered = [place for place in case.evidence.places if place in bridges]
    for place in (*ordered, *sorted(bridges - set(ordered))):
        link = case.evidence.host.links.get(place)
        yield place, bridge(link) if link else "is not there"
    if far:
        yield from outside(far)
        yield f"{far.name}/{far.link}", inside(far)


def _source(case: Case) -> Hop:
    source, question = case.evidence.source, case.evidence.question
    route = source.route
    if route is None:
        return Hop(question.source, f"no route ({source.no_route})", None, None)
    hop = route.gateway or case.evidence.attempt.address
    found = [each for each in source.neighbours if each.address == hop]
    neighbour = f", {hop} is {found[0].mac or '?'} ({found[0].state})" if found else ""
    via = f" via {route.gateway}" if route.gateway else ""
    return Hop(question.source, f"route: {route.link}{via}{neighbour}", None, None)


def inside(end: End) -> str:
    """Describe the link in a replica's namespace."""
    if end.inside is None:
        return "is not there"
    held = ", ".join(sorted(end.inside.addresses)) or "no address"
    return f"{held}, {state(end.inside)}, MTU {end.inside.mtu}"


def outside(end: End) -> Iterator[tuple[str, str]]:
    """Describe the host's end of a replica's pair, where it is known."""
    if end.outside is None:
        if end.host_link:
            yield end.host_link, "is not there"
        return
    port = f"port of {end.outside.master}, {end.outside.port_state}"
    yield end.host_link, f"{port if end.outside.master else 'no port'}, {state(end.outside)}"


def bridge(link: LinkFacts) -> str:
    """Describe a bridge."""
    held = ", ".join(sorted(link.addresses)) or "no address"
    filtered = ", frames pass iptables" if link.filtered else ""
    return f"bridge {held}, {state(link)}{filtered}"


def state(link: LinkFacts) -> str:
    """Say whether a link is up, and its other end too."""
    return "up" if link.up and link.carrier else "no carrier" if link.up else "down"


def _listener(case: Case) -> Hop:
    question, process = case.evidence.question, case.evidence.process
    far = case.evidence.destination
    port = question.port
    if question.published:
        port = case.evidence.plan.replica(question.destination).port
    listeners = [each for each in far.listeners if each.local_port == port] if far else []
    listening = f"listens on {port}" if listeners else f"nothing listens on {port}"
    if question.protocol != "tcp":
        listening = question.protocol
    state = f"process {process.pid} ({process.state})" if process else "no process"
    place = f"{question.destination} (process)"
    return Hop(place, f"{listening}, {state}; {case.evidence.attempt.outcome}", None, None)


def judged(evidence: Evidence) -> Iterator[JudgedBy]:
    """Give the rules that accepted or dropped, or rewrote; each once."""
    seen: set[tuple[str, str, str]] = set()
    for rule in evidence.rules:
        decides = rule.verdict in {"accept", "drop"} and rule.table in _SHOWN_TABLES
        # A policy that accepts: nothing else decided in that chain.
        if not (decides or rule.foreign) or (not rule.rule and rule.verdict == "accept"):
            continue
        key = rule.where, rules.shown(rule), rule.verdict
        if key not in seen:
            seen.add(key)
            yield _judgement(rule, evidence)


def _judgement(rule: MetRule, evidence: Evidence) -> JudgedBy:
    stands = rules.sentence(rule.rule, evidence.plan, evidence.question.world)
    return JudgedBy(rule.where, rules.shown(rule), rule.verdict, stands)


def _rewrites(evidence: Evidence) -> Iterator[str]:
    """Say how the request's ends differ from link to link."""
    ends: list[tuple[str, str]] = []
    for place in evidence.places:
        for sighting in evidence.requests():
            if sighting.place == place and (not ends or ends[-1][1] != str(sighting.headers)):
                ends.append((place, str(sighting.headers)))
                break
    first_seen = ends[0][1] if ends else ""
    asked = f"{evidence.attempt.address}:{evidence.question.port}"
    if evidence.question.published and ends and not first_seen.endswith(asked):
        yield f"{asked} becomes {first_seen} ({ends[0][0]})"
    for (_, before), (place, after) in pairwise(ends):
        yield f"{before} becomes {after} ({place})"
