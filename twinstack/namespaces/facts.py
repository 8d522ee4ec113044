"""What is there, as observed and never as remembered: plain data.

`observe` fills these in; `steps` compare themselves with them. A namespace that cannot be
entered is an error there, not an empty entry here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from twinstack.linux.iptables import Tables
from twinstack.linux.links import LinkFacts, LinkIdentity
from twinstack.linux.neigh import NeighbourEntry
from twinstack.model import names


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    """One pinned network namespace."""

    name: str
    inode: int  # its identity
    mark: str | None  # that it carries
    links: Mapping[str, LinkFacts] = field(default_factory=dict)
    default_gateway: str | None = None
    sysctls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProgramFacts:
    """One program of the supervisor's, and its process."""

    replica: str
    pid: int | None
    state: str
    launch: str | None = None  # digest of the script that started it
    namespace_inode: int | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class MarkedObjects:
    """Everything that carries an instance's mark, declared or not."""

    instance: str = ""
    faults: tuple[str, ...] = ()  # that `chaos` has put, and not yet taken away
    supervisor: bool = False  # one is running
    programs: frozenset[str] = frozenset()  # known to it
    groups: tuple[str, ...] = ()  # cgroups, by replica
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # ours, by iptables table
    rules: Tables = field(default_factory=dict)  # all of them, ours or not
    namespaces: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()  # empty files that an interrupted `up` left in /run/netns
    links: tuple[LinkIdentity, ...] = ()
    group_is_shared: bool = False  # a foreign link is in our link group
    held: frozenset[str] = frozenset()  # sysctls that we hold
    files: tuple[str, ...] = ()  # in the run directory
    tables: tuple[str, ...] = ()  # iptables tables that were unused before us
    mounted_pins: bool = False  # we mounted /run/netns
    alone: bool = False  # we mounted /run/netns, and everything in it is ours
    mounts: tuple[str, ...] = ()  # hosts with pinned mounts
    mounts_kept: bool = False  # the directory for such pins is there


@dataclass(frozen=True, slots=True)
class NetFacts:
    """The host as it is."""

    links: Mapping[str, LinkFacts] = field(default_factory=dict)
    namespaces: Mapping[str, NamespaceFacts] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    #: The main table's: destination and interface → the address that this host sends from.
    routes: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    listeners: Mapping[int, str] = field(default_factory=dict)  # TCP port → address
    bridges_can_filter: bool = False  # br_netfilter is loaded
    neighbours: frozenset[NeighbourEntry] = frozenset()  # static ones, with FDB entries
    files: Mapping[str, str] = field(default_factory=dict)  # path → as `file_facts` describes it
    cgroups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # limits by replica
    processes: Mapping[str, ProgramFacts] = field(default_factory=dict)  # by replica
    owned: MarkedObjects = MarkedObjects()


def ours(
    links: Iterable[LinkIdentity], mark: str, intended: frozenset[str]
) -> tuple[LinkIdentity, ...]:
    """Keep the links that are ours: marked, or not marked at all and by a journalled name.

    Our link group is no evidence: a foreign link may be in it by chance.
    """
    return tuple(
        link
        for link in links
        if link.kind in {"bridge", "veth", "vxlan"}
        and (link.alias == mark or (link.alias is None and link.name in intended))
    )


def address_difference(addresses: frozenset[str], planned: str, link: str) -> str | None:
    """Say how a link's addresses differ from the one that it is to have; pure."""
    others = ", ".join(sorted(addresses - {planned}))
    if planned in addresses:
        return f"{link} has {others} beside {planned}" if others else None
    return f"{planned} is not on {link}{f', but {others}' if others else ''}"


def link_difference(
    link: LinkFacts | None, mtu: int, mark: str | None = None, group: int = 0
) -> str | None:
    """Say how a link differs from what every link of ours is to be; `mark`: if it has one."""
    if link is None:
        return "is absent"
    if mark is not None and link.alias != mark:
        return names.not_ours(link.alias)
    if not link.up:
        return "is down"
    if link.mtu != mtu:
        return f"has mtu {link.mtu}, not {mtu}"
    if mark is not None and link.group != group:
        return f"is in link group {link.group}, not {group}"
    return "would take IPv6 addresses" if link.autoconfigures_ipv6 else None
