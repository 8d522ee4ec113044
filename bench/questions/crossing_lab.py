"""A raw VXLAN between two hosts of a Swarm, beside Swarm's own: for as long as it is measured.

On each host a bridge with a VXLAN port and one with a client or a server behind a veth pair, as
`overlay.up` makes them: learning off, forwarding and neighbour entries written. All of it is in
the simulated hosts, and its namespaces end with the process that made them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.linux import child as entering
from twinstack.linux.process import run
from twinstack.model import names
from twinstack.model.vxlan import OVERLAY_MTU, VXLAN_PORT, mac_of
from twinstack.swarm.nodes import SwarmNode

BRIDGE, TUNNEL = "br-raw", "vx-raw"
#: Not one of those that Swarm gives, from 4096 on.
VNI = 3999
_NETWORK = "198.51.100.{}"
_FILTERS = "net.bridge.bridge-nf-call-iptables"


@dataclass(frozen=True, slots=True)
class End:
    """Where a client or a server runs: the pid whose network it is, and its address there."""

    pid: int
    address: IPv4Address
    host: str


@contextmanager
def raw_ends(
    nodes: Sequence[SwarmNode], places: Sequence[int], instance: str
) -> Iterator[list[End]]:
    """Give an end for each place, which is the number of the node that it is on.

    Raises: StepFailed.
    """
    ends: list[End] = []
    with ExitStack() as stack:
        for number, place in enumerate(places, start=1):
            child, _ = stack.enter_context(entering.staying("raw VXLAN", None, entering.fresh))
            address = IPv4Address(_NETWORK.format(number))
            ends.append(End(child.pid, address, nodes[place].name))
        try:
            for node in nodes:
                _join(node, [one for one in nodes if one != node], instance)
            for end in ends:
                _attach(nodes, end, ends)
            yield ends
        finally:
            for node in nodes:
                _part(node)


def _join(node: SwarmNode, others: Sequence[SwarmNode], instance: str) -> None:
    _part(node)  # what a measurement that was killed has left
    mark = names.mark(instance)
    _on(
        node,
        "ip",
        "link",
        "add",
        BRIDGE,
        "mtu",
        str(OVERLAY_MTU),
        "type",
        "bridge",
        "mcast_snooping",
        "0",
    )
    _on(node, "ip", "link", "set", BRIDGE, "alias", mark, "up")
    _on(
        node,
        "ip",
        "link",
        "add",
        TUNNEL,
        "mtu",
        str(OVERLAY_MTU),
        "type",
        "vxlan",
        "id",
        str(VNI),
        "dstport",
        str(VXLAN_PORT),
        "local",
        str(node.address),
        "nolearning",
        "df",
        "set",
    )
    _on(node, "ip", "link", "set", TUNNEL, "alias", mark, "master", BRIDGE, "up")
    for other in others:
        _on(
            node,
            "bridge",
            "fdb",
            "append",
            "00:00:00:00:00:00",
            "dev",
            TUNNEL,
            "dst",
            str(other.address),
        )
    # An engine lets iptables see what a bridge of its host passes on, and forwards nothing else.
    _on(node, "sysctl", "-qw", f"{_FILTERS}=0")


def _attach(nodes: Sequence[SwarmNode], end: End, ends: Sequence[End]) -> None:
    inside = ("nsenter", f"--net=/proc/{end.pid}/ns/net")
    mac, link = mac_of(end.address), f"raw{end.address.packed[-1]}"
    addresses = {node.name: node.address for node in nodes}
    for node in nodes:
        if node.name == end.host:
            _on(
                node,
                "ip",
                "link",
                "add",
                link,
                "mtu",
                str(OVERLAY_MTU),
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "address",
                mac,
                "mtu",
                str(OVERLAY_MTU),
                "netns",
                str(end.pid),
            )
            _on(node, "ip", "link", "set", link, "master", BRIDGE, "up")
        else:
            _on(node, "bridge", "fdb", "add", mac, "dev", TUNNEL, "dst", str(addresses[end.host]))
    run([*inside, "ip", "address", "add", f"{end.address}/24", "dev", "eth0"])
    for link in ("lo", "eth0"):
        run([*inside, "ip", "link", "set", link, "up"])
    for other in ends:
        if other != end:
            run(
                [
                    *inside,
                    "ip",
                    "neigh",
                    "replace",
                    str(other.address),
                    "dev",
                    "eth0",
                    "lladdr",
                    mac_of(other.address),
                    "nud",
                    "permanent",
                ]
            )


def _part(node: SwarmNode) -> None:
    for link in (TUNNEL, BRIDGE):
        _on(node, "ip", "link", "delete", link, check=False)
    _on(node, "sysctl", "-qw", f"{_FILTERS}=1", check=False)


def _on(node: SwarmNode, *words: str, check: bool = True) -> None:
    run([*node.enter, *words], check=check)
