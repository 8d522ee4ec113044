"""Read a world's network: enter its namespaces, dump links, addresses, routes and rules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twinstack.linux import child, iptables, links, process
from twinstack.linux.netlink import Netlink
from twinstack.model.plan import HOST
from twinstack.observe.picture import observed
from twinstack.observe.picture.declared import declared
from twinstack.observe.picture.model import WorldTopology, compare
from twinstack.observe.picture.observed import NamespaceNetwork, WorldNetwork
from twinstack.world import LocalWorld


def topology(world: LocalWorld) -> WorldTopology:
    """Compare a world with its plan. Raises: Missing when it is not up; StepFailed."""
    network = dump(world.namespaces())
    plan, name = world.plan, world.name
    items = tuple(observed.observed(plan, name, network))
    if not any(item.kind in {"bridge", "replica"} for item in items):
        raise world.absence()
    items, notes = compare(declared(plan, name), items), observed.notes(plan, name, network)
    return WorldTopology(name, plan.shape, plan.policy, items, tuple(notes))


def dump(namespaces: Mapping[str, Path | None]) -> WorldNetwork:
    """Dump each namespace, and the host's rules. Raises: StepFailed."""
    rules = child.inside(HOST, namespaces[HOST], lambda: process.run(["iptables-save"]).stdout)
    networks = child.each(namespaces, lambda _name: _dump())
    return WorldNetwork(networks.pop(HOST), networks, iptables.parse_save(rules))


def _dump() -> NamespaceNetwork:
    with Netlink() as netlink:
        found = tuple(links.dump_links(netlink).values())
        defaults = [one for one in links.dump_routes(netlink) if one.destination == links.DEFAULT]
    return NamespaceNetwork(found, tuple(one.gateway for one in defaults if one.gateway))
