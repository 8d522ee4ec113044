"""The hosts of the cluster, simulated: a network namespace each, and one that is the switch.

Nothing of it is in the machine's own network. Names are journalled before they are made, as a
namespace carries our mark (the alias of its loopback) only a moment later.
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
from twinstack.swarm.nodes import PINS, Node, pin, run_directory

_SWITCH = "switch"
_BRIDGE = "underlay"
_UPLINK = "eth0"


def is_ready(node: Node, instance: str) -> bool:
    """Say whether a node's host is there, and ours, with its address."""
    told = _ip(node.namespace, "-o", "address", "show", "dev", _UPLINK, check=False)
    return f" {node.address}/" in told and _is_ours(node.namespace, instance)


def check(instance: str, nodes: Sequence[Node]) -> None:
    """Check that no name of ours is somebody else's. Raises: NotOurs."""
    known = _journalled(instance)
    for space in (pin(instance, _SWITCH), *(node.namespace for node in nodes)):
        if space.exists() and space.name not in known and not _is_ours(space, instance):
            raise NotOurs(
                f"namespace {space.name}",
                "is not ours",
                "somebody else made it",
                f"remove it (ip netns delete {space.name}), or choose another instance",
            )


def make(instance: str, nodes: Sequence[Node], underlay: IPv4Network) -> None:
    """Make the switch and the hosts that are not there. Raises: NotOurs, StepFailed."""
    check(instance, nodes)
    switch = pin(instance, _SWITCH)
    spaces = (switch, *(node.namespace for node in nodes))
    _write(instance, sorted({*_journalled(instance), *(space.name for space in spaces)}))
    for space in spaces:
        if not space.exists():
            run(["ip", "netns", "add", space.name])
        _ip(space, "link", "set", "lo", "alias", names.mark(instance), "up")
    if not _has(switch, _BRIDGE):
        _ip(
            switch,
            "link",
            "add",
            _BRIDGE,
            "mtu",
            str(UNDERLAY_MTU),
            "type",
            "bridge",
            "mcast_snooping",
            "0",
        )
    _ip(switch, "link", "set", _BRIDGE, "addrgenmode", "none", "up")
    for node in nodes:
        _join(switch, node, underlay)


def _join(switch: Path, node: Node, underlay: IPv4Network) -> None:
    """Plug a host into the switch."""
    if not _has(node.namespace, _UPLINK):
        _ip(
            switch,
            "link",
            "add",
            node.name,
            "mtu",
            str(UNDERLAY_MTU),
            "type",
            "veth",
            "peer",
            "name",
            _UPLINK,
            "netns",
            node.namespace.name,
        )
    _ip(switch, "link", "set", node.name, "master", _BRIDGE, "addrgenmode", "none", "up")
    _ip(node.namespace, "link", "set", _UPLINK, "up")
    _ip(
        node.namespace, "address", "replace", f"{node.address}/{underlay.prefixlen}", "dev", _UPLINK
    )


def present(instance: str) -> tuple[str, ...]:
    """Name the namespaces of ours that are there, the switch too."""
    known = _journalled(instance)
    prefix = pin(instance, "").name
    found = sorted(PINS.glob(f"{prefix}*")) if PINS.is_dir() else []
    return tuple(one.name for one in found if one.name in known or _is_ours(one, instance))


def names_present(instance: str) -> tuple[str, ...]:
    """Name the hosts that are there."""
    found = (name.removeprefix(pin(instance, "").name) for name in present(instance))
    return tuple(name for name in found if name != _SWITCH)


def remove(instance: str, name: str) -> None:
    """Remove one namespace of ours; its end of a veth pair takes the other with it."""
    run(["ip", "netns", "delete", name])
    _write(instance, [one for one in _journalled(instance) if one != name])


def _ip(space: Path, *words: str, check: bool = True) -> str:
    return run(["ip", "-n", space.name, *words], check=check).stdout


def _has(space: Path, link: str) -> bool:
    return bool(_ip(space, "-o", "link", "show", "dev", link, check=False))


def _is_ours(space: Path, instance: str) -> bool:
    told: list[dict[str, object]] = json.loads(
        _ip(space, "-j", "link", "show", "dev", "lo", check=False) or "[]"
    )
    return any(link.get("ifalias") == names.mark(instance) for link in told)


def _journal(instance: str) -> Path:
    return run_directory(instance) / "hosts.json"


def _journalled(instance: str) -> list[str]:
    try:
        found: list[str] = json.loads(_journal(instance).read_text())
    except FileNotFoundError:
        return []
    return found


def _write(instance: str, known: list[str]) -> None:
    file = _journal(instance)
    if not known:
        files.remove(file)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write(file, json.dumps(known))
