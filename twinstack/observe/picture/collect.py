"""Look at a world's network: enter its namespaces, dump links, addresses and rules."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from twinstack.errors import Missing
from twinstack.linux import child, iptables, links, process
from twinstack.linux.netlink import Netlink
from twinstack.model.plan import HOST
from twinstack.observe.picture import observed
from twinstack.observe.picture.declared import declared
from twinstack.observe.picture.facts import Facts, Inside
from twinstack.observe.picture.model import Scene, compare
from twinstack.world import LocalWorld


def scene(world: LocalWorld) -> Scene | None:
    """Look at a world; None when nothing of it is up. Raises: Missing without root; StepFailed."""
    if os.geteuid() != 0:
        raise Missing("topology", "cannot be seen", "this needs root", "run it with sudo")
    places = world.namespaces()
    found = look(places)
    plan, name = world.plan, world.name
    items = tuple(observed.observed(plan, name, found))
    if not any(item.kind in {"bridge", "place"} for item in items):
        return None
    told = tuple(observed.notes(plan, name, found))
    return Scene(name, plan.shape, plan.policy, compare(declared(plan, name), items), told)


def look(places: Mapping[str, Path | None]) -> Facts:
    """Dump what is in each namespace, and the host's rules. Raises: StepFailed."""
    host = places[HOST]
    saved = child.inside(HOST, host, lambda: process.run(["iptables-save"]).stdout)
    found = child.each(places, lambda _name: _inside())
    return Facts(found.pop(HOST), found, iptables.parse_save(saved))


def _inside() -> Inside:
    with Netlink() as netlink:
        interfaces = tuple(links.dump_links(netlink).values())
        routes = list(links.dump_routes(netlink))
    default = (route.gateway for route in routes if route.destination == links.DEFAULT)
    return Inside(interfaces, tuple(gateway for gateway in default if gateway))
