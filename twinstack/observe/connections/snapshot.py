"""Snapshots of a world's connections: once, or again and again with the events in between."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from twinstack.errors import Missing
from twinstack.linux.sock_diag import TcpSocket
from twinstack.model.plan import HOST, Plan
from twinstack.model.topology import WorldName
from twinstack.observe.connections import collect, report
from twinstack.observe.connections.counts import WorldConnections, numbers
from twinstack.observe.connections.warnings import warnings
from twinstack.observe.traffic.peers import PeerDirectory
from twinstack.world import LocalWorld

#: At most this part of the time is spent on snapshots: a full table takes seconds to read.
_BUSY_PART = 0.2
_EVERY_S = 2.0


def take(world: LocalWorld, events: report.ConntrackEvents | None = None) -> report.Connections:
    """Take one. Raises: Missing without root or when the world is down; CannotTell; StepFailed."""
    namespaces = _namespaces(world)
    plan = world.plan
    host = collect.table(namespaces[HOST])
    directory = PeerDirectory([plan], host.addresses)
    ours = WorldConnections(host.counts, directory, plan, world.name)
    listed = host.counts.total()
    table = report.ConntrackTable(host.entries, host.limit, listed, ours.total, host.pressure)
    sockets, pairs = _sockets(plan, world.name, directory, namespaces), ours.pairs()
    return report.Connections(
        world=world.name,
        shape=plan.shape,
        table=table,
        pairs=pairs,
        translations=ours.translations(),
        sources=ours.sources(),
        sockets=sockets,
        absent=tuple(replica.name for replica in plan.replicas if replica.name not in namespaces),
        events=events,
        warnings=warnings(table, pairs, sockets),
    )


def follow(world: LocalWorld, seconds: float | None = None) -> Iterator[report.Connections]:
    """Take one every other second until the time is over; None: without end.

    The last one has the events of the whole time, every other those since the one before.
    Raises: as `take`.
    """
    host = _namespaces(world)[HOST]
    started = time.monotonic()
    with collect.counting_events(host) as counter:
        pause, total = _EVERY_S, report.ConntrackEvents(0, 0, 0, 0)
        while True:
            left = None if seconds is None else started + seconds - time.monotonic()
            last = left is not None and left <= pause
            recent = counter.receive(pause if left is None else min(pause, max(left, 0)))
            total += recent
            began = time.monotonic()
            yield take(world, total if last else recent)
            if last:
                return
            pause = max(_EVERY_S, (time.monotonic() - began) * (1 / _BUSY_PART - 1))


def _namespaces(world: LocalWorld) -> dict[str, Path | None]:
    namespaces = world.namespaces()
    if set(namespaces) <= {HOST}:
        name = world.name
        remedy = f'run "invoke {name}.up"'
        raise Missing(f"{name} world", "cannot be looked at", "it is not up", remedy)
    return namespaces


def _sockets(
    plan: Plan, world: WorldName, directory: PeerDirectory, namespaces: Mapping[str, Path | None]
) -> tuple[report.NamespaceSockets, ...]:
    published = {port.port for port in plan.published_ports if port.world == world}

    def belongs(where: str, one: TcpSocket) -> bool:
        if where != HOST or published & {one.local_port, one.peer_port}:
            return True
        return any(directory.peer(*numbers(raw)).world == world for raw in (one.local, one.peer))

    services = {replica.name: replica.service for replica in plan.replicas} | {HOST: HOST}
    known = {name: namespace for name, namespace in namespaces.items() if name in services}
    counts = collect.sockets_in(known, services, belongs)
    return tuple(counts[name] for name in services if name in counts)
