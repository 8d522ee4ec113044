"""What must be there for a plan, as a list of steps; pure.

A step knows how its object differs from the facts (`difference`: the reason to act, or None) and
which plain commands do the same (`commands`). `network_steps` lists the network's steps in the
order of doing, `launch.steps` those that start the services. `vxlan_steps` and `process_steps`
hold more kinds.

To add a kind of step: its class here, with its place in a list; what it compares itself with in
`facts` and `observe`; its effect in `apply.EFFECTS`. Steps in `apply.BATCHES` are done together
only while they are neighbours in the list. What it leaves behind is removed by `removals`; what
cannot carry our mark from its first moment is named in `created`. Tests: what the host is like once
it is done in `satisfied` (tests/support/core_cases.py), and how the host can differ from it in
`_broken` (tests/pure/namespaces/test_steps.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.linux import br_netfilter, iptables
from twinstack.linux.neigh import ALL_ZEROS_MAC
from twinstack.model import names
from twinstack.model.plan import Plan, Replica, Segment
from twinstack.model.vxlan import Vtep, mac_of
from twinstack.namespaces import rules
from twinstack.namespaces.facts import NetFacts, address_difference, link_difference
from twinstack.namespaces.vxlan_steps import HostMounts, SourceRoute, VxlanEntries, VxlanPort
from twinstack.reconcile import Action, Described, Step
from twinstack.state.paths import InstancePaths

NetStep = Step[NetFacts]

#: As in an engine's containers: a policy for IPv4 leaves IPv6 open. The kernel sets `default`, for
#: later links, along with `all`.
IPV6_OFF = (("net.ipv6.conf.all.disable_ipv6", "1"),)
#: Set in every namespace that we create. A service may bind any port in it, since nothing else
#: lives there. Redirects are not followed: the host sends one when two neighbours talk by way of
#: its published port, and it would lead past the address translation.
NAMESPACE_SYSCTLS = (
    ("net.ipv4.ip_unprivileged_port_start", "0"),
    ("net.ipv4.conf.all.accept_redirects", "0"),
    ("net.ipv4.conf.default.accept_redirects", "0"),
    *IPV6_OFF,
)
#: rp_filter, loose mode (RFC 3704): a source is accepted if any route leads back to it.
RP_FILTER_LOOSE = "2"
#: How many neighbours the kernel keeps, for all network namespaces together, before it drops some
#: and refuses others; every namespace has at least one, and the host one for each.
_NEIGHBOURS = 1024
_NEIGHBOURS_EACH = 8


@dataclass(frozen=True, slots=True)
class Sysctl(Described):
    """Set a sysctl of the host. Source: ip-sysctl (Linux). Same as: sysctl -w KEY=VALUE."""

    key: str
    value: str
    held: bool = False  # shared with other holders; the last one restores the former value
    at_least: bool = False  # more is as good; a host without it (a namespace) has nothing to set
    NAME = "sysctl {0.key}"

    @property
    def commands(self) -> tuple[str, ...]:
        file = "/proc/sys/" + self.key.replace(".", "/")
        if_present = f"test ! -e {file} || " if self.at_least else ""
        return (f"{if_present}sysctl -w {self.key}={self.value}",)

    def difference(self, facts: NetFacts) -> str | None:
        current = facts.sysctls.get(self.key)
        if self.at_least and (current is None or int(current) >= int(self.value)):
            return None
        if current != self.value:
            return f"is {'absent' if current is None else current}"
        return "is not held by us" if self.held and self.key not in facts.owned.held else None


@dataclass(frozen=True, slots=True)
class Bridge(Described):
    """Create a segment's bridge, with the host's own address on it.

    Units: mtu in bytes. Raises: NotOurs if the name is taken by another owner. Source: ip-link(8).
    Same as: ip link add NAME type bridge; ip address add ADDRESS dev NAME.
    """

    link: str
    address: str
    mtu: int
    mark: str
    group: int
    filtered: bool = False  # nf_call_iptables: iptables enforces the policy between neighbours
    mac: str = ""  # empty: the lowest of its ports', which changes as replicas come and go
    NAME = "bridge {0.link}"

    @property
    def commands(self) -> tuple[str, ...]:
        common = f"{self.link}{_address(self.mac)} mtu {self.mtu} group {self.group}"
        filtering = (f"ip link set dev {self.link} type bridge nf_call_iptables 1",)
        return (
            f"ip link add name {common} type bridge stp_state 0 mcast_snooping 0",
            *(filtering if self.filtered else ()),
            # In one command the link would be up, with an address, before the mode counts.
            f"ip link set dev {self.link} addrgenmode none",
            f"ip link set dev {self.link} alias {self.mark} up",
            f"ip address add {self.address} dev {self.link}",
        )

    def difference(self, facts: NetFacts) -> str | None:
        link = facts.links.get(self.link)
        if reason := link_difference(link, self.mtu, self.mark, self.group):
            return reason
        if link and link.filtered != self.filtered:
            return "its frames pass no iptables" if self.filtered else "its frames pass iptables"
        if link and self.mac and link.mac != self.mac:
            return f"has MAC {link.mac}, not {self.mac}"
        return address_difference(link.addresses, self.address, "it") if link else None


@dataclass(frozen=True, slots=True)
class BridgeFilter(Described):
    """Load br_netfilter, so that bridges can pass frames to iptables; foreign bridges don't change.

    The module turns this on for every bridge. If we load it, we turn the host's switches off, and
    only our bridges ask for it. It stays loaded after `down`, and then does nothing.
    Source: br_netfilter (Linux).
    """

    NAME = "module br_netfilter"

    @property
    def commands(self) -> tuple[str, ...]:
        off = " ".join(f"{key}=0" for key in br_netfilter.SWITCHES)
        return (f"test -e /proc/sys/net/bridge || {{ modprobe br_netfilter; sysctl -w {off}; }}",)

    def difference(self, facts: NetFacts) -> str | None:
        return None if facts.bridges_can_filter else "is not loaded"


@dataclass(frozen=True, slots=True)
class Namespace(Described):
    """Create a network namespace, pinned where `ip netns` looks, with its loopback up.

    Source: network_namespaces(7). Same as: ip netns add NAME.
    """

    namespace: str
    sysctls: tuple[tuple[str, str], ...]  # set inside it
    mark: str  # the alias of its loopback
    NAME = "namespace {0.namespace}"

    @property
    def commands(self) -> tuple[str, ...]:
        inside = f"ip netns exec {self.namespace}"
        return (
            f"ip netns add {self.namespace}",
            f"ip -n {self.namespace} link set dev lo alias {self.mark} up",
            *(f"{inside} sysctl -w {key}={value}" for key, value in self.sysctls),
        )

    def difference(self, facts: NetFacts) -> str | None:
        namespace = facts.namespaces.get(self.namespace)
        if namespace is None:
            return "is absent"
        if namespace.mark != self.mark:
            return names.not_ours(namespace.mark)
        lo = namespace.links.get("lo")
        if lo is None or not lo.up:
            return "its loopback is down"
        for key, value in self.sysctls:
            current = namespace.sysctls.get(key)
            without_ipv6 = current is None and key.startswith("net.ipv6.")
            if current != value and not without_ipv6:
                return f"{key} in it is {current}"
        return None


@dataclass(frozen=True, slots=True)
class VethPair(Described):
    """Join a namespace to a bridge, with its address and default route inside.

    The peer is created where it belongs: moving it there later costs the kernel 18 ms.
    Units: mtu in bytes. Raises: NotOurs if the host end's name is taken by another owner.
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
    hairpin: bool = False  # behind a published port it reaches itself by way of the host
    mac: str = ""  # of the inner end, where other hosts must know it; empty: the kernel's choice
    NAME = "veth {0.host_end}"

    @property
    def commands(self) -> tuple[str, ...]:
        inside = f"ip -n {self.namespace}"
        queues = "numtxqueues 1 numrxqueues 1"
        near = f"{self.host_end} mtu {self.mtu} group {self.group} {queues}"
        far = f"{self.link}{_address(self.mac)} mtu {self.mtu} {queues} netns {self.namespace}"
        hairpin = (f"ip link set dev {self.host_end} type bridge_slave hairpin on",)
        return (
            f"ip link add name {near} type veth peer name {far}",
            f"ip link set dev {self.host_end} addrgenmode none",
            f"ip link set dev {self.host_end} alias {self.mark} master {self.bridge} up",
            *(hairpin if self.hairpin else ()),
            f"{inside} link set dev {self.link} addrgenmode none",
            f"{inside} link set dev {self.link} up",
            f"{inside} address add {self.address} dev {self.link}",
            f"{inside} route add default via {self.gateway} proto static",
        )

    def difference(self, facts: NetFacts) -> str | None:
        outside = facts.links.get(self.host_end)
        if reason := link_difference(outside, self.mtu, self.mark, self.group):
            return reason
        if outside and outside.master != self.bridge:
            other = f"on {outside.master}, " if outside.master else ""
            return f"is up but {other}not on {self.bridge}"
        if outside and outside.hairpin != self.hairpin:
            return f"its hairpin mode is {'off' if self.hairpin else 'on'}"
        namespace = facts.namespaces.get(self.namespace)
        inside = namespace.links.get(self.link) if namespace else None
        if reason := link_difference(inside, self.mtu):
            return f"{self.link} inside {reason}"
        if outside and inside and outside.peer not in {None, inside.index}:
            return f"{self.link} inside is not its other end"
        if inside and self.mac and inside.mac != self.mac:
            return f"{self.link} inside has MAC {inside.mac}"
        if inside and (reason := address_difference(inside.addresses, self.address, self.link)):
            return reason
        if namespace and namespace.default_gateway != str(self.gateway):
            has = namespace.default_gateway
            return f"its default route is {f'{has}, not {self.gateway}' if has else 'absent'}"
        return None


@dataclass(frozen=True, slots=True)
class Rules(Described):
    """Fill one chain of our own and jump to it from a built-in one. Source: iptables-restore(8)."""

    hook: iptables.Hook
    NAME = "rules {0.hook.title}"

    @property
    def commands(self) -> tuple[str, ...]:
        hook, start = self.hook, f"iptables -t {self.hook.table}"
        jump = hook.jump.replace("-A ", "-I ", 1) if hook.first else hook.jump
        return (
            f"{start} -N {hook.chain}",
            *(f"{start} -A {hook.chain} {rule}" for rule in hook.rules),
            *((f"{start} {jump}",) if jump else ()),
        )

    def difference(self, facts: NetFacts) -> str | None:
        return iptables.difference(self.hook, facts.owned.rules.get(self.hook.table, ()))


def network_steps(plan: Plan) -> tuple[NetStep, ...]:
    """List the network's steps: everything but files and processes."""
    return tuple(_network_steps(plan))


def _network_steps(plan: Plan) -> Iterator[NetStep]:
    yield Sysctl("net.ipv4.ip_forward", "1", held=True)
    if plan.vtep:
        # A reply to this host's own address comes by the underlay, not by the VXLAN.
        yield Sysctl("net.ipv4.conf.all.rp_filter", RP_FILTER_LOOSE, held=True)
    neighbours = _NEIGHBOURS_EACH * len(plan.replicas)
    if neighbours > _NEIGHBOURS:
        for level, share in ((3, neighbours), (2, neighbours // 2)):
            key = f"net.ipv4.neigh.default.gc_thresh{level}"
            yield Sysctl(key, str(share), held=True, at_least=True)
    if plan.policy:
        yield BridgeFilter()
    group = names.link_group(plan.instance)
    for segment in plan.segments:
        address = f"{segment.gateway}/{segment.subnet.prefixlen}"
        # Its neighbours keep the gateway's MAC: it must not change with the bridge's ports.
        mac = mac_of(segment.gateway)
        yield Bridge(segment.bridge, address, plan.mtu, plan.mark, group, plan.policy, mac)
        if plan.vtep:
            yield from _vxlan(plan, plan.vtep, segment)
    for segment in rules.published_segments(plan):
        # Without it the kernel refuses to send a packet from 127.0.0.1 into a bridge. The
        # sysctl goes with the bridge, so there is nothing to restore.
        yield Sysctl(f"net.ipv4.conf.{segment.bridge}.route_localnet", "1")
    if plan.vtep and rules.published_segments(plan):
        # The reply to a client on 127.0.0.1 may come by the underlay.
        yield Sysctl(f"net.ipv4.conf.{plan.vtep.uplink}.route_localnet", "1", held=True)
    yield from (Rules(hook) for hook in rules.hooks(plan))
    for replica in plan.here:
        yield Namespace(replica.name, NAMESPACE_SYSCTLS, plan.mark)
        yield _veth(plan, replica)
    if plan.machines:
        pins = InstancePaths(plan.instance).run / "mounts"
        yield from (HostMounts(replica.name, str(pins / replica.name)) for replica in plan.replicas)


def _vxlan(plan: Plan, vtep: Vtep, segment: Segment) -> Iterator[NetStep]:
    """Join a segment's bridge with those of the other hosts."""
    link, vni = vtep.tunnel(segment.name).link, vtep.tunnel(segment.name).vni
    group = names.link_group(plan.instance)
    yield VxlanPort(link, segment.bridge, vni, vtep.address, vtep.port, plan.mtu, plan.mark, group)
    fdb = [entry for entry in vtep.fdb if entry.segment == segment.name]
    remote = {(entry.mac, str(entry.host)) for entry in fdb if entry.host is not None}
    peers = {(ALL_ZEROS_MAC, str(peer)) for peer in vtep.peers}
    neighbours = frozenset((str(entry.address), entry.mac) for entry in fdb)
    yield VxlanEntries(link, segment.bridge, frozenset(peers | remote), neighbours)
    yield SourceRoute(segment.bridge, segment.subnet, vtep.address)


def _veth(plan: Plan, replica: Replica) -> VethPair:
    segment = plan.segment(replica.segment)
    return VethPair(
        host_end=replica.host_link,
        namespace=replica.name,
        link=replica.link,
        bridge=segment.bridge,
        address=f"{replica.address}/{segment.subnet.prefixlen}",
        gateway=segment.gateway,
        mtu=plan.mtu,
        mark=plan.mark,
        group=names.link_group(plan.instance),
        hairpin=any(port.replica == replica.name for port in rules.published_ports(plan)),
        mac=plan.vtep.mac(replica.name) if plan.vtep else "",
    )


def created(steps: Iterable[NetStep]) -> Iterator[tuple[str, str]]:
    """List the objects that cannot carry our mark from their first moment, by kind and name.

    Each is journalled before the act, and refused if it is there and foreign.
    """
    for step in steps:
        match step:
            case Bridge():
                yield "bridge", step.link
            case VxlanPort():
                yield "vxlan", step.link
            case VethPair():
                yield "veth", step.host_end
            case Namespace():
                yield "namespace", step.namespace


def script(steps: Sequence[Action]) -> str:
    """Write steps as a shell script of plain commands."""
    lines = ["#!/bin/sh", "# The same by hand: run it as root on a host without a twinstack."]
    lines.append("set -eu")
    for step in steps:
        lines += [f"\n# {step.name}", *step.commands]
    return "\n".join([*lines, ""])


def _address(mac: str) -> str:
    return f" address {mac}" if mac else ""
