"""Make the attempt and keep what the kernel shows of it: the effects of `why`.

Links are watched by packet rings, rules by nf_tables' trace, drops by a BPF program. Each belongs
to a file of this process, so nothing stays behind however it ends. Where one cannot be had, the
answer says so and rests on the others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from twinstack.errors import Missing, StepFailed
from twinstack.linux import child, dropped_packets, iptables, nft_trace
from twinstack.linux.packet_ring import MEMORY_BYTES, CapturePoint, Ring, captured, opened
from twinstack.linux.process import run
from twinstack.model.plan import HOST, OUTSIDE, Plan
from twinstack.model.topology import WorldName
from twinstack.observe.capture.targets import capture_point, short_label
from twinstack.observe.why import facts, headers
from twinstack.observe.why.attempt import ProbeSocket
from twinstack.observe.why.evidence import (
    ELSEWHERE,
    AttemptResult,
    Drop,
    Evidence,
    MetRule,
    NamespaceState,
    SeenPacket,
    is_copy,
)
from twinstack.observe.why.headers import Attempted
from twinstack.observe.why.question import Question
from twinstack.observe.why.rules import is_legacy, met_rule
from twinstack.policy.outside import outside
from twinstack.printable import counted
from twinstack.world import Link

_KEPT_BYTES, _RETIRE_MS = 128, 20
#: What the kernel does with the last packet comes after the client's answer.
_AFTER_S = 0.05
Namespaces = Mapping[str, Path | None]


class AskedWorld(Protocol):
    """What must be known of a running world to send an attempt through it."""

    @property
    def name(self) -> WorldName:
        """Its name."""

    @property
    def plan(self) -> Plan:
        """What is deployed."""

    def links(self) -> tuple[Link, ...]:
        """List its interfaces. Raises: Missing when it is not up."""

    def namespaces(self) -> dict[str, Path | None]:
        """Map the host and each present replica to its network namespace."""

    def main_pids(self) -> dict[str, int]:
        """Give the main process of each running replica."""


def gather(
    world: AskedWorld,
    question: Question,
    beside: Mapping[str, Path] = MappingProxyType({}),
    points: Sequence[CapturePoint] = (),
) -> Evidence:
    """Send one attempt through a running world, and observe it.

    `beside` are more namespaces that its packets may pass, and `points` more links.
    Raises: Missing when the world, or an end of the attempt, is not up; StepFailed; CannotTell.
    """
    links = world.links()  # before a word: the world may not be up
    namespaces = world.namespaces()
    if question.source not in {*namespaces, OUTSIDE}:
        cause, remedy = "it does not run", f'run "invoke {world.name}.up"'
        raise Missing(question.source, "cannot ask for anything", cause, remedy)
    with _ends(world, question, namespaces) as (asked, chosen):
        way = (replace(capture_point(link), label=short_label(link)) for link in _way(asked, links))
        return _observed(world, asked, {**chosen, **beside}, [*way, *points])


@contextmanager
def _ends(
    world: AskedWorld, question: Question, namespaces: Namespaces
) -> Iterator[tuple[Question, Namespaces]]:
    """Give the namespaces that matter, with the machine outside while it is needed."""
    wanted = {HOST, question.source, question.destination} & namespaces.keys()
    chosen = {name: namespaces[name] for name in sorted(wanted)}
    if question.source != OUTSIDE:
        yield question, chosen
        return
    with outside(namespaces[HOST], world.plan.mark) as machine:
        address = question.address or machine.host_address
        yield replace(question, address=address), {**chosen, OUTSIDE: machine.namespace}


def _way(question: Question, links: tuple[Link, ...]) -> tuple[Link, ...]:
    """List the links that the attempt may cross, in their order; bridges between the ends."""

    def of(replica: str, *kinds: str) -> list[Link]:
        own = [link for link in links if link.replica == replica]
        return [link for kind in kinds for link in own if link.kind == kind]

    bridges = [link for link in links if link.kind == "bridge"]
    way = [
        *of(question.source, "inside", "host end"),
        *bridges,
        *of(question.destination, "host end", "inside"),
    ]
    return tuple(dict.fromkeys(way))


@dataclass(frozen=True, slots=True)
class Watched:
    """One attempt, and all packets that were seen meanwhile: its own among them."""

    attempt: AttemptResult
    sightings: tuple[SeenPacket, ...]
    dropped: tuple[dropped_packets.DroppedPacket, ...]
    traced: tuple[tuple[str, nft_trace.Traced], ...]  # each with the namespace that it was met in
    lacking: tuple[str, ...]


def _watched(
    world: AskedWorld,
    question: Question,
    address: str,
    namespaces: Namespaces,
    points: list[CapturePoint],
) -> Watched:
    """Make the attempt under watch."""
    lacking: list[str] = []
    with ExitStack() as stack:
        source = namespaces[question.source]
        client = ProbeSocket(source, question.protocol, _ports(world, question))
        stack.callback(client.close)
        watch = None
        try:
            watch = stack.enter_context(dropped_packets.watching(client.number))
        except Missing as error:
            lacking.append(str(error))
        traces = {}
        for name, path in namespaces.items():
            try:
                opening = partial(nft_trace.opened, client.number)
                traces[name] = stack.enter_context(child.socket_in(path, opening))
            except OSError as error:
                lacking.append(f"the rules that {name} applied: cannot be traced: {error}")
        rings = stack.enter_context(_rings(points))
        attempt = client.send(address, question.port, question.speech, question.path)
        time.sleep(_AFTER_S)
        for ring in rings:
            ring.stop()
        time.sleep(2 * _RETIRE_MS / 1000)
        sightings = [sighting for ring in rings for sighting in _sightings(ring)]
        for ring in rings:
            ring.count()
            if ring.dropped:
                lacking.append(f"{ring.label}: {counted(ring.dropped, 'packet')} too many to see")
        return Watched(
            attempt,
            tuple(sightings),
            tuple(watch.read()) if watch else (),
            tuple((name, each) for name, sock in traces.items() for each in nft_trace.read(sock)),
            tuple(lacking),
        )


def _observed(
    world: AskedWorld, question: Question, namespaces: Namespaces, points: list[CapturePoint]
) -> Evidence:
    """Make the attempt, then look at what it met."""
    pids = world.main_pids()
    pid, own_pid = pids.get(question.destination), pids.get(question.source)
    named, entry = False, None
    if question.by_name and own_pid is not None and question.destination in pids:
        named, entry = facts.hosts_entry(own_pid, question.destination)
    address = entry or question.address
    throttled_us = facts.throttled_us(pid)
    watched = _watched(world, question, address, namespaces, points)
    attempt = watched.attempt
    # The destination's way back is to the client as it was seen there, after NAT.
    last = {question.destination} - {question.source}
    every = {n: facts.facts_of(n, path, address) for n, path in namespaces.items() if n not in last}
    attempted = Attempted(
        question.protocol,
        attempt.number,
        frozenset(_addresses(every[question.source])),
        frozenset(_addresses(every[HOST]) if HOST in every else ()),
        _server_ports(world, question),
    )
    seen = tuple(each for each in watched.sightings if attempted.owns(each.headers))
    for name in last & namespaces.keys():
        every[name] = facts.facts_of(name, namespaces[name], _client_address(seen, attempt))
    saved = {
        name: child.inside(name, path, lambda: run(["iptables-save"]).stdout)
        for name, path in namespaces.items()
    }
    legacy = (
        f"the rules that {name} applied: cannot be traced: its iptables is the legacy one"
        for name, text in saved.items()
        if is_legacy(text)
    )
    tables = {name: iptables.parse_save(text) for name, text in saved.items()}
    return Evidence(
        plan=world.plan,
        question=question,
        attempt=attempt,
        places=tuple(point.label for point in points),
        sightings=seen,
        drops=tuple(_drops(watched.dropped, namespaces, every, attempted)),
        rules=tuple(_met(watched.traced, namespaces, tables, attempted)),
        namespaces=every,
        process=facts.process_facts(pid, throttled_us) if pid else None,
        hosts_entry=entry,
        named=named,
        saved_rules=tables[HOST],
        tracked=child.inside(HOST, namespaces[HOST], partial(facts.tracked, attempt.number)),
        lacking=(*watched.lacking, *legacy),
    )


def _drops(
    dropped: tuple[dropped_packets.DroppedPacket, ...],
    namespaces: Namespaces,
    every: Mapping[str, NamespaceState],
    attempted: Attempted,
) -> Iterator[Drop]:
    """Give the attempt's own packets that were dropped, each with its place's name."""
    names = {_inode(path): name for name, path in namespaces.items()}
    for packet in dropped:
        head, where = headers.read(packet.packet), names.get(packet.namespace, ELSEWHERE)
        if head is not None and attempted.owns(head) and not is_copy(packet.reason, where):
            known = every[where].links.values() if where in every else ()
            link = next((each.name for each in known if each.index == packet.device), "")
            yield Drop(packet.reason, where, link, head)


@contextmanager
def _rings(points: list[CapturePoint]) -> Iterator[list[Ring]]:
    """Watch the links that there are: one that is gone is seen in the dumps."""
    with ExitStack() as stack:
        rings: list[Ring] = []
        for point in points:
            try:
                share = MEMORY_BYTES // len(points)
                rings += stack.enter_context(opened([point], _KEPT_BYTES, _RETIRE_MS, share))
            except (Missing, StepFailed):
                continue
        yield rings


def _sightings(ring: Ring) -> Iterator[SeenPacket]:
    for _, frame, _ in captured(ring):
        if (head := headers.read_frame(frame)) is not None:
            yield SeenPacket(ring.label, head)


def _client_address(sightings: tuple[SeenPacket, ...], attempt: AttemptResult) -> str:
    """Give the client's address as the destination saw it; "" where nothing arrived."""
    came = [each.headers.source for each in sightings if each.headers.source_port == attempt.number]
    return came[-1] if came else ""


def _met(
    traced: tuple[tuple[str, nft_trace.Traced], ...],
    namespaces: Namespaces,
    tables: Mapping[str, Mapping[str, tuple[str, ...]]],
    attempted: Attempted,
) -> Iterator[MetRule]:
    """Give what was traced of the attempt, with the rules' texts."""
    handles = {  # a kernel without nf_tables has none, and no trace
        name: child.inside(name, namespaces[name], nft_trace.handles) for name in dict(traced)
    }
    heads: dict[tuple[str, int], headers.Headers | None] = {}
    for where, trace in traced:
        if trace.headers:  # with the first rule of each hook: NAT may have changed them
            heads[where, trace.packet] = headers.read(trace.headers)
        head = heads.get((where, trace.packet))
        if head is not None and attempted.owns(head):
            order = handles[where].get((trace.family, trace.table, trace.chain), [])
            saved = tables[where].get(trace.table, ())
            yield met_rule(where, trace, head, saved, order)


def _ports(world: AskedWorld, question: Question) -> frozenset[int]:
    """List the ports that servers have: the client's must be another one."""
    return frozenset({question.port, *(replica.port for replica in world.plan.replicas)})


def _server_ports(world: AskedWorld, question: Question) -> frozenset[int]:
    """List the ports that the attempt's packets may have at the other end: before NAT, and after.

    Only where NAT may act is there another one: this host's published ports.
    """
    if question.protocol == "ping":
        return frozenset({0})
    published = world.plan.published_ports
    behind = {each.replica_port for each in published if each.port == question.port}
    return frozenset({question.port, *behind})


def _addresses(namespace: NamespaceState) -> Iterator[str]:
    for link in namespace.links.values():
        yield from (each.partition("/")[0] for each in link.addresses)


def _inode(namespace: Path | None) -> int:
    return (namespace or child.OWN).stat().st_ino
