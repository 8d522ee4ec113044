"""One look at a world's connections: ask the kernel, count, and apply the rules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twinstack.linux.sock_diag import Socket
from twinstack.model.plan import HOST, Plan
from twinstack.model.topology import WorldName
from twinstack.observe.connections import collect
from twinstack.observe.connections.counts import Tally, numbers
from twinstack.observe.connections.counts import place as place_of
from twinstack.observe.connections.report import Connections, Events, Sockets, Table
from twinstack.observe.connections.socket_summary import sockets_of
from twinstack.observe.connections.warnings import concerns
from twinstack.observe.traffic.peers import PeerDirectory
from twinstack.world import World


def look(
    world: World, places: Mapping[str, Path | None], events: Events | None = None
) -> Connections:
    """Look at a world whose namespaces these are.

    Raises: Missing without root; CannotTell; StepFailed.
    """
    plan = world.plan
    seen = collect.table(places[HOST])
    names = PeerDirectory([plan], seen.addresses)
    tally = Tally(seen.counts, names, plan, world.name)
    table = Table(seen.entries, seen.limit, seen.counts.total(), tally.total, seen.pressure)
    sockets = _sockets(plan, world.name, names, places)
    pairs = tally.pairs()
    return Connections(
        world=world.name,
        shape=plan.shape,
        table=table,
        pairs=pairs,
        translations=tally.translations(),
        sources=tally.sources(),
        sockets=sockets,
        absent=tuple(one.name for one in plan.replicas if one.name not in places),
        events=events,
        concerns=concerns(table, pairs, sockets),
    )


def _sockets(
    plan: Plan, world: WorldName, names: PeerDirectory, places: Mapping[str, Path | None]
) -> tuple[Sockets, ...]:
    doors = {door.port for door in plan.published_ports if door.world == world}

    def wanted(where: str, one: Socket) -> bool:
        if where != HOST or one.local_port in doors or one.peer_port in doors:
            return True
        return any(names.peer(*numbers(raw)).world == world for raw in (one.local, one.peer))

    services = {replica.name: replica.service for replica in plan.replicas} | {HOST: HOST}
    asked = {name: place for name, place in places.items() if name in services}
    told = collect.sockets_in(asked, wanted)
    return tuple(
        sockets_of(name, service, told[name], place_of)
        for name, service in services.items()
        if name in told
    )
