"""A machine that stands for the internet: a netns of its own, joined to this host by a veth pair.

It exists while `policy.verify` asks. Its namespace is not pinned and its child ends with its
parent, so nothing is left behind. Its addresses are reserved for documentation (RFC 5737).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from twinstack.errors import CannotTell, StepFailed
from twinstack.linux import child, links, rtnetlink
from twinstack.linux.netlink import Netlink, Refused

LINK = "ts-outside"
_NETWORKS = tuple(
    IPv4Network(text) for text in ("192.0.2.252/30", "198.51.100.252/30", "203.0.113.252/30")
)
_MTU = 1500


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
    with Netlink() as netlink, open(f"/proc/{pid}/ns/net", "rb") as namespace:
        if LINK in links.dump_links(netlink):
            raise CannotTell(
                f"link {LINK}",
                "exists already",
                "another policy.verify is running, or it is not ours",
                "try again when it is gone",
            )
        subnet = _free(netlink)
        netlink.send([rtnetlink.new_pair(LINK, "eth0", namespace.fileno(), _MTU, group=0)])
        netlink.send(rtnetlink.set_up(LINK, alias=_alias(mark)))
        address = f"{next(subnet.hosts())}/{subnet.prefixlen}"
        netlink.send([rtnetlink.put_address(links.index_of(netlink, LINK), address)])
    return subnet


def _alias(mark: str) -> str:
    return f"{mark} outside"


def _part(mark: str) -> None:
    with Netlink() as netlink:
        for link in links.dump_messages(netlink):
            if (link.name, link.alias) == (LINK, _alias(mark)):
                netlink.send([rtnetlink.delete_link(link.index)])


def _free(netlink: Netlink) -> IPv4Network:
    """Choose a subnet that this host has no route to."""
    routes = (IPv4Network(route.destination) for route in links.dump_routes(netlink))
    taken = [network for network in routes if network.prefixlen > 1]
    for subnet in _NETWORKS:
        if not any(subnet.overlaps(network) for network in taken):
            return subnet
    raise CannotTell("outside", "has no address", "this host has routes to all of RFC 5737")


def _settle(address: str, host_address: str) -> None:
    with Netlink() as netlink:
        try:
            index = links.index_of(netlink, "eth0")
        except Refused as error:
            cause = "its link is gone"
            raise StepFailed("outside", "is not joined to this host", cause) from error
        netlink.send([*rtnetlink.set_up("lo"), *rtnetlink.set_up("eth0")])
        route = rtnetlink.default_route(index, IPv4Address(host_address))
        netlink.send([rtnetlink.put_address(index, f"{address}/30"), route])
