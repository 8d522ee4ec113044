"""A snapshot of connections as text for a terminal. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from operator import attrgetter

from twinstack.model.plan import HOST
from twinstack.observe.connections import report
from twinstack.observe.connections.counts import HALF_OPEN
from twinstack.observe.connections.report import Connections
from twinstack.observe.table import Section, section, section_text
from twinstack.printable import counted, visible

_LEGEND = "open: ESTABLISHED, half: before it, ended: TIME_WAIT"
_TRANSLATION = attrgetter(
    "kind", "source", "destination", "new_source", "new_destination", "connections"
)
Values = tuple[str | int, ...]


def text(snapshot: Connections, width: int = 80) -> str:
    """Write a snapshot. Units: columns of the terminal."""
    warned = (f"! {warning.rule}: {warning.says}" for warning in snapshot.warnings)
    wrapper = textwrap.TextWrapper(width, subsequent_indent="  ", break_on_hyphens=False)
    wrapped = (wrapper.wrap(visible(line)) for line in (*_headline(snapshot), *warned))
    head = [line for lines in wrapped for line in lines]
    tables = (section_text(made, width) for made in _sections(snapshot) if made.rows)
    return "\n\n".join(["\n".join(head), *tables])


def _headline(snapshot: Connections) -> Iterator[str]:
    size, events = snapshot.table, snapshot.events
    room = f" of {size.limit} ({size.entries / size.limit:.1%})" if size.limit else ""
    yield (
        f"{snapshot.world} ({snapshot.shape}): {counted(size.of_world, 'connection')}; "
        f"the host's table has {size.entries}{room}"
    )
    yield "tracked inside namespaces too: " + _tracked_inside(snapshot)
    if snapshot.absent:
        yield "absent: " + ", ".join(snapshot.absent)
    if events is not None:
        lost = f"; more were lost {counted(events.lost, 'time')}" if events.lost else ""
        yield (
            f"{events.per_s(events.new):.1f} new and {events.per_s(events.ended):.1f} ended "
            f"a second, in {events.seconds:.1f} s, of the whole table{lost}"
        )


def _tracked_inside(snapshot: Connections) -> str:
    inside = [one for one in snapshot.sockets if one.replica != HOST]
    tracked = [one.tracked for one in inside if one.tracked]
    if tracked and len(tracked) == len(inside):
        return f"every replica ({min(tracked)} to {max(tracked)} each)"
    return ", ".join(f"{one.replica} ({one.tracked})" for one in inside if one.tracked) or "none"


def _sections(snapshot: Connections) -> Iterator[Section]:
    states = ">open, >half, >ended, >other"
    columns = f"~client, server, port, >all, {states}"
    yield section("pairs", "Connections", _LEGEND, columns, map(_pair, snapshot.pairs))
    columns, note = "NAT, ~from, to, becomes from, to, >all", "addresses before and after"
    translations = map(_TRANSLATION, snapshot.translations)
    yield section("nat", "Translations", note, columns, translations)
    columns = "~source, who, >all, >half"
    sources = [
        (one.name, one.instance, one.connections, one.half_open or "") for one in snapshot.sources
    ]
    yield section("sources", "Sources", "who opened them", columns, sources)
    columns = f"~namespace, listening, {states}"
    sockets = map(_namespace, snapshot.sockets)
    yield section("sockets", "Sockets", "TCP, by namespace", columns, sockets)


def _pair(pair: report.ServicePair) -> Values:
    counts = (pair.count("ESTABLISHED"), pair.count(*HALF_OPEN), pair.count("TIME_WAIT"))
    port = f"{pair.protocol} {pair.port or ''}".rstrip()
    other = pair.connections - sum(counts)
    numbers = (count or "" for count in (*counts, other))
    return (pair.client, pair.server, port, pair.connections, *numbers)


def _namespace(one: report.NamespaceSockets) -> Values:
    ports = ", ".join(
        f"{queue.port}" + (f" ({queue.waiting} waiting)" if queue.waiting else "")
        for queue in one.listening
    )
    half = one.count("SYN_RECV", "SYN_SENT")
    counts = (one.count("ESTABLISHED"), half, one.count("TIME_WAIT"))
    other = sum(one.states.values()) - sum(counts) - one.count("LISTEN")
    return (one.replica, ports, *(count or "" for count in (*counts, other)))
