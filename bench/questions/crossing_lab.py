"""A raw VXLAN between two hosts of a Swarm, beside Swarm's own, while it is measured.

On each host a bridge with a VXLAN port and one with a client or a server behind a veth pair, as
`overlay.up` makes them: learning off, FDB and neighbour entries written. All of it is in the
simulated hosts, and its namespaces end with the process that made them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.linux import child
from twinstack.linux.process import run
from twinstack.model import names
from twinstack.model.vxlan import OVERLAY_MTU, VXLAN_PORT, mac_of
from twinstack.swarm.nodes import SwarmNode

BRIDGE, VTEP = "br-raw", "vx-raw"
#: Not one of those that Swarm gives, from 4096 on.
VNI = 3999
_NETWORK = "198.51.100.{}"
_BRIDGE_NF = "net.bridge.bridge-nf-call-iptables"


@dataclass(frozen=True, slots=True)
class PathEnd:
    """Where a client or a server runs."""

    pid: int  # of the network namespace that it is in
    address: IPv4Address
    host: str


@contextmanager
def raw_ends(
    nodes: Sequence[SwarmNode], hosts: Sequence[int], instance: str
) -> Iterator[list[PathEnd]]:
    """Give an end on each of `hosts`, which are indexes into `nodes`. Raises: StepFailed."""
    ends: list[PathEnd] = []
    with ExitStack() as stack:
        for number, host in enumerate(hosts, start=1):
            netns, _ = stack.enter_context(child.staying("raw VXLAN", None, child.unshare_netns))
            ends.append(PathEnd(netns.pid, IPv4Address(_NETWORK.format(number)), nodes[host].name))
        try:
            for node in nodes:
                _join(node, [other for other in nodes if other != node], instance)
            for end in ends:
                _attach(nodes, end, ends)
            yield ends
        finally:
            for node in nodes:
                _leave(node)


def _join(node: SwarmNode, others: Sequence[SwarmNode], instance: str) -> None:
    _leave(node)  # what a killed measurement has left
    mark = names.mark(instance)
    _on(node, f"ip link add {BRIDGE} mtu {OVERLAY_MTU} type bridge mcast_snooping 0")
    _on(node, f"ip link set {BRIDGE} alias {mark} up")
    _on(
        node,
        f"ip link add {VTEP} mtu {OVERLAY_MTU} type vxlan id {VNI} dstport {VXLAN_PORT}"
        f" local {node.address} nolearning df set",
    )
    _on(node, f"ip link set {VTEP} alias {mark} master {BRIDGE} up")
    for other in others:
        _on(node, f"bridge fdb append 00:00:00:00:00:00 dev {VTEP} dst {other.address}")
    # An engine passes the frames of its host's bridges to iptables, which forwards nothing else.
    _on(node, f"sysctl -qw {_BRIDGE_NF}=0")


def _attach(nodes: Sequence[SwarmNode], end: PathEnd, ends: Sequence[PathEnd]) -> None:
    mac, link = mac_of(end.address), f"raw{end.address.packed[-1]}"
    addresses = {node.name: node.address for node in nodes}
    for node in nodes:
        if node.name == end.host:
            _on(
                node,
                f"ip link add {link} mtu {OVERLAY_MTU} type veth"
                f" peer name eth0 address {mac} mtu {OVERLAY_MTU} netns {end.pid}",
            )
            _on(node, f"ip link set {link} master {BRIDGE} up")
        else:
            _on(node, f"bridge fdb add {mac} dev {VTEP} dst {addresses[end.host]}")
    commands = [
        f"ip address add {end.address}/24 dev eth0",
        "ip link set lo up",
        "ip link set eth0 up",
        *(
            f"ip neigh replace {other.address} dev eth0 lladdr {mac_of(other.address)}"
            " nud permanent"
            for other in ends
            if other != end
        ),
    ]
    for command in commands:
        run(["nsenter", f"--net=/proc/{end.pid}/ns/net", *command.split()])


def _leave(node: SwarmNode) -> None:
    for link in (VTEP, BRIDGE):
        _on(node, f"ip link delete {link}", check=False)
    _on(node, f"sysctl -qw {_BRIDGE_NF}=1", check=False)


def _on(node: SwarmNode, command: str, *, check: bool = True) -> None:
    run([*node.enter, *command.split()], check=check)
