"""A machine that stands for the internet: a netns of its own, joined to this host by a veth pair.

It exists while `policy.verify` asks. Its namespace is not pinned and its child ends with its
parent, so nothing is left behind. Its addresses are reserved for documentation (RFC 5737).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from pyroute2 import IPRoute

from twinstack.errors import CannotTell, StepFailed
from twinstack.linux import child

LINK = "ts-outside"
_NETWORKS = tuple(
    IPv4Network(text) for text in ("192.0.2.252/30", "198.51.100.252/30", "203.0.113.252/30")
)
_RT_TABLE_MAIN = 254  # rtnetlink.h


@dataclass(frozen=True, slots=True)
class OutsideHost:
    """The machine, as the prober sees it."""

    namespace: Path
    address: str
    host_address: str  # this host's, on the same subnet


@contextmanager
def outside(host: Path | None, mark: str) -> Iterator[OutsideHost]:
    """Give such a machine while the block lasts; `host` is the host's netns, None for ours.

    Raises: CannotTell when its link's name is taken, or its subnets are.
    """
    with child.staying("outside", host, child.unshare_netns) as (netns, _):
        namespace = Path(f"/proc/{netns.pid}/ns/net")
        subnet = child.inside("host", host, lambda: _join(netns.pid, mark))
        host_address, address = (str(ip) for ip in subnet.hosts())
        try:
            child.inside("outside", namespace, lambda: _settle(address, host_address))
            yield OutsideHost(namespace, address, host_address)
        finally:  # the kernel would remove the pair too, some time later
            child.inside("host", host, lambda: _part(mark))


def _join(pid: int, mark: str) -> IPv4Network:
    with IPRoute() as netlink:
        if netlink.link_lookup(ifname=LINK):
            raise CannotTell(
                f"link {LINK}",
                "exists already",
                "another policy.verify is running, or it is not ours",
                "try again when it is gone",
            )
        subnet = _free(netlink)
        netlink.link("add", ifname=LINK, kind="veth", peer={"ifname": "eth0", "net_ns_pid": pid})
        index = netlink.link_lookup(ifname=LINK)[0]
        netlink.link("set", index=index, ifalias=_alias(mark), state="up")
        address = str(next(subnet.hosts()))
        netlink.addr("add", index=index, address=address, prefixlen=subnet.prefixlen)
    return subnet


def _alias(mark: str) -> str:
    return f"{mark} outside"


def _part(mark: str) -> None:
    with IPRoute() as netlink:
        for index in netlink.link_lookup(ifname=LINK):
            if netlink.get_links(index)[0].get_attr("IFLA_IFALIAS") == _alias(mark):
                netlink.link("delete", index=index)


def _free(netlink: IPRoute) -> IPv4Network:
    """Choose a subnet that this host has no route to."""
    routes = netlink.get_routes(family=socket.AF_INET, table=_RT_TABLE_MAIN)
    taken = [
        IPv4Network(f"{destination}/{route['dst_len']}")
        for route in routes
        if (destination := route.get_attr("RTA_DST")) and route["dst_len"] > 1
    ]
    for subnet in _NETWORKS:
        if not any(subnet.overlaps(network) for network in taken):
            return subnet
    raise CannotTell("outside", "has no address", "this host has routes to all of RFC 5737")


def _settle(address: str, host_address: str) -> None:
    with IPRoute() as netlink:
        found = netlink.link_lookup(ifname="eth0")
        if not found:
            raise StepFailed("outside", "is not joined to this host", "its link is gone")
        netlink.link("set", index=1, state="up")
        netlink.link("set", index=found[0], state="up")
        netlink.addr("add", index=found[0], address=address, prefixlen=30)
        netlink.route("add", dst="0.0.0.0/0", gateway=host_address)
