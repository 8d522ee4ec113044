"""When a world's connections are something to see to: each rule with its threshold. Pure.

docs/connections.md says why each threshold is where it is. None of them is a fault by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from twinstack.observe.connections.report import Concern, Pair, Sockets, Table
from twinstack.observe.traffic.peers import UNDECLARED

#: Of the table's limit. At the limit the kernel drops what is new.
NEAR_FULL = 0.8
#: Answered and never confirmed, of one service's over all its ports: so many at least, and this
#: part of all of them.
HALF_OPEN_LEAST, HALF_OPEN_PART = 64, 0.5
#: As many, from one service to one port, that nobody answers at all: who is asked is dead, or a
#: rule drops what it says.
UNANSWERED_LEAST, UNANSWERED_PART = 64, 0.5
#: Of the ports from which one address may connect to one other.
TIME_WAIT_PORTS = 0.5
#: Of the TIME_WAIT sockets that a namespace may have before the kernel ends them early.
TIME_WAIT_LIMIT = 0.8
#: Of a listener's room for connections that wait to be accepted.
WAITING_PART = 0.8


def concerns(
    table: Table, pairs: Sequence[Pair], sockets: Sequence[Sockets]
) -> tuple[Concern, ...]:
    """Apply every rule, the gravest first."""
    return (
        *near_full(table),
        *syn_flood(pairs, sockets),
        *unanswered(pairs),
        *undeclared(pairs),
        *waiting(sockets),
        *time_wait(sockets),
    )


def near_full(table: Table) -> Iterator[Concern]:
    """Warn of a table with little room, and of one that had none."""
    if table.limit and table.entries >= NEAR_FULL * table.limit:
        yield Concern(
            "near-full table",
            f"the table holds {table.entries} of {table.limit} connections "
            f"({table.entries / table.limit:.0%}): at the limit the kernel drops new ones",
        )
    if table.pressure.dropped:
        yield Concern(
            "near-full table",
            f"the kernel turned {table.pressure.dropped} connections away since this host "
            "started: the table was full, or an entry could not be made",
        )


def syn_flood(pairs: Sequence[Pair], sockets: Sequence[Sockets]) -> Iterator[Concern]:
    """Warn of connections that were answered and that no client confirms.

    The host's tracking and the replica's own sockets each see them: the larger count is told.
    """
    tracked: Counter[str] = Counter()
    every: Counter[str] = Counter()
    for pair in pairs:
        if pair.protocol == "TCP":
            tracked[pair.server] += pair.count("SYN_RECV")
            every[pair.server] += pair.connections
    held: Counter[str] = Counter()
    for one in sockets:
        held[one.service] += one.count("SYN_RECV")
    for service in sorted({*tracked, *held}):
        most = max(tracked[service], held[service])
        of = max(every[service], most)
        if most >= HALF_OPEN_LEAST and most >= HALF_OPEN_PART * of:
            yield Concern(
                "SYN flood",
                f"{service} holds {most} half-open connections of {of}: it answered, and no "
                "client confirmed",
            )


def unanswered(pairs: Sequence[Pair]) -> Iterator[Concern]:
    """Warn of a port that is asked and does not answer."""
    for pair in pairs:
        silent = pair.count("SYN_SENT", "SYN_SENT2")
        if silent >= UNANSWERED_LEAST and silent >= UNANSWERED_PART * pair.connections:
            yield Concern(
                "unanswered",
                f"{pair.server} does not answer {silent} of {pair.connections} connections that "
                f"{pair.client} opens to port {pair.port}",
            )


def undeclared(pairs: Sequence[Pair]) -> Iterator[Concern]:
    """Name connections that no flow declares."""
    for pair in pairs:
        if pair.verdict == UNDECLARED:
            yield Concern(
                "undeclared",
                f"{pair.connections} connections from {pair.client} to {pair.server} port "
                f"{pair.port} by {pair.protocol}",
            )


def waiting(sockets: Sequence[Sockets]) -> Iterator[Concern]:
    """Warn of a listener that accepts too slowly."""
    for one in sockets:
        for listener in one.listening:
            if listener.room and listener.waiting >= WAITING_PART * listener.room:
                yield Concern(
                    "slow to accept",
                    f"{one.replica} lets {listener.waiting} of at most {listener.room} "
                    f"connections wait at port {listener.port}",
                )


def time_wait(sockets: Sequence[Sockets]) -> Iterator[Concern]:
    """Warn of ended connections that keep a port, or a place among those that may be kept."""
    for one in sockets:
        if one.local_ports and one.to_busiest >= TIME_WAIT_PORTS * one.local_ports:
            yield Concern(
                "TIME_WAIT pile-up",
                f"{one.replica} has {one.to_busiest} of {one.local_ports} ports towards "
                f"{one.busiest} in TIME_WAIT: with none left it cannot connect",
            )
        held = one.count("TIME_WAIT")
        if one.time_wait_limit and held >= TIME_WAIT_LIMIT * one.time_wait_limit:
            yield Concern(
                "TIME_WAIT pile-up",
                f"{one.replica} has {held} sockets in TIME_WAIT; past {one.time_wait_limit} "
                "the kernel ends them early",
            )
