"""What must be there for a plan, as a list of steps; pure.

A step knows how it differs from the facts (`difference`: the reason to do it, or None) and
which plain commands it equals (`commands`). `apply` does it, `teardown` undoes it. The list is
in the order of doing; a step that rests on another comes after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.linux import br_netfilter
from twinstack.linux.links import LinkFacts
from twinstack.namespaces import rules
from twinstack.namespaces.facts import Facts
from twinstack.namespaces.process_steps import Cgroup, Directory, File, Process, Supervisor
from twinstack.namespaces.vxlan_steps import Forwarding, Mounts, SourceRoute, Tunnel


@dataclass(frozen=True, slots=True)
class Sysctl:
    """Set a switch of the host.

    `held`: it is the host's own, so it is held together with whoever else needs it and goes back
    to its former value with the last of them; any other goes with the bridge that it is of.
    `at_least`: more is as good, and a host that has no such switch (a network namespace sees
    only its own) has nothing to set.
    Source: ip-sysctl (Linux). Same as: sysctl -w KEY=VALUE.
    """

    key: str
    value: str
    held: bool = False
    at_least: bool = False

    @property
    def name(self) -> str:
        return f"sysctl {self.key}"

    @property
    def commands(self) -> tuple[str, ...]:
        file = "/proc/sys/" + self.key.replace(".", "/")
        where = f"test ! -e {file} || " if self.at_least else ""
        return (f"{where}sysctl -w {self.key}={self.value}",)

    def difference(self, facts: Facts) -> str | None:
        there = facts.sysctls.get(self.key)
        if self.at_least and (there is None or int(there) >= int(self.value)):
            return None
        if there != self.value:
            return f"is {there if there is not None else 'absent'}"
        return "is not held by us" if self.held and self.key not in facts.held else None


@dataclass(frozen=True, slots=True)
class Bridge:
    """Make a segment's bridge, with the host's own address on it.

    `filtered`: its frames pass the host's iptables, also where net.bridge.bridge-nf-call-iptables
    is 0: there the policy between neighbours is enforced. `mac`, where hosts share the gateway.
    Units: mtu in bytes. Raises: NotOurs if the name is somebody else's. Source: ip-link(8).
    Same as: ip link add NAME type bridge; ip address add ADDRESS dev NAME.
    """

    link: str
    address: str
    mtu: int
    mark: str
    group: int
    filtered: bool = False
    mac: str = ""

    @property
    def name(self) -> str:
        return f"bridge {self.link}"

    @property
    def commands(self) -> tuple[str, ...]:
        quiet = "stp_state 0 mcast_snooping 0"
        return (
            (
                f"ip link add name {self.link}{_with(self.mac)} mtu {self.mtu} group {self.group}"
                f" type bridge {quiet}"
            ),
            *(
                (f"ip link set dev {self.link} type bridge nf_call_iptables 1",)
                if self.filtered
                else ()
            ),
            # In one command the link would be up, with an address, before the mode counts.
            f"ip link set dev {self.link} addrgenmode none",
            f"ip link set dev {self.link} alias {self.mark} up",
            f"ip address add {self.address} dev {self.link}",
        )

    def difference(self, facts: Facts) -> str | None:
        link = facts.links.get(self.link)
        if reason := _link_difference(link, self.mtu, self.mark, self.group):
            return reason
        if link and link.filtered != self.filtered:
            return "its frames pass no iptables" if self.filtered else "its frames pass iptables"
        if link and self.mac and link.mac != self.mac:
            return f"has MAC {link.mac}"
        return None if link and link.addresses == {self.address} else f"{self.address} is not on it"


@dataclass(frozen=True, slots=True)
class BridgeFilter:
    """Let bridges hand frames to iptables at all, without changing it for bridges of others.

    The module turns that on for every bridge of the host as it comes; so, where we are the ones
    to load it, the host's own switches are turned off, and only our bridges ask for it. It
    stays when we go, and does nothing then. Source: br_netfilter (Linux).
    """

    name: str = "module br_netfilter"

    @property
    def commands(self) -> tuple[str, ...]:
        off = " ".join(f"{key}=0" for key in br_netfilter.SWITCHES)
        return (f"test -e /proc/sys/net/bridge || {{ modprobe br_netfilter; sysctl -w {off}; }}",)

    def difference(self, facts: Facts) -> str | None:
        return None if facts.bridges_can_filter else "is not loaded"


@dataclass(frozen=True, slots=True)
class Namespace:
    """Make a network namespace, pinned where `ip netns` looks, with its loopback up.

    `sysctls` are the switches set inside it; its loopback's alias is our mark.
    Source: network_namespaces(7). Same as: ip netns add NAME.
    """

    namespace: str
    sysctls: tuple[tuple[str, str], ...]
    mark: str

    @property
    def name(self) -> str:
        return f"namespace {self.namespace}"

    @property
    def commands(self) -> tuple[str, ...]:
        inside = f"ip netns exec {self.namespace}"
        return (
            f"ip netns add {self.namespace}",
            f"ip -n {self.namespace} link set dev lo alias {self.mark} up",
            *(f"{inside} sysctl -w {key}={value}" for key, value in self.sysctls),
        )

    def difference(self, facts: Facts) -> str | None:
        there = facts.namespaces.get(self.namespace)
        if there is None:
            return "is absent"
        lo = there.links.get("lo")
        if lo is None or not lo.up:
            return "its loopback is down"
        for key, value in self.sysctls:
            found = there.sysctls.get(key)
            without_ipv6 = found is None and key.startswith("net.ipv6.")
            if found != value and not without_ipv6:
                return f"{key} in it is {found}"
        return None


@dataclass(frozen=True, slots=True)
class VethPair:
    """Join a namespace to a bridge, its address and default route set inside.

    The peer is created where it belongs: moving it there later costs the kernel 18 ms.
    `mac` is the inner end's, where other hosts must know it; empty: the kernel's choice.
    `hairpin`: frames may leave by the port that they came in by, which one behind a door needs to
    reach itself by way of the host (with br_netfilter the bridge turns its frames round).
    Units: mtu in bytes. Raises: NotOurs if either name is somebody else's.
    Source: veth(4). Same as: ip link add A type veth peer name B netns N.
    """

    host_end: str
    namespace: str
    link: str
    bridge: str
    address: str
    gateway: IPv4Address
    mtu: int
    mark: str
    group: int
    hairpin: bool = False
    mac: str = ""

    @property
    def name(self) -> str:
        return f"veth {self.host_end}"

    @property
    def commands(self) -> tuple[str, ...]:
        inside = f"ip -n {self.namespace}"
        queues = "numtxqueues 1 numrxqueues 1"
        near = f"mtu {self.mtu} group {self.group} {queues}"
        peer = f"peer name {self.link}{_with(self.mac)} mtu {self.mtu} {queues}"
        peer += f" netns {self.namespace}"
        return (
            f"ip link add name {self.host_end} {near} type veth {peer}",
            f"ip link set dev {self.host_end} addrgenmode none",
            f"ip link set dev {self.host_end} alias {self.mark} master {self.bridge} up",
            *(
                (f"ip link set dev {self.host_end} type bridge_slave hairpin on",)
                if self.hairpin
                else ()
            ),
            f"{inside} link set dev {self.link} addrgenmode none",
            f"{inside} link set dev {self.link} up",
            f"{inside} address add {self.address} dev {self.link}",
            f"{inside} route add default via {self.gateway} proto static",
        )

    def difference(self, facts: Facts) -> str | None:
        outside = facts.links.get(self.host_end)
        if reason := _link_difference(outside, self.mtu, self.mark, self.group):
            return reason
        if outside and outside.master != self.bridge:
            return f"hangs on {outside.master or 'no bridge'}"
        if outside and outside.hairpin != self.hairpin:
            return "may not turn frames round" if self.hairpin else "may turn frames round"
        namespace = facts.namespaces.get(self.namespace)
        inside = namespace.links.get(self.link) if namespace else None
        if reason := _link_difference(inside, self.mtu):
            return f"{self.link} inside {reason}"
        if inside and self.mac and inside.mac != self.mac:
            return f"{self.link} inside has MAC {inside.mac}"
        if inside and inside.addresses != {self.address}:
            return f"{self.address} is not on {self.link}"
        if namespace and namespace.default_gateway != str(self.gateway):
            return f"its default route is {namespace.default_gateway}, not {self.gateway}"
        return None


@dataclass(frozen=True, slots=True)
class Rules:
    """Fill one chain of our own and hang it off a built-in one.

    All chains that differ are written by one iptables-restore. Source: iptables-restore(8).
    """

    hook: rules.Hook

    @property
    def name(self) -> str:
        return f"rules {self.hook.title}"

    @property
    def commands(self) -> tuple[str, ...]:
        hook, start = self.hook, f"iptables -t {self.hook.table}"
        jump = hook.jump.replace("-A ", "-I ", 1) if hook.first else hook.jump
        return (
            f"{start} -N {hook.chain}",
            *(f"{start} -A {hook.chain} {rule}" for rule in hook.rules),
            *((f"{start} {jump}",) if jump else ()),
        )

    def difference(self, facts: Facts) -> str | None:
        return rules.difference(self.hook, facts.rules.get(self.hook.table, ()))


NetworkStep = (
    Sysctl
    | BridgeFilter
    | Bridge
    | Namespace
    | VethPair
    | Rules
    | Tunnel
    | Forwarding
    | SourceRoute
    | Mounts
)
Step = NetworkStep | Cgroup | Directory | File | Supervisor | Process


@dataclass(frozen=True, slots=True)
class Change:
    """A step that is to be done, and why."""

    step: Step
    reason: str


def diff(steps: tuple[Step, ...], facts: Facts) -> tuple[Change, ...]:
    """Keep the steps that differ from the facts, each with its reason."""
    reasons = ((step, step.difference(facts)) for step in steps)
    return tuple(Change(step, reason) for step, reason in reasons if reason is not None)


def _with(mac: str) -> str:
    return f" address {mac}" if mac else ""


def _link_difference(
    link: LinkFacts | None, mtu: int, mark: str | None = None, group: int = 0
) -> str | None:
    if link is None:
        return "is absent"
    if not link.up:
        return "is down"
    if link.mtu != mtu:
        return f"has mtu {link.mtu}"
    if mark is not None and (link.alias, link.group) != (mark, group):
        return "lacks our mark or its group"
    return "would take IPv6 addresses" if link.autoconfigures_ipv6 else None
