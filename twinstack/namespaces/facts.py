"""What is there, as observed in the kernel and never as remembered: plain data.

`observe` fills these in; `steps` compare themselves with them. A namespace that cannot be
entered is an error there, not an empty entry here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from twinstack.linux.links import LinkFacts, LinkIdentity


@dataclass(frozen=True, slots=True)
class ForwardingFacts:
    """The fixed entries of a tunnel and its bridge.

    `remote` pairs a MAC with a host, `ports` are MACs behind the tunnel's port, `neighbours`
    pairs an address with a MAC.
    """

    remote: frozenset[tuple[str, str]] = frozenset()
    ports: frozenset[str] = frozenset()
    neighbours: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    """One pinned network namespace; `inode` is its identity, `ours` whether it bears our mark."""

    name: str
    inode: int
    ours: bool
    links: Mapping[str, LinkFacts] = field(default_factory=dict)
    default_gateway: str | None = None
    sysctls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One supervised process. `launch` is the digest of the script that started it."""

    replica: str
    pid: int | None
    state: str
    launch: str | None = None
    namespace_inode: int | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Owned:
    """Everything that bears the mark of an instance, whatever any plan wants of it.

    `chains` maps an iptables table to our chains in it, `rules` to all that iptables-save tells;
    `groups` are cgroups by replica; `pins` empty files that an interrupted making left; `files`
    what lies under the run directory;
    `tables` are those that nobody used before us; `alone`: we mounted /run/netns, and nothing of
    anybody else's is in it.
    `mounts` are hosts whose mounts are pinned, `mounts_kept` that there is a place for such pins.
    `strangers` says that a link which is not ours is in our link group.
    """

    instance: str = ""
    supervisor: bool = False
    programs: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    namespaces: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    links: tuple[LinkIdentity, ...] = ()
    strangers: bool = False
    held: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    mounted_pins: bool = False
    alone: bool = False
    mounts: tuple[str, ...] = ()
    mounts_kept: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """The host as it is.

    `rules` maps an iptables table to its `-A` and `:CHAIN` lines; `routes` lists
    (destination, interface) of the host's own table; `held` names the switches that we hold;
    `owned` is all that bears our mark; `bridges_can_filter` that br_netfilter is there;
    `forwarding` maps a tunnel to its entries; `sources` a route (destination, interface) to the
    address that it is asked from; `mounts` are hosts with mounts of their own;
    `files` tells a path of ours in the words of `steps`; `cgroups` maps a replica to its limits
    as read back.
    """

    links: Mapping[str, LinkFacts] = field(default_factory=dict)
    namespaces: Mapping[str, NamespaceFacts] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    routes: tuple[tuple[str, str], ...] = ()
    listeners: Mapping[int, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    cgroups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    supervisor_pid: int | None = None
    processes: Mapping[str, ProcessFacts] = field(default_factory=dict)
    intended: frozenset[str] = frozenset()
    owned: Owned = Owned()
    bridges_can_filter: bool = False
    forwarding: Mapping[str, ForwardingFacts] = field(default_factory=dict)
    sources: Mapping[tuple[str, str], str] = field(default_factory=dict)
    mounts: frozenset[str] = frozenset()


def ours(
    links: Iterable[LinkIdentity], mark: str, intended: frozenset[str]
) -> tuple[LinkIdentity, ...]:
    """Tell which links are ours: marked, or yet without any mark and by a name we wrote down.

    Our link group tells nothing: a stranger's link may be in it by chance.
    """
    return tuple(
        link
        for link in links
        if link.kind in {"bridge", "veth", "vxlan"}
        and (link.alias == mark or (link.alias is None and link.name in intended))
    )
