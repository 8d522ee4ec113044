"""Why a connection between simulated hosts passes, or does not: one attempt, seen from both ends.

The attempt is made and watched as in one host's world, with the way between the hosts beside it.
`crossing` finds what is wrong there; causes at either end are those of one host's world, looked for
in what was seen of that host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from twinstack.errors import Missing, WrongUse
from twinstack.linux import iptables, links
from twinstack.linux.packet_ring import CapturePoint
from twinstack.linux.process import run
from twinstack.model import names
from twinstack.model.plan import HOST, OUTSIDE, Plan
from twinstack.model.topology import WorldName
from twinstack.namespaces import dumps
from twinstack.namespaces.steps import network_steps
from twinstack.namespaces.world import NamespaceWorld
from twinstack.observe.why import causes_far, causes_host, causes_near, explanation
from twinstack.observe.why.case import Case, Cause, FailureCause
from twinstack.observe.why.evidence import Evidence, is_copy
from twinstack.observe.why.explanation import Explanation
from twinstack.observe.why.gather import gather
from twinstack.observe.why.question import Question, parse
from twinstack.overlay import crossing, hosts, verify
from twinstack.overlay.crossing import Crossing, HostSide
from twinstack.overlay.world import Overlay
from twinstack.world import Link

#: Commands of the host's own shell.
_SHELL = ("ip ", "bridge ", "iptables ", "sysctl ", "nft ", "tc ")


@dataclass(frozen=True, slots=True)
class _Look:
    """A host, and the interfaces of its world by their names there."""

    side: HostSide
    world_links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class _View:
    """The world of the host that asks, as `gather` needs it, with the replica at the other end."""

    plan: Plan
    shown: tuple[Link, ...]
    where: Mapping[str, Path | None]
    pids: Mapping[str, int]
    name: WorldName = "net"

    def links(self) -> tuple[Link, ...]:
        return self.shown

    def namespaces(self) -> dict[str, Path | None]:
        return dict(self.where)

    def main_pids(self) -> dict[str, int]:
        return dict(self.pids)


def ask(overlay: Overlay, source: str, destination: str, protocol: str) -> Explanation:
    """Try one connection from a replica, or from a host by its name, and explain it.

    Raises: WrongUse; Missing when the overlay, or one of the two hosts, is not up; StepFailed.
    """
    question, near, far = _parsed(overlay, source, destination, protocol)
    with verify.network_namespaces(overlay) as paths:
        works = {
            name: partial(_look, overlay.on_host(overlay.spread.host(name)), name)
            for name in dict.fromkeys((near, far))
        }
        looks = hosts.on_each(overlay.plan.instance, works)
        here, there = looks[near], looks[far]
        shown = dict.fromkeys(_entered(here, paths))
        shown |= {link: None for link in _entered(there, paths) if link.replica}
        ends = {question.source, question.destination}
        where = {name: path for name, path in paths.items() if name in ends}
        pids = {**there.side.pids, **here.side.pids}
        view = _View(here.side.plan, tuple(shown), {HOST: paths[near], **where}, pids)
        beside = {far: paths[far]} if near != far else {}
        points = tuple(_points(overlay, question, looks, paths)) if near != far else ()
        evidence = gather(view, question, beside, points)
    if near == far:
        found = explanation.explain(evidence, causes_on(near))
    else:
        found = _across(overlay, evidence, here.side, there.side)
    return _named(found, source, near, overlay.spread.where)


def _named(found: Explanation, source: str, near: str, where: Mapping[str, str]) -> Explanation:
    """Call the host that asks by its name, and the tasks by the overlay's."""
    asked = re.sub(rf"^{HOST}(?= to )", source, found.sentence)
    return replace(
        found,
        world="overlay",
        source=source,
        sentence=asked,
        remedy=renamed(found.remedy, where),
        hops=tuple(replace(hop, place=near) if hop.place == HOST else hop for hop in found.hops),
        rules=tuple(
            replace(rule, where=near) if rule.where == HOST else rule for rule in found.rules
        ),
        drops=tuple(re.sub(rf"^{HOST}(?=[,:])", near, drop) for drop in found.drops),
    )


def _parsed(
    overlay: Overlay, source: str, destination: str, protocol: str
) -> tuple[Question, str, str]:
    """Give the question, the host that asks, and the host of the destination. Raises: WrongUse."""
    spread = overlay.spread
    known = [host.name for host in spread.hosts]
    if source in {HOST, OUTSIDE}:
        cause, remedy = f"there are {', '.join(known)}", "name one of them, or a replica"
        raise WrongUse(source, "is no end of a connection in the overlay", cause, remedy)
    asked = HOST if source in known else source
    question = parse(overlay.plan, "net", asked, destination, protocol)
    near = source if asked == HOST else spread.where[question.source]
    if question.destination not in spread.where:
        cause, remedy = "it is no replica's", "name a service or replica"
        raise WrongUse(destination, "cannot be asked in the overlay", cause, remedy)
    for name in (near, far := spread.where[question.destination]):
        if name not in {host.name for host in spread.alive}:
            raise Missing(f"host {name}", "is lost", "overlay.up left it out", crossing.UP)
    return question, near, far


def _look(world: NamespaceWorld, name: str) -> _Look:
    """Look at a host, on that host. Raises: Missing, StepFailed."""
    plan = world.plan
    assert plan.vtep is not None
    found, routes = dumps.read_host()
    rules = iptables.parse_save(run(["iptables-save"]).stdout)
    steps = tuple(network_steps(plan))
    entries, pids = dumps.read_neighbours(), world.main_pids()
    side = HostSide(name, plan, plan.vtep, steps, found, entries, routes, rules, pids)
    return _Look(side, world.links())


def _entered(look: _Look, paths: Mapping[str, Path]) -> Iterator[Link]:
    """Give a host's interfaces with the namespaces as this process reaches them."""
    for link in look.world_links:
        inside = link.kind == "inside"
        yield replace(link, namespace=str(paths[link.replica if inside else look.side.name]))


def _points(
    overlay: Overlay,
    question: Question,
    looks: Mapping[str, _Look],
    paths: Mapping[str, Path],
) -> Iterator[CapturePoint]:
    """List the links between the two hosts, in the order of the way there."""
    (near, here), (far, there) = looks.items()
    segment = overlay.plan.replica(question.destination).segment
    bridge = overlay.plan.segment(segment).bridge

    def point(look: _Look, link: str, place: str = "") -> CapturePoint:
        name = look.side.name
        return CapturePoint(place or f"{name}/{link}", link, str(paths[name]))

    yield point(here, here.side.vtep.tunnel(segment).link)
    yield point(here, here.side.vtep.uplink)
    for port in (names.host_link(near), names.host_link(far)):
        yield CapturePoint(port, port, "")
    yield point(there, there.side.vtep.uplink)
    yield point(there, there.side.vtep.tunnel(segment).link)
    yield replace(point(there, bridge), promiscuous=True)


def _across(overlay: Overlay, evidence: Evidence, near: HostSide, far: HostSide) -> Explanation:
    """Explain an attempt between two hosts. Effects: dumps this machine's links."""
    question, outcome = evidence.question, evidence.attempt.outcome
    evidence = replace(
        evidence,
        drops=tuple(
            drop
            for drop in evidence.drops
            if drop.where != far.name or not is_copy(drop.reason, HOST)
        ),
    )
    way = Crossing(
        near,
        far,
        "" if question.source == HOST else question.source,
        question.destination,
        overlay.spread,
        links.links_here(),
        outcome in {"connected", "silent"},
    )
    beyond = Case(seen_from(evidence, far))
    causes = causes_of(way, beyond)
    found = explanation.explain(evidence, causes, lambda case: _places(case, way, beyond))
    judged = explanation.judged(beyond.evidence)
    there = tuple(replace(each, where=far.name) for each in judged if each.where == HOST)
    rules = tuple(each for each in found.rules if each.where != far.name)
    return replace(found, rules=(*rules, *there))


def seen_from(evidence: Evidence, far: HostSide) -> Evidence:
    """Give the evidence as that of the other host's world: what this one drops is none; pure."""

    def named(where: str) -> str:
        return {far.name: HOST, HOST: "the other host"}.get(where, where)

    return replace(
        evidence,
        plan=far.plan,
        namespaces={**evidence.namespaces, HOST: evidence.namespaces[far.name]},
        rules=tuple(replace(rule, where=named(rule.where)) for rule in evidence.rules),
        drops=tuple(
            replace(drop, where=named(drop.where))
            for drop in _without_drops_of(evidence, HOST).drops
        ),
        saved_rules=far.rules,
    )


def causes_on(host: str) -> tuple[Cause, ...]:
    """List what is looked for between two replicas of one host; pure."""
    return tuple(_on(look, host) for look in explanation.CAUSES)


def _on(look: Cause, host: str) -> Cause:
    return lambda case: on_host(cause, host) if (cause := look(case)) else None


def causes_of(way: Crossing, beyond: Case) -> tuple[Cause, ...]:
    """List what is looked for, from the source on: this host, the way, the other host; pure."""

    def between(look: crossing.Look) -> Cause:
        return lambda _case: look(way)

    def there(look: Cause) -> Cause:
        def found(_case: Case) -> FailureCause | None:
            cause = look(beyond)
            if cause is None:
                return None
            bridge = beyond.far.segment.bridge_in("net") if beyond.far else ""
            where = f"{way.far.name}/{bridge}" if cause.where in {HOST, bridge} else cause.where
            return on_host(replace(cause, where=where), way.far.name)

        return found

    def here(look: Cause) -> Cause:
        own = _on(look, way.near.name)
        return lambda case: own(Case(_without_drops_of(case.evidence, way.far.name)))

    return (
        *map(here, causes_near.CAUSES),
        here(causes_host.denied),
        *map(between, crossing.LOOKS),
        *map(here, causes_host.CAUSES),
        there(causes_host.denied),
        here(causes_far.answer_denied),
        here(causes_far.queueing),
        *map(there, causes_far.CAUSES),
        here(causes_far.dropped),
    )


def _without_drops_of(evidence: Evidence, host: str) -> Evidence:
    drops = tuple(drop for drop in evidence.drops if drop.where != host)
    return replace(evidence, drops=drops)


def _places(case: Case, way: Crossing, beyond: Case) -> Iterator[tuple[str, str]]:
    """Describe each link of the way, in its order."""
    if near := case.near:
        yield f"{near.name}/{near.link}", explanation.inside(near)
        yield from explanation.outside(near)
    for bridge in dict.fromkeys(end.segment.bridge_in("net") for end in (near, case.far) if end):
        link = way.near.links.get(bridge)
        yield bridge, explanation.bridge(link) if link else "is not there"
    if (far := beyond.far) is None:
        return
    segment = far.segment.name
    yield from _side(way.near, segment, way)
    yield from reversed(list(_side(way.far, segment, way)))
    bridge = far.segment.bridge_in("net")
    link = way.far.links.get(bridge)
    yield f"{way.far.name}/{bridge}", explanation.bridge(link) if link else "is not there"
    yield from explanation.outside(far)
    yield f"{far.name}/{far.link}", explanation.inside(far)


def _side(side: HostSide, segment: str, way: Crossing) -> Iterator[tuple[str, str]]:
    """Describe one host's links between its bridge and the underlay."""
    tunnel = side.links.get(side.vtep.tunnel(segment).link)
    if tunnel and tunnel.vxlan:
        vxlan = f"VXLAN {tunnel.vxlan.vni}, UDP {tunnel.vxlan.port}, port of {tunnel.master or '-'}"
        yield side.tunnel(segment), f"{vxlan}, {explanation.state(tunnel)}, MTU {tunnel.mtu}"
    else:
        yield side.tunnel(segment), "is not there"
    uplink, port = side.links.get(side.vtep.uplink), names.host_link(side.name)
    for place, link in ((side.uplink, uplink), (port, way.underlay.get(port))):
        held = f"{', '.join(sorted(link.addresses))}, " if link and link.addresses else ""
        words = f"{held}{explanation.state(link)}, MTU {link.mtu}" if link else "is not there"
        yield place, words


def on_host(cause: FailureCause, host: str) -> FailureCause:
    """Give a cause of one host's world as one of this host; pure."""
    sentence, remedy = (
        re.sub(
            rf"\b(in|of) {HOST}(?=[ ,])|this host", lambda at: f"{at[1] or ''} {host}".strip(), text
        )
        for text in (cause.sentence, cause.remedy)
    )
    if remedy.startswith(_SHELL):
        remedy = f"invoke overlay.exec {host} -- {remedy}"
    return replace(cause, remedy=remedy, sentence=sentence)


def renamed(remedy: str, where: Mapping[str, str]) -> str:
    """Write the tasks of one host's world as the overlay's; pure."""
    remedy = re.sub(
        r"invoke net\.exec (\S+) -- ",
        lambda match: f"invoke overlay.exec {where[match[1]]} -- ip netns exec {match[1]} ",
        remedy,
    )
    remedy = re.sub(r"invoke net\.restart \S+", crossing.UP, remedy)
    return remedy.replace("invoke net.", "invoke overlay.")
