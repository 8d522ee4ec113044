"""The rules that warn about a world's connections, each with its threshold. Pure.

docs/connections.md explains the thresholds. A warning is not a fault by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from twinstack.observe.connections.report import (
    ConnectionWarning,
    ConntrackTable,
    NamespaceSockets,
    ServicePair,
)
from twinstack.observe.traffic.peers import UNDECLARED
from twinstack.printable import counted

#: Of the table's limit; at the limit the kernel drops new connections.
NEAR_FULL = 0.8
#: Connections answered and never confirmed: at least so many of a service's, and this part.
HALF_OPEN_LEAST, HALF_OPEN_PART = 64, 0.5
#: Connections from one service to one port that get no answer: likewise. The server is dead, or a
#: rule drops the packets.
UNANSWERED_LEAST, UNANSWERED_PART = 64, 0.5
#: Of the ports from which one address may connect to another.
TIME_WAIT_PORTS = 0.5
#: Of the TIME_WAIT sockets that a namespace may have before the kernel ends them early.
TIME_WAIT_LIMIT = 0.8
#: Of a listener's accept queue.
WAITING_PART = 0.8

Warnings = Iterator[ConnectionWarning]


def warnings(
    table: ConntrackTable, pairs: Sequence[ServicePair], sockets: Sequence[NamespaceSockets]
) -> tuple[ConnectionWarning, ...]:
    """Apply every rule, the gravest first."""
    return (
        *near_full(table),
        *syn_flood(pairs, sockets),
        *unanswered(pairs),
        *undeclared(pairs),
        *slow_to_accept(sockets),
        *time_wait(sockets),
    )


def near_full(table: ConntrackTable) -> Warnings:
    """Warn of a table with little room, and of one that had none."""
    entries, limit, dropped = table.entries, table.limit, table.pressure.dropped
    if limit and entries >= NEAR_FULL * limit:
        says = f"the table holds {entries} of {limit} connections ({entries / limit:.0%}): at the"
        yield ConnectionWarning("near-full table", f"{says} limit the kernel drops new ones")
    if dropped:
        says = (
            f"the kernel turned {counted(dropped, 'connection')} away since this host started: the"
        )
        yield ConnectionWarning("near-full table", f"{says} table was full, or could add no entry")


def syn_flood(pairs: Sequence[ServicePair], sockets: Sequence[NamespaceSockets]) -> Warnings:
    """Warn of connections that were answered and that no client confirms.

    The host's table and the replica's own sockets each count them: the larger count is taken.
    """
    half_open: Counter[str] = Counter()
    every: Counter[str] = Counter()
    for pair in pairs:
        if pair.protocol == "TCP":
            half_open[pair.server] += pair.count("SYN_RECV")
            every[pair.server] += pair.connections
    held: Counter[str] = Counter()
    for ns in sockets:
        held[ns.service] += ns.count("SYN_RECV")
    for service in sorted({*half_open, *held}):
        most = max(half_open[service], held[service])
        of = max(every[service], most)
        if most >= HALF_OPEN_LEAST and most >= HALF_OPEN_PART * of:
            says = f"{service} holds {most} half-open connections of {of}"
            yield ConnectionWarning("SYN flood", f"{says}: it answered, and no client confirmed")


def unanswered(pairs: Sequence[ServicePair]) -> Warnings:
    """Warn of a port that does not answer."""
    for pair in pairs:
        silent = pair.count("SYN_SENT", "SYN_SENT2")
        if silent >= UNANSWERED_LEAST and silent >= UNANSWERED_PART * pair.connections:
            says = f"{pair.server} does not answer {silent} of {pair.connections} connections that"
            yield ConnectionWarning("unanswered", f"{says} {pair.client} opens to port {pair.port}")


def undeclared(pairs: Sequence[ServicePair]) -> Warnings:
    """Warn of connections that no flow declares."""
    for pair in pairs:
        if pair.verdict == UNDECLARED:
            says = f"{counted(pair.connections, 'connection')} from {pair.client} to {pair.server}"
            yield ConnectionWarning("undeclared", f"{says} port {pair.port} by {pair.protocol}")


def slow_to_accept(sockets: Sequence[NamespaceSockets]) -> Warnings:
    """Warn of a listener that accepts too slowly."""
    for ns in sockets:
        for queue in ns.listening:
            if queue.room and queue.waiting >= WAITING_PART * queue.room:
                says = f"{ns.replica} lets {queue.waiting} of at most {queue.room} connections"
                yield ConnectionWarning("slow to accept", f"{says} wait at port {queue.port}")


def time_wait(sockets: Sequence[NamespaceSockets]) -> Warnings:
    """Warn of ended connections that use up ports, or the sockets that may be kept."""
    for ns in sockets:
        if ns.local_ports and ns.to_busiest >= TIME_WAIT_PORTS * ns.local_ports:
            says = f"{ns.replica} has {ns.to_busiest} of {ns.local_ports} ports towards"
            says += f" {ns.busiest} in TIME_WAIT: with none left it cannot connect"
            yield ConnectionWarning("TIME_WAIT pile-up", says)
        held = ns.count("TIME_WAIT")
        if ns.time_wait_limit and held >= TIME_WAIT_LIMIT * ns.time_wait_limit:
            says = f"{ns.replica} has {held} sockets in TIME_WAIT; past {ns.time_wait_limit}"
            yield ConnectionWarning("TIME_WAIT pile-up", f"{says} the kernel ends them early")
