"""A namespace of the student's own on a bridge of the stack, made as on day 1; pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from twinstack.course.by_hand import plain
from twinstack.course.own_step import OwnStep, Printed
from twinstack.namespaces.facts import address_difference
from twinstack.namespaces.steps import IPV6_OFF, Namespace, VethPair

_MTU = 1500
_LINK = "eth0"
_UNMARKED = "-"  # a command without it is the same


@dataclass(frozen=True, slots=True)
class Guest(OwnStep):
    """Join a namespace that no plan has to a bridge, whoever's that is.

    Source: ip-netns(8), veth(4). Same as: ip netns add NAME; ip link add ….
    """

    namespace: str
    host_end: str
    bridge: str
    address: str  # with its prefix's length
    gateway: IPv4Address
    NAME = "namespace {0.namespace}"
    LOOKS = (
        "ip -j -n {0.namespace} link show dev lo",
        "ip -j -d link show dev {0.host_end}",
        "ip -j -n {0.namespace} address show dev eth0",
        "ip -j -n {0.namespace} route show default",
        "ip netns exec {0.namespace} sysctl -n net.ipv6.conf.all.disable_ipv6",
    )
    UNDO = ("ip netns delete {0.namespace}", "ip link delete dev {0.host_end}")
    CLAIMS = ("/run/netns/{0.namespace}", "/sys/class/net/{0.host_end}")

    @property
    def commands(self) -> tuple[str, ...]:
        """Give those of the steps of day 1, without our marks."""
        pair = VethPair(
            self.host_end,
            self.namespace,
            _LINK,
            self.bridge,
            self.address,
            self.gateway,
            _MTU,
            _UNMARKED,
            group=0,
        )
        return plain((*Namespace(self.namespace, IPV6_OFF, _UNMARKED).commands, *pair.commands))

    def difference(self, printed: Printed) -> str | None:
        shown = [printed[look] for look in self.looks]
        lo, outside, inside, route = (_first(text) for text in shown[:4])
        if lo is None:
            return "is absent"
        if "UP" not in lo["flags"]:
            return "has its loopback down"
        if outside is None:
            return f"has no link {self.host_end} on the host"
        if reason := self._outside(outside):
            return f"{self.host_end} {reason}"
        if inside is None or "UP" not in inside["flags"]:
            return f"eth0 inside is {'down' if inside else 'absent'}"
        if inside["mtu"] != _MTU:
            return f"eth0 inside has mtu {inside['mtu']}"
        addresses = frozenset(
            f"{each['local']}/{each['prefixlen']}" for each in inside["addr_info"]
        )
        if reason := address_difference(addresses, self.address, _LINK):
            return reason
        if route is None or route.get("gateway") != str(self.gateway):
            has = route.get("gateway") if route else None
            return f"its default route is {f'{has}, not {self.gateway}' if has else 'absent'}"
        return None if shown[4].strip() == "1" else "has IPv6 on"

    def _outside(self, link: dict[str, Any]) -> str | None:
        kind = link.get("linkinfo", {}).get("info_kind")
        if kind != "veth":
            return f"is a {kind or 'device'}, not a veth"
        if "UP" not in link["flags"]:
            return "is down"
        if link["mtu"] != _MTU:
            return f"has mtu {link['mtu']}"
        master = link.get("master")
        return None if master == self.bridge else f"is a port of {master or 'no bridge'}"


def _first(text: str) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = json.loads(text or "[]")
    return found[0] if found else None
