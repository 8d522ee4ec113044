"""A look at connections as text for a terminal. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from twinstack.model.plan import HOST
from twinstack.observe.connections.counts import HALF_OPEN
from twinstack.observe.connections.report import Connections, Pair, Sockets
from twinstack.observe.table import Column, Section, TableCell, section_text
from twinstack.printable import visible

_OPEN = "ESTABLISHED"
_ENDED = "TIME_WAIT"
_STATES = tuple(Column(name, number=True) for name in ("open", "half", "ended", "other"))
_LEGEND = "open: ESTABLISHED, half: before it, ended: TIME_WAIT"


def text(found: Connections, width: int = 80) -> str:
    """Write it. Units: columns of the terminal."""
    sections = (_pairs(found), _translations(found), _sources(found), _sockets(found))
    head = [*_headline(found), *(f"! {one.rule}: {one.says}" for one in found.concerns)]
    lines = [line for one in head for line in _wrapped(one, width)]
    tables = [section_text(section, width) for section in sections if section.rows]
    return "\n\n".join(["\n".join(lines), *tables])


def _wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(visible(line), width, subsequent_indent="  ", break_on_hyphens=False)


def _headline(found: Connections) -> Iterator[str]:
    size = found.table
    room = f" of {size.limit} ({size.entries / size.limit:.1%})" if size.limit else ""
    yield (
        f"{found.world} ({found.shape}): {size.of_world} connections; "
        f"the host's table has {size.entries}{room}"
    )
    yield "for themselves track: " + _own(found)
    if found.absent:
        yield "not there: " + ", ".join(found.absent)
    if found.events is not None:
        told = found.events
        lost = f"; more was lost {told.lost} times" if told.lost else ""
        yield (
            f"{told.new_per_s:.1f} new and {told.ended_per_s:.1f} ended a second, "
            f"in {told.seconds:.1f} s, of the whole table{lost}"
        )


def _own(found: Connections) -> str:
    inside = [one for one in found.sockets if one.replica != HOST]
    own = [one for one in inside if one.tracked]
    if own and len(own) == len(inside):
        counts = [one.tracked for one in own]
        return f"every replica ({min(counts)} to {max(counts)} each)"
    return ", ".join(f"{one.replica} ({one.tracked})" for one in own) or "no replica"


def _pairs(found: Connections) -> Section:
    columns = (
        Column("client", flexible=True),
        Column("server"),
        Column("port"),
        Column("all", number=True),
        *_STATES,
    )
    rows = tuple(_pair(one) for one in found.pairs)
    return Section("pairs", "Connections", _LEGEND, columns, rows)


def _pair(one: Pair) -> tuple[TableCell, ...]:
    shown = (one.count(_OPEN), one.count(*HALF_OPEN), one.count(_ENDED))
    counts = (one.connections, *shown, one.connections - sum(shown))
    port = one.protocol + (f" {one.port}" if one.port else "")
    return (TableCell(one.client), TableCell(one.server), TableCell(port), *_numbers(counts))


def _translations(found: Connections) -> Section:
    columns = (
        Column("NAT"),
        Column("from", flexible=True),
        Column("to"),
        Column("becomes from"),
        Column("to"),
        Column("all", number=True),
    )
    rows = tuple(
        (
            TableCell(one.kind),
            TableCell(one.source),
            TableCell(one.destination),
            TableCell(one.new_source),
            TableCell(one.new_destination),
            TableCell(str(one.connections)),
        )
        for one in found.translations
    )
    return Section("nat", "Translations", "addresses before and after", columns, rows)


def _sources(found: Connections) -> Section:
    columns = (
        Column("source", flexible=True),
        Column("who"),
        Column("all", number=True),
        Column("half", number=True),
    )
    rows = tuple(
        (TableCell(one.name), TableCell(one.instance), *_numbers((one.connections, one.half_open)))
        for one in found.sources
    )
    return Section("sources", "Sources", "who opened them", columns, rows)


def _sockets(found: Connections) -> Section:
    columns = (
        Column("namespace", flexible=True),
        Column("listening"),
        *_STATES,
    )
    rows = tuple(_namespace(one) for one in found.sockets)
    return Section("sockets", "Sockets", "TCP, as each namespace has them", columns, rows)


def _namespace(one: Sockets) -> tuple[TableCell, ...]:
    ports = [
        f"{listener.port}" + (f" ({listener.waiting} waiting)" if listener.waiting else "")
        for listener in one.listening
    ]
    counts = (one.count(_OPEN), one.count("SYN_RECV", "SYN_SENT"), one.count(_ENDED))
    rest = sum(one.states.values()) - sum(counts) - one.count("LISTEN")
    return (TableCell(one.replica), TableCell(", ".join(ports)), *_numbers((*counts, rest)))


def _numbers(counts: Iterable[int]) -> tuple[TableCell, ...]:
    return tuple(TableCell(str(count) if count else "") for count in counts)
