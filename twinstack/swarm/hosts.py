"""Simulated hosts: a network namespace each, and one more that is the switch between them.

The machine's own network is not touched. Names are journalled before a namespace is created: its
mark, the alias of its loopback, is set only a moment later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network

from pydantic import TypeAdapter

from twinstack.errors import NotOurs
from twinstack.linux import netns
from twinstack.linux.process import run
from twinstack.model import names
from twinstack.model.vxlan import UNDERLAY_MTU
from twinstack.namespaces import marks
from twinstack.state import records
from twinstack.swarm.nodes import SwarmNode, SwarmPaths, namespace_of

_SWITCH = "switch"
_BRIDGE = "underlay"
_UPLINK = "eth0"
_JOURNAL = TypeAdapter(tuple[str, ...])


def mark(instance: str) -> str:
    """Give the mark of hosts. It is not the instance's own: `net.down` removes those namespaces."""
    return names.mark(names.part_instance(instance, "swarm"))


def is_ready(node: SwarmNode) -> bool:
    """Say whether a node's host is there, and ours, with its address."""
    name = node.namespace.name
    addresses = _ip(name, f"-o address show dev {_UPLINK}", check=False)
    return f" {node.address}/" in addresses and name in marks.marked_namespaces(mark(node.instance))


def check(nodes: Sequence[SwarmNode]) -> None:
    """Check that no namespace of somebody else has a name of ours. Raises: NotOurs."""
    ours = present(nodes[0].instance)
    for name in _namespaces(nodes):
        if name in netns.entries() and name not in ours:
            remedy = f"remove it (ip netns delete {name}), or choose another instance"
            raise NotOurs(f"namespace {name}", "is not ours", "it does not carry our mark", remedy)


def make(nodes: Sequence[SwarmNode], underlay: IPv4Network) -> None:
    """Create the switch and the hosts that are absent. Raises: NotOurs, StepFailed."""
    check(nodes)
    instance, (switch, *spaces) = nodes[0].instance, _namespaces(nodes)
    _journal(instance, {*_journalled(instance), switch, *spaces})
    for space in (switch, *spaces):
        if space not in netns.entries():
            run(f"ip netns add {space}".split())
        _ip(space, f"link set lo alias {mark(instance)} up")
    if not _has(switch, _BRIDGE):
        _ip(switch, f"link add {_BRIDGE} mtu {UNDERLAY_MTU} type bridge mcast_snooping 0")
    _ip(switch, f"link set {_BRIDGE} addrgenmode none up")
    for node, space in zip(nodes, spaces, strict=True):
        if not _has(space, _UPLINK):
            peer = f"peer name {_UPLINK} netns {space}"
            _ip(switch, f"link add {node.name} mtu {UNDERLAY_MTU} type veth {peer}")
        _ip(switch, f"link set {node.name} master {_BRIDGE} addrgenmode none up")
        _ip(space, f"link set {_UPLINK} up")
        _ip(space, f"address replace {node.address}/{underlay.prefixlen} dev {_UPLINK}")


def present(instance: str) -> tuple[str, ...]:
    """Name our namespaces that are there, the switch's too."""
    ours = {*_journalled(instance), *marks.marked_namespaces(mark(instance))}
    return tuple(sorted(ours & netns.entries()))


def names_present(instance: str) -> tuple[str, ...]:
    """Name the hosts that are there."""
    hosts = (name.removeprefix(namespace_of(instance, "")) for name in present(instance))
    return tuple(host for host in hosts if host != _SWITCH)


def remove(instance: str, name: str) -> None:
    """Remove one of our namespaces; both ends of its veth pair go with it."""
    netns.unpin(name)
    _journal(instance, {*_journalled(instance)} - {name})


def _namespaces(nodes: Sequence[SwarmNode]) -> tuple[str, ...]:
    """Name the switch's namespace, then each node's."""
    return (namespace_of(nodes[0].instance, _SWITCH), *(node.namespace.name for node in nodes))


def _ip(space: str, command: str, *, check: bool = True) -> str:
    return run(["ip", "-n", space, *command.split()], check=check).stdout


def _has(space: str, link: str) -> bool:
    return bool(_ip(space, f"-o link show dev {link}", check=False))


def _journalled(instance: str) -> tuple[str, ...]:
    return records.read(SwarmPaths(instance).journal, _JOURNAL, "look at it, then remove it") or ()


def _journal(instance: str, journalled: Iterable[str]) -> None:
    records.write(SwarmPaths(instance).journal, _JOURNAL, tuple(sorted(journalled)))
