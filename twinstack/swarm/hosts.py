"""Simulated hosts: a network namespace each, and one more that is the switch between them.

The machine's own network is not touched. Names are journalled before a namespace is created: its
mark, the alias of its loopback, is set only a moment later.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path

from twinstack.errors import NotOurs
from twinstack.linux import files
from twinstack.linux.process import run
from twinstack.model import names
from twinstack.model.vxlan import UNDERLAY_MTU
from twinstack.swarm.nodes import PINS, SwarmNode, SwarmPaths, pin

_SWITCH = "switch"
_BRIDGE = "underlay"
_UPLINK = "eth0"


def mark(instance: str) -> str:
    """Give the mark of hosts. It is not the instance's own: `net.down` removes those namespaces."""
    return names.mark(names.part_instance(instance, "swarm"))


def is_ready(node: SwarmNode) -> bool:
    """Say whether a node's host is there, and ours, with its address."""
    addresses = _ip(node.namespace, f"-o address show dev {_UPLINK}", check=False)
    return f" {node.address}/" in addresses and _is_ours(node.namespace, node.instance)


def check(nodes: Sequence[SwarmNode]) -> None:
    """Check that no namespace of somebody else has a name of ours. Raises: NotOurs."""
    instance = nodes[0].instance
    journalled = _journalled(instance)
    for space in (pin(instance, _SWITCH), *(node.namespace for node in nodes)):
        if space.exists() and space.name not in journalled and not _is_ours(space, instance):
            remedy = f"remove it (ip netns delete {space.name}), or choose another instance"
            cause = "it does not carry our mark"
            raise NotOurs(f"namespace {space.name}", "is not ours", cause, remedy)


def make(nodes: Sequence[SwarmNode], underlay: IPv4Network) -> None:
    """Create the switch and the hosts that are absent. Raises: NotOurs, StepFailed."""
    check(nodes)
    instance = nodes[0].instance
    switch = pin(instance, _SWITCH)
    spaces = (switch, *(node.namespace for node in nodes))
    _journal(instance, {*_journalled(instance), *(space.name for space in spaces)})
    for space in spaces:
        if not space.exists():
            run(f"ip netns add {space.name}".split())
        _ip(space, f"link set lo alias {mark(instance)} up")
    if not _has(switch, _BRIDGE):
        _ip(switch, f"link add {_BRIDGE} mtu {UNDERLAY_MTU} type bridge mcast_snooping 0")
    _ip(switch, f"link set {_BRIDGE} addrgenmode none up")
    for node in nodes:
        if not _has(node.namespace, _UPLINK):
            peer = f"peer name {_UPLINK} netns {node.namespace.name}"
            _ip(switch, f"link add {node.name} mtu {UNDERLAY_MTU} type veth {peer}")
        _ip(switch, f"link set {node.name} master {_BRIDGE} addrgenmode none up")
        _ip(node.namespace, f"link set {_UPLINK} up")
        address = f"{node.address}/{underlay.prefixlen}"
        _ip(node.namespace, f"address replace {address} dev {_UPLINK}")


def present(instance: str) -> tuple[str, ...]:
    """Name our namespaces that are there, the switch's too."""
    journalled = _journalled(instance)
    spaces = sorted(PINS.glob(f"{pin(instance, '').name}*")) if PINS.is_dir() else []
    return tuple(
        space.name for space in spaces if space.name in journalled or _is_ours(space, instance)
    )


def names_present(instance: str) -> tuple[str, ...]:
    """Name the hosts that are there."""
    hosts = (name.removeprefix(pin(instance, "").name) for name in present(instance))
    return tuple(host for host in hosts if host != _SWITCH)


def remove(instance: str, name: str) -> None:
    """Remove one of our namespaces; both ends of its veth pair go with it."""
    run(f"ip netns delete {name}".split())
    _journal(instance, {*_journalled(instance)} - {name})


def _ip(space: Path, command: str, *, check: bool = True) -> str:
    return run(["ip", "-n", space.name, *command.split()], check=check).stdout


def _has(space: Path, link: str) -> bool:
    return bool(_ip(space, f"-o link show dev {link}", check=False))


def _is_ours(space: Path, instance: str) -> bool:
    links = _ip(space, "-j link show dev lo", check=False) or "[]"
    return any(link.get("ifalias") == mark(instance) for link in json.loads(links))


def _journalled(instance: str) -> list[str]:
    try:
        journalled: list[str] = json.loads(SwarmPaths(instance).journal.read_text())
    except FileNotFoundError:
        return []
    return journalled


def _journal(instance: str, journalled: set[str]) -> None:
    file = SwarmPaths(instance).journal
    if not journalled:
        files.remove(file)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write(file, json.dumps(sorted(journalled)))
