"""A replica's network as the kernel shows it, and what the host does to its packets.

Both ends of its links (MTU, queueing, offloads), its port and bridge, its own sysctls and rules;
then, once a world, the host's rules, conntrack and sysctls. One child visits every network
namespace. Source: rtnetlink(7), iptables-save(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from twinstack.linux import child, ethtool, links, nft_tables, process
from twinstack.linux.netlink import Netlink, as_text, as_u32, nested
from twinstack.linux.rtnetlink import BR, BRPORT, IFLA, INFO
from twinstack.linux.sysctl import Sysctls
from twinstack.model import names
from twinstack.model.plan import HOST, Plan
from twinstack.model.topology import WorldName
from twinstack.observe.fingerprint.limits import Values

#: Sysctls of a replica's namespace, below net.
_SYSCTLS = (
    "ipv4.tcp_congestion_control ipv4.tcp_rmem ipv4.tcp_wmem ipv4.tcp_timestamps ipv4.tcp_sack "
    "ipv4.tcp_window_scaling ipv4.tcp_ecn ipv4.tcp_fin_timeout ipv4.tcp_tw_reuse ipv4.tcp_fastopen "
    "ipv4.tcp_max_syn_backlog ipv4.tcp_syncookies ipv4.tcp_slow_start_after_idle "
    "ipv4.tcp_autocorking ipv4.tcp_mtu_probing ipv4.tcp_keepalive_time ipv4.tcp_notsent_lowat "
    "ipv4.tcp_no_metrics_save ipv4.tcp_limit_output_bytes ipv4.ip_local_port_range "
    "ipv4.ip_unprivileged_port_start ipv4.ip_forward ipv4.conf.all.rp_filter "
    "ipv4.conf.eth0.rp_filter ipv4.conf.eth0.route_localnet ipv6.conf.eth0.disable_ipv6 "
    "core.somaxconn core.rmem_max core.wmem_max core.default_qdisc core.netdev_max_backlog "
    "core.netdev_budget core.busy_poll unix.max_dgram_qlen"
)
#: Of the host's.
_HOST_SYSCTLS = (
    "ipv4.ip_forward ipv4.conf.all.rp_filter ipv4.conf.all.route_localnet "
    "bridge.bridge-nf-call-iptables bridge.bridge-nf-call-ip6tables "
    "bridge.bridge-nf-call-arptables netfilter.nf_conntrack_max netfilter.nf_conntrack_buckets "
    "netfilter.nf_conntrack_tcp_loose netfilter.nf_conntrack_acct "
    "netfilter.nf_conntrack_tcp_timeout_time_wait core.rps_sock_flow_entries"
)
_TRACKED = "net.netfilter.nf_conntrack_count"
_NUMBERS = {
    "mtu": IFLA.MTU,
    "txqlen": IFLA.TXQLEN,
    "tx_queues": IFLA.NUM_TX_QUEUES,
    "rx_queues": IFLA.NUM_RX_QUEUES,
    "gso_max_size": IFLA.GSO_MAX_SIZE,
    "gso_max_segs": IFLA.GSO_MAX_SEGS,
    "gro_max_size": IFLA.GRO_MAX_SIZE,
}


@dataclass(frozen=True, slots=True)
class _Link:
    """One end of a link."""

    index: int
    peer: int | None
    master: int | None
    values: Values
    port: str  # the flags that are on
    bridge: str


@dataclass(frozen=True, slots=True)
class _Visit:
    """What a namespace has."""

    links: tuple[_Link, ...]
    sysctls: Values
    netfilter: str  # nf_tables' tables with rules
    rules: str  # the host's, as iptables-save prints them


@dataclass(frozen=True, slots=True)
class NetworkValues:
    """A world's network: values of each replica, and of the world as a whole."""

    replicas: Mapping[str, Values]
    world: Values


def network_values(
    plan: Plan, world: WorldName, pids: Mapping[str, int], host: Path | None
) -> NetworkValues:
    """Read the network of each replica, by its main process, and of the world's host.

    `host` is the host's namespace, None for ours. Raises: StepFailed, OSError.
    """
    own = {name: Path(f"/proc/{pid}/ns/net") for name, pid in pids.items()}
    visits = child.each({HOST: host, **own}, _visit)
    outer = visits[HOST]
    ends = {link.index: link for link in outer.links}
    replicas = {
        name: dict(_replica(visits[name], ends, Path(f"/proc/{pid}/net/ip_tables_names")))
        for name, pid in pids.items()
    }
    whole = {f"host.{key}": value for key, value in outer.sysctls.items() if key != _TRACKED}
    return NetworkValues(
        replicas,
        {**whole, "host.conntrack": _conntrack(outer), **rule_values(plan, world, outer.rules)},
    )


def rule_values(plan: Plan, world: WorldName, rules: str) -> dict[str, str]:
    """Tell from the host's rules whether a world's policy holds, and how many rules it has; pure.

    A rule is the world's if it names one of its bridges or chains, or an address of its subnets.
    """
    chain = names.chain_pattern(plan.instance, world).pattern
    own = [chain]
    for segment in plan.segments:
        bridge, subnet = segment.bridge_in(world), segment.subnet_in(world)
        octets = str(subnet.network_address).split(".")[: subnet.prefixlen // 8]
        own += [rf"\b{re.escape(bridge)}\b", rf"\b{re.escape('.'.join(octets))}\."]
    pattern, counts, others = re.compile("|".join(own)), dict[str, int](), 0
    entered = limited = denies = False
    table, forward = "", "ACCEPT"
    for line in rules.splitlines():
        if line.startswith("*"):
            table = line[1:]
        if table == "filter" and line.startswith(":FORWARD "):
            forward = line.split()[1]
        if not line.startswith("-A "):
            continue
        if not pattern.search(line):
            others += 1
            continue
        counts[table] = counts.get(table, 0) + 1
        in_own = re.match(f"-A {chain}", line) is not None
        if table == "filter":
            entered |= not in_own and re.search(f"-j {chain}", line) is not None
            limited |= in_own and "hashlimit" in line
            denies |= in_own and line.endswith("-j DROP")
    on = {True: "on", False: "off"}
    return {
        "policy": on[entered and denies],
        "policy.rate_limit": on[limited],
        **{f"iptables.{name}": f"{count} rules" for name, count in sorted(counts.items())},
        "host.iptables": f"{others + sum(counts.values())} rules",
        "host.forward": forward,
    }


def _replica(visit: _Visit, ends: Mapping[int, _Link], legacy: Path) -> Iterator[tuple[str, str]]:
    yield from ((f"sysctl.{key}", value) for key, value in visit.sysctls.items() if key != _TRACKED)
    yield "conntrack", _conntrack(visit)
    tables = legacy.read_text().split() if legacy.exists() else []
    yield "netfilter", " ".join([visit.netfilter, *sorted(tables)]).strip() or "none"
    yield "links", str(len(visit.links))
    outer = [ends[link.peer] for link in visit.links if link.peer and link.peer in ends]
    for where, found in (("link", visit.links), ("host_end", outer)):
        for key in dict.fromkeys(key for link in found for key in link.values):
            values = sorted({link.values.get(key, "none") for link in found})
            yield f"{where}.{key}", " | ".join(values)
    ports = {link.port for link in outer}
    yield "port", " | ".join(sorted(ports)) if ports else "none"
    bridges = {ends[link.master].bridge for link in outer if link.master and link.master in ends}
    yield "bridge", " | ".join(sorted(bridges)) if bridges else "none"


def _conntrack(visit: _Visit) -> str:
    """Tell whether connections are tracked: there are entries, or a rule that makes them."""
    ruled = "nat=" in visit.netfilter or "ctstate" in visit.rules
    return "on" if ruled or int(visit.sysctls.get(_TRACKED, "0")) else "off"


def _visit(name: str) -> _Visit:
    sysctls = Sysctls()
    sysctls.enter()
    words = _HOST_SYSCTLS if name == HOST else _SYSCTLS
    read = sysctls.read([*(f"net.{word}" for word in words.split()), _TRACKED])
    values = {key: " ".join(value.split()) for key, value in read.items()}
    sysctls.close()
    with Netlink() as netlink:
        found = [message for message in links.dump_messages(netlink) if message.name != "lo"]
    ends = tuple(map(_link, found))
    counts = sorted(nft_tables.rule_counts().items())
    netfilter = " ".join(f"{table}={count}" for table, count in counts)
    rules = process.run(["iptables-save"]).stdout if name == HOST else ""
    return _Visit(ends, values, netfilter, rules)


def _link(message: links.LinkMessage) -> _Link:
    parts, info = message.parts, nested(message.parts, IFLA.LINKINFO)
    values = {name: str(as_u32(parts.get(kind)) or 0) for name, kind in _NUMBERS.items()}
    xdp = nested(parts, IFLA.XDP)
    attached = bool(xdp) and next(iter(xdp.values()))[0] != 0
    values |= {
        "kind": as_text(info.get(INFO.KIND)) or "device",
        "qdisc": as_text(parts.get(IFLA.QDISC)) or "none",
        "xdp": "attached" if attached else "none",
        "offloads": " ".join(ethtool.features_on(message.name)),
    }
    port, bridge = nested(info, INFO.SLAVE_DATA), nested(info, INFO.DATA)
    return _Link(
        message.index,
        as_u32(parts.get(IFLA.LINK)),
        as_u32(parts.get(IFLA.MASTER)),
        values,
        _flags(port, BRPORT),
        _flags(bridge, BR) if values["kind"] == "bridge" else "",
    )


def _flags(parts: Mapping[int, memoryview], kinds: type[BRPORT] | type[BR]) -> str:
    return " ".join(kind.name.lower() for kind in kinds if kind in parts and any(parts[kind]))
