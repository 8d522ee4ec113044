"""What the kernel holds for one network namespace, as a flat table: what is compared, by name.

What differs from one making to the next by nature is left out: indices, MAC addresses, timers,
counters, carriers. `SCRIPT` reads, with the tools that a student has too; `parse` is pure.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

from twinstack.linux.process import begin

_BETWEEN = "~~~~"
#: In the order of the fields of `_Sections`.
_LOOKS = (
    "ip -d -j address show",
    "ip -4 route show table all",
    "ip -4 rule show",
    "ip -4 neigh show nud permanent",
    "tc qdisc show",
    "bridge fdb show",
    "iptables-save",
    "grep -rHs . /proc/sys/net/ipv4 /proc/sys/net/ipv6/conf /proc/sys/net/netfilter",
)
SCRIPT = "".join(f"{{ {look}; }} 2>/dev/null; echo {_BETWEEN}\n" for look in _LOOKS)
#: Not txqlen: a qdisc that was put and taken away leaves it set where it was not.
_LINK = ("mtu", "master", "ifalias", "num_tx_queues", "inet6_addr_gen_mode")
_DEVICE = frozenset({"dev", "iif", "oif"})
_FLAGS = ("NOARP", "PROMISC", "ALLMULTI")
_BRIDGE = (
    *("ageing_time", "forward_delay", "stp_state", "vlan_filtering", "mcast_snooping"),
    *("group_fwd_mask", "nf_call_iptables", "nf_call_ip6tables", "nf_call_arptables"),
)
_PORT = (
    *("state", "hairpin", "guard", "learning", "flood", "mcast_flood", "bcast_flood"),
    *("proxy_arp", "isolated", "neigh_suppress", "locked"),
)
_VXLAN = ("id", "local", "group", "remote", "port", "learning", "ttl")
#: Of /proc/sys/net: what counts or is counted there, and what the kernel draws.
_RESTLESS = re.compile(
    r"nf_conntrack_count$|nf_conntrack_(max|buckets|expect_max)$|fastopen_key$|\.route\."
    r"|\.neigh\.|stable_secret$|\.mtu$|tcp_mem$|udp_mem$|inet_peer|\.nf_log\."
)
#: A key of this is compared only where it is in both: its link was made again otherwise.
DRAWN = "MAC address of "


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a place is ours: all of a replica's namespace; of the host what has our names."""

    links: frozenset[str] = frozenset()  # on the host
    networks: tuple[IPv4Network, ...] = ()
    chains: tuple[str, ...] = ()  # what matches how the names of our chains begin
    shown: Mapping[str, str] = field(default_factory=dict)  # link → a name that lasts
    all_of_it: bool = False

    def has_link(self, name: str) -> bool:
        """Tell whether a link is ours."""
        return self.all_of_it or name in self.links

    def has_chain(self, name: str) -> bool:
        """Tell whether a chain is ours."""
        return self.all_of_it or any(re.match(pattern, name) for pattern in self.chains)

    def has_address(self, text: str, *, wholly: bool = False) -> bool:
        """Tell whether an address or network meets one of ours, or lies `wholly` in it."""
        try:
            network = IPv4Network(text, strict=False)
        except ValueError:
            return False
        meets = network.subnet_of if wholly else network.overlaps
        return any(network.prefixlen and meets(own) for own in self.networks)

    def covers(self, words: Sequence[str], *, wholly: bool = False) -> bool:
        """Tell whether a line of `ip` is about a link or an address of ours, see `has_address`."""
        devices = [words[at + 1] for at, word in enumerate(words[:-1]) if word in _DEVICE]
        own = any(map(self.has_link, devices))
        own = own or any(self.has_address(word, wholly=wholly) for word in words)
        return self.all_of_it or own

    def name(self, link: str) -> str:
        """Give the name that a link is shown by."""
        return self.shown.get(link, link)


@dataclass(frozen=True, slots=True)
class PlaceState:
    """What a network namespace holds."""

    network: dict[str, str]
    rules: dict[str, tuple[str, ...]]  # iptables-save's lines, by table
    processes: dict[str, str] = field(default_factory=dict)  # how they are held; none: none runs
    engine: dict[str, str] = field(default_factory=dict)  # what an engine has of it


Reader = Callable[[], subprocess.CompletedProcess[str]]


def begin_reading(enter: Sequence[str]) -> Reader:
    """Start to read a namespace; gives what waits for the text. Raises: Missing, StepFailed."""
    return begin([*enter, "sh", "-c", SCRIPT])


def parse(text: str, scope: Scope) -> PlaceState:
    """Make a table of what the script printed."""
    links, routes, rules, neighbours, qdiscs, entries, tables, switches, _ = text.split(
        f"{_BETWEEN}\n"
    )
    read = json.loads(links or "[]")
    ours = [link for link in read if scope.has_link(link["ifname"]) or _joins(link, scope)]
    macs = {str(link.get("address")) for link in read}
    values: dict[str, str] = {}
    for link in ours:
        values |= _link(link, scope)
        if scope.has_link(link["ifname"]):  # a port's addresses are its owner's
            values |= dict(_addresses(link, scope))
    values |= dict(_lines("route", routes, scope))
    values |= dict(_lines("routing rule", rules, scope))
    values |= dict(_neighbours(neighbours, scope))
    values |= dict(_qdiscs(qdiscs, scope))
    values |= dict(_entries(entries, scope, macs))
    values |= dict(_sysctls(switches, scope))
    return PlaceState(values, _tables(tables))


def _joins(link: Mapping[str, Any], scope: Scope) -> bool:
    """Tell whether a link is a port of a bridge of ours."""
    return scope.has_link(str(link.get("master", "")))


def _link(link: Mapping[str, Any], scope: Scope) -> dict[str, str]:
    name = scope.name(link["ifname"])
    info = link.get("linkinfo", {})
    data, port = info.get("info_data", {}), info.get("info_slave_data", {})
    flags = link.get("flags", ())
    kept = {key: link.get(key) for key in _LINK}
    if kept["master"]:
        kept["master"] = scope.name(kept["master"])
    kept |= {"flags": " ".join(flag for flag in _FLAGS if flag in flags)}
    kept |= {
        key: data.get(key)
        for key in {"bridge": _BRIDGE, "vxlan": _VXLAN}.get(str(info.get("info_kind")), ())
    }
    kept |= {f"port {key}": port.get(key) for key in _PORT}
    if port and "LOWER_UP" not in flags:  # its carrier may come a moment later
        kept["port state"] = "forwarding"
    values = {f"link {name}": str(info.get("info_kind", link.get("link_type", "")))}
    values[f"link {name} state"] = "up" if "UP" in flags else "down"
    values |= {f"link {name} {key}": str(value) for key, value in kept.items() if value is not None}
    made = f"{link['ifindex']}/{link.get('link_index', '')}"  # the peer's index is never used again
    values[f"{DRAWN}{name} ({made})"] = str(link.get("address"))
    return values


def _addresses(link: Mapping[str, Any], scope: Scope) -> Iterator[tuple[str, str]]:
    for address in link.get("addr_info", ()):
        if address["scope"] != "link" or address["family"] == "inet":
            at = f"{address['local']}/{address['prefixlen']}"
            yield f"address {at} on {scope.name(link['ifname'])}", str(address["scope"])


def _lines(kind: str, text: str, scope: Scope) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = [word for word in line.split() if word not in {"linkdown", "dead"}]
        wholly = kind == "route"  # a wider one, of a VPN, gets nothing that is for us
        if words and (scope.covers(words, wholly=wholly) or _is_for_all(words)):
            yield f"{kind} {' '.join(_shown(words, scope))}", ""


def _is_for_all(words: Sequence[str]) -> bool:
    """Tell whether it is a routing rule for everybody's packets."""
    return words[1:3] == ["from", "all"] and not {"to", *_DEVICE} & {*words}


def _shown(words: Sequence[str], scope: Scope) -> Iterator[str]:
    for before, word in zip(("", *words), words, strict=False):
        yield scope.name(word) if before in _DEVICE else word


def _neighbours(text: str, scope: Scope) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = line.split()
        if "dev" in words and scope.has_link(device := words[words.index("dev") + 1]):
            mac = words[words.index("lladdr") + 1] if "lladdr" in words else ""
            yield f"neighbour {words[0]} on {scope.name(device)}", mac


def _qdiscs(text: str, scope: Scope) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = line.split()
        if len(words) < 6 or words[0] != "qdisc" or words[1] == "noqueue":
            continue
        if scope.has_link(words[4]):
            place = " ".join(words[5:7]) if words[5] == "parent" else words[5]
            rest = [word for word in words[6:] if word != "refcnt"]
            more = " ".join(word for word in rest if not word.isdigit())
            yield f"qdisc {place} on {scope.name(words[4])}", f"{words[1]} {more}".strip()


def _entries(text: str, scope: Scope, macs: set[str]) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = line.split()
        mac, device = words[0], words[2]
        lasting = "permanent" in words or "static" in words
        multicast = mac.startswith(("33:33:", "01:00:5e:", "01:80:c2:"))
        ours = scope.has_link(device) or any(
            scope.has_link(words[at + 1]) for at, word in enumerate(words) if word == "master"
        )
        if lasting and ours and not multicast and mac not in macs:
            rest = " ".join(word for word in words[3:] if word != "offload")
            yield f"FDB entry {mac} on {scope.name(device)}", rest


def _sysctls(text: str, scope: Scope) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        path, _, value = line.partition(":")
        parts = path.removeprefix("/proc/sys/").split("/")
        link = parts[3] if len(parts) == 5 and parts[2] == "conf" else ""
        if link and link not in {"all", "default"} and not scope.has_link(link):
            continue
        key = ".".join([*parts[:3], scope.name(link), *parts[4:]] if link else parts)
        if not _RESTLESS.search(key):
            yield f"sysctl {key}", " ".join(value.split())


def _tables(text: str) -> dict[str, tuple[str, ...]]:
    tables: dict[str, tuple[str, ...]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("*"):
            lines = []
        elif line.startswith((":", "-A")):
            lines.append(re.sub(r" \[\d+:\d+\]$", "", line))
        elif line == "COMMIT":
            tables[f"{len(tables)}"] = tuple(lines)
    names = [line[1:] for line in text.splitlines() if line.startswith("*")]
    return dict(zip(names, tables.values(), strict=True))
