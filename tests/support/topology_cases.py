"""The namespace world's network as planned, and worlds made of it whose names are hostile."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.support.project import ROOT
from twinstack.linux.iptables import Hook
from twinstack.linux.links import LinkFacts
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology_file import load
from twinstack.namespaces import rules
from twinstack.observe.picture import observed
from twinstack.observe.picture.declared import declared
from twinstack.observe.picture.model import WorldTopology, compare
from twinstack.observe.picture.observed import NamespaceNetwork, WorldNetwork

TOPOLOGY = load(ROOT / "topology.yml")
FLAT, TIERED = (resolve(TOPOLOGY, shape) for shape in ("flat", "tiered"))
HOSTILE = ["<b>&\"'", "]];%%-->", "\x1b[31m", "`x`#1;", 'end"]', "\u202e"]


def link(name: str, index: int, **fields: Any) -> LinkFacts:
    """Make a link; a veth's end if nothing else is said."""
    plain: dict[str, Any] = {"kind": "veth", "alias": None, "mtu": 1500, "up": True, "master": None}
    return LinkFacts(name=name, index=index, **plain | fields)


def saved(hooks: Sequence[Hook]) -> tuple[str, ...]:
    """Write chains as iptables-save does."""
    chains = ("FORWARD", "INPUT", "OUTPUT", "POSTROUTING", "PREROUTING")
    return (
        *(f":{chain} ACCEPT [0:0]" for chain in chains),
        *(f":{hook.chain} - [0:0]" for hook in hooks),
        *(hook.jump for hook in hooks if hook.jump),
        *(line for hook in hooks for line in hook.lines),
    )


def as_planned(plan: Plan) -> WorldNetwork:
    """Give the network of a namespace world that is exactly as planned."""
    index = itertools.count(2)
    loopback = link("lo", 1, kind=None)
    host = [loopback]
    for segment in plan.segments:
        address = f"{segment.gateway}/{segment.subnet.prefixlen}"
        ours = {"kind": "bridge", "alias": plan.mark, "filtered": True}
        host.append(link(segment.bridge, next(index), addresses=frozenset({address}), **ours))
    namespaces = {}
    for replica in plan.replicas:
        segment, number = plan.segment(replica.segment), next(index)
        bridge = segment.bridge
        host.append(link(replica.host_link, number, peer=2, master=bridge, alias=plan.mark))
        address = f"{replica.address}/{segment.subnet.prefixlen}"
        inner = link("eth0", 2, peer=number, addresses=frozenset({address}))
        namespaces[replica.name] = NamespaceNetwork((loopback, inner), (str(segment.gateway),))
    hooks = rules.hooks(plan)
    tables = {
        table: saved([hook for hook in hooks if hook.table == table]) for table in ("nat", "filter")
    }
    return WorldNetwork(NamespaceNetwork(tuple(host)), namespaces, tables)


def with_host_links(network: WorldNetwork, *links: LinkFacts) -> WorldNetwork:
    """Replace the host's links."""
    return replace(network, host=NamespaceNetwork(links))


def topology(plan: Plan, network: WorldNetwork) -> WorldTopology:
    """Compare a network of the namespace world with its plan."""
    items = compare(declared(plan, "net"), observed.observed(plan, "net", network))
    notes = tuple(observed.notes(plan, "net", network))
    return WorldTopology("net", plan.shape, plan.policy, items, notes)


def hostile() -> WorldTopology:
    """Give a world on whose bridge there are links with the worst of names."""
    network = as_planned(FLAT)
    foreign = (link(name, 90 + place, master="br-app") for place, name in enumerate(HOSTILE))
    network = with_host_links(network, *network.host.links, *foreign)
    namespaces = {**network.namespaces, HOSTILE[0]: NamespaceNetwork(())}
    return topology(FLAT, replace(network, namespaces=namespaces))


@functools.cache
def topologies() -> tuple[WorldTopology, ...]:
    """Give a flat and a tiered world as planned, a hostile one, and one without namespaces."""
    planned = (topology(plan, as_planned(plan)) for plan in (FLAT, TIERED))
    return (*planned, hostile(), topology(FLAT, replace(as_planned(FLAT), namespaces={})))
