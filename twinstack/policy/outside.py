"""A machine that stands for the internet: a namespace of its own, joined to this host by a veth.

It is there while `policy.verify` asks, and ends with it however it ends: nothing of it is pinned,
and its child goes with its parent. Its addresses are the documentation's (RFC 5737).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from twinstack.errors import CannotTell, StepFailed
from twinstack.linux import child as entering

if TYPE_CHECKING:
    from pyroute2 import IPRoute

LINK = "ts-outside"
_NETWORKS = tuple(
    IPv4Network(one) for one in ("192.0.2.252/30", "198.51.100.252/30", "203.0.113.252/30")
)
_AF_INET = 2
_MAIN_TABLE = 254


@dataclass(frozen=True, slots=True)
class OutsideHost:
    """A machine of the internet's, as the prober sees it."""

    namespace: Path
    address: str
    host_address: str  # this host's, on the same subnet


@contextmanager
def outside(host: Path | None, mark: str) -> Iterator[OutsideHost]:
    """Give such a machine while the block lasts; `host` is the host's namespace, None for ours.

    Raises: CannotTell when its addresses, or its link's name, are somebody's already.
    """
    importlib.import_module("pyroute2")  # before the children, who would each read it anew
    with entering.staying("outside", host, entering.fresh) as (child, _):
        namespace = Path(f"/proc/{child.pid}/ns/net")
        network = entering.inside("host", host, lambda: _join(child.pid, mark))
        first, second = (str(one) for one in network.hosts())
        try:
            entering.inside("outside", namespace, lambda: _settle(second, first))
            yield OutsideHost(namespace, second, first)
        finally:  # the kernel would take it away too, and take its time
            entering.inside("host", host, lambda: _part(mark))


def _netlink() -> IPRoute:
    from pyroute2 import IPRoute  # it takes a sixth of a second, which other tasks need not wait

    return IPRoute()


def _join(pid: int, mark: str) -> IPv4Network:
    with _netlink() as netlink:
        if netlink.link_lookup(ifname=LINK):
            raise CannotTell(
                f"link {LINK}",
                "is there already",
                "another policy.verify runs, or it is not ours",
                "try again when it is gone",
            )
        network = _free(netlink)
        netlink.link("add", ifname=LINK, kind="veth", peer={"ifname": "eth0", "net_ns_pid": pid})
        index = netlink.link_lookup(ifname=LINK)[0]
        netlink.link("set", index=index, ifalias=_alias(mark), state="up")
        host = next(network.hosts())
        netlink.addr("add", index=index, address=str(host), prefixlen=network.prefixlen)
    return network


def _alias(mark: str) -> str:
    return f"{mark} outside"


def _part(mark: str) -> None:
    with _netlink() as netlink:
        for index in netlink.link_lookup(ifname=LINK):
            if netlink.get_links(index)[0].get_attr("IFLA_IFALIAS") == _alias(mark):
                netlink.link("delete", index=index)


def _free(netlink: IPRoute) -> IPv4Network:
    """Choose a network that the host does not know."""
    taken = [
        IPv4Network(f"{message.get_attr('RTA_DST')}/{message['dst_len']}")
        for message in netlink.get_routes(family=_AF_INET, table=_MAIN_TABLE)
        if message.get_attr("RTA_DST")
    ]
    taken = [one for one in taken if one.prefixlen > 1]
    for network in _NETWORKS:
        if not any(network.overlaps(one) for one in taken):
            return network
    raise CannotTell("outside", "has no address", "this host knows all networks of RFC 5737")


def _settle(address: str, host: str) -> None:
    with _netlink() as netlink:
        found = netlink.link_lookup(ifname="eth0")
        if not found:
            raise StepFailed("outside", "is not joined to this host", "its link is gone")
        netlink.link("set", index=1, state="up")
        netlink.link("set", index=found[0], state="up")
        netlink.addr("add", index=found[0], address=str(IPv4Address(address)), prefixlen=30)
        netlink.route("add", dst="0.0.0.0/0", gateway=host)
