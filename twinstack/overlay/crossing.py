"""What an attempt from one host to another crosses, and what can be wrong between them. Pure.

Each end of the way has its own host; between their bridges are, on both sides, the VXLAN link with
its FDB, the uplink, and the host's port of the underlay's bridge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from twinstack.linux.iptables import Tables
from twinstack.linux.links import LinkFacts
from twinstack.linux.neigh import ALL_ZEROS_MAC, NeighbourEntry
from twinstack.model import names
from twinstack.model.plan import HOST, Plan
from twinstack.model.vxlan import UNDERLAY_MTU, Vtep, mac_of
from twinstack.namespaces.vxlan_steps import SourceRoute, VxlanPort
from twinstack.observe.why.case import FailureCause
from twinstack.overlay.host_plans import Spread
from twinstack.policy.trace import FirstPacket, trace

UP = "invoke overlay.up"
_DENYING = {"DROP", "REJECT"}


@dataclass(frozen=True, slots=True)
class HostSide:
    """One host of the way: its share of the plan, and what is there."""

    name: str
    plan: Plan
    vtep: Vtep
    steps: tuple[object, ...]  # of its network
    links: Mapping[str, LinkFacts]
    entries: frozenset[NeighbourEntry]
    routes: Mapping[tuple[str, str], str | None]  # destination and link → source address
    rules: Tables
    pids: Mapping[str, int]  # by replica

    @property
    def uplink(self) -> str:
        return f"{self.name}/{self.vtep.uplink}"

    def tunnel(self, segment: str) -> str:
        """Name the place of a segment's VXLAN link."""
        return f"{self.name}/{self.vtep.tunnel(segment).link}"

    def run(self, command: str) -> str:
        """Give the words that run a command there."""
        return f"invoke overlay.exec {self.name} -- {command}"


@dataclass(frozen=True, slots=True)
class Crossing:
    """The way between two hosts."""

    near: HostSide
    far: HostSide
    source: str  # the replica that asks; "" for the host itself
    destination: str
    spread: Spread
    underlay: Mapping[str, LinkFacts]  # links of the machine that simulates the hosts
    lost_full: bool  # full packets may be what is lost

    def segment(self, replica: str) -> str:
        return self.near.plan.replica(replica).segment

    @property
    def sides(self) -> tuple[HostSide, HostSide]:
        return self.near, self.far

    @property
    def ways(self) -> tuple[tuple[HostSide, HostSide, str], ...]:
        """Give the request's way, and the answer's: from, to, the replica that it leads to."""
        there = (self.near, self.far, self.destination)
        return (there, (self.far, self.near, self.source)) if self.source else (there,)


Look = Callable[[Crossing], FailureCause | None]
_StepT = TypeVar("_StepT", VxlanPort, SourceRoute)


def _step(side: HostSide, kind: type[_StepT], segment: str) -> _StepT:
    """Give the step of a host's plan that makes an object of a segment."""
    bridge = side.plan.segment(segment).bridge
    return next(step for step in side.steps if isinstance(step, kind) and step.bridge == bridge)


def host_lost(crossing: Crossing) -> FailureCause | None:
    """Find a host that is cut off, with nothing that runs on it."""
    for side in crossing.sides:
        port = crossing.underlay.get(names.host_link(side.name))
        if (port is None or not port.up) and not side.pids:
            return FailureCause(
                "host-lost",
                names.host_link(side.name),
                f"{side.name} is lost: it is cut off the underlay, and nothing runs there",
                f"{UP} (or place its replicas elsewhere: {UP} --without {side.name})",
            )
    return None


def underlay(crossing: Crossing) -> FailureCause | None:
    """Find what is wrong with the network that joins the hosts."""
    bridge = crossing.spread.bridge
    for side in crossing.sides:
        name = names.host_link(side.name)
        port, uplink = crossing.underlay.get(name), side.links.get(side.vtep.uplink)
        if port is None or uplink is None:
            words = f"{side.name}'s link to the underlay ({name}) is not there"
            return FailureCause("underlay-missing", name, words, UP)
        if not port.up:
            words = f"{name}, {side.name}'s port of the underlay, is down"
            return FailureCause("underlay-down", name, words, f"ip link set {name} up")
        if not uplink.up:
            words = f"{uplink.name}, the link of {side.name} to the underlay, is down"
            command = side.run(f"ip link set {uplink.name} up")
            return FailureCause("underlay-down", side.uplink, words, f"{command}; then {UP}")
        if port.master != bridge:
            words = f"{name} is a port of {port.master or 'no bridge'}; it should be one of"
            command = f"ip link set {name} master {bridge}"
            return FailureCause("underlay-down", name, f"{words} {bridge}", command)
        held = {address.partition("/")[0] for address in uplink.addresses}
        if str(side.vtep.address) not in held:
            words = f"{side.name} does not have its address {side.vtep.address} on {uplink.name}"
            return FailureCause("underlay-address", side.uplink, words, UP)
    joined = crossing.underlay.get(bridge)
    if joined is None or not joined.up:
        words = f"{bridge}, which joins the hosts, is {'down' if joined else 'not there'}"
        last = names.host_link(crossing.near.name)  # the last that the packets reach
        return FailureCause(
            "underlay-down", last, words, f"ip link set {bridge} up" if joined else UP
        )
    return None


def tunnel(crossing: Crossing) -> FailureCause | None:
    """Find a VXLAN link that is missing, down, on no bridge, or of another VNI or port."""
    for side, _, replica in crossing.ways:
        for end in (side, crossing.far if side is crossing.near else crossing.near):
            if found := _tunnel(end, crossing.segment(replica)):
                return found
    return None


def _tunnel(side: HostSide, segment: str) -> FailureCause | None:
    step = _step(side, VxlanPort, segment)
    link, where = side.links.get(step.link), side.tunnel(segment)
    if link is None or link.vxlan is None:
        what = "is not there" if link is None else f"is a {link.kind}"
        return FailureCause("tunnel-missing", where, f"{step.link} of {side.name} {what}", UP)
    vxlan, wanted = link.vxlan, step.identity
    if vxlan.vni != wanted.vni:
        words = f"{step.link} of {side.name} has VNI {vxlan.vni}; the other hosts' have"
        return FailureCause("wrong-vni", where, f"{words} {wanted.vni}", UP)
    if vxlan.port != wanted.port:
        words = f"{step.link} of {side.name} sends to UDP port {vxlan.port}, not {wanted.port}"
        return FailureCause("wrong-port", where, words, UP)
    if vxlan.local != wanted.local:
        words = f"{step.link} of {side.name} sends from {vxlan.local}, not {wanted.local}"
        return FailureCause("wrong-local", where, words, UP)
    if not link.up:
        command = side.run(f"ip link set {step.link} up")
        words = f"{step.link} of {side.name}, its VXLAN link, is down"
        return FailureCause("tunnel-down", where, words, f"{command}; then {UP}")
    if link.master != step.bridge:
        now = f"is a port of {link.master}" if link.master else "is no bridge's port"
        words = f"{step.link} of {side.name} {now}; it should be one of {step.bridge}"
        command = side.run(f"ip link set {step.link} master {step.bridge}")
        return FailureCause("tunnel-not-on-bridge", where, words, f"{command}; then {UP}")
    return None


def entries(crossing: Crossing) -> FailureCause | None:
    """Find a forwarding entry or neighbour that is missing, or leads elsewhere."""
    for side, to, replica in crossing.ways:
        segment = crossing.segment(replica)
        address, bridge = side.plan.replica(replica).address, side.plan.segment(segment).bridge
        mac, link = mac_of(address), side.vtep.tunnel(segment).link
        held = [entry for entry in side.entries if (entry.link, entry.mac) == (link, mac)]
        behind = {entry.to for entry in held if entry.table == "vxlan"}
        if behind != {str(to.vtep.address)}:
            has = f"{', '.join(sorted(behind))}, not" if behind else "nowhere; it is behind"
            return FailureCause(
                "fdb-wrong-host" if behind else "fdb-missing",
                side.tunnel(segment),
                f"{side.name} sends frames for {replica} ({mac}) to {has} {to.vtep.address}"
                f" ({to.name}): the FDB of {link}",
                UP,
            )
        if not any(entry.table == "bridge" for entry in held):
            return FailureCause(
                "fdb-missing",
                side.tunnel(segment),
                f"{bridge} of {side.name} does not know that {replica} ({mac}) is behind {link}",
                UP,
            )
        known = [each for each in side.entries if (each.link, each.to) == (bridge, str(address))]
        copies = NeighbourEntry(link, "vxlan", ALL_ZEROS_MAC, str(to.vtep.address))
        if not known and copies in side.entries:
            continue  # the ARP request itself goes there
        if [each.mac for each in known] != [mac]:
            has = f"says that {address} is {known[0].mac}; it is {mac}" if known else "lacks it"
            return FailureCause(
                "wrong-neighbour" if known else "neighbour-missing",
                bridge if side is crossing.near else f"{side.name}/{bridge}",
                f"{bridge} of {side.name} answers ARP for {replica} ({address}) by a neighbour"
                f" entry, and {has}",
                UP,
            )
    return None


def source_route(crossing: Crossing) -> FailureCause | None:
    """Find a host that asks from an address that all hosts have."""
    side = crossing.near
    if crossing.source:
        return None
    segment = side.plan.segment(crossing.segment(crossing.destination))
    route = _step(side, SourceRoute, segment.name)
    has = side.routes.get((str(route.subnet), segment.bridge))
    if has == str(route.source):
        return None
    return FailureCause(
        "source-route",
        HOST,  # where the way begins
        f"{side.name} sends to {segment.subnet} from {has or 'the address of its bridge'}, which"
        f" every host has: the answer stays on {crossing.far.name}. It should from {route.source}",
        side.run(route.commands[0]),
    )


def vxlan_denied(crossing: Crossing) -> FailureCause | None:
    """Find a rule of a host that drops what carries the frames."""
    for side, other in (crossing.sides, crossing.sides[::-1]):
        for packet, (table, lines) in product(_carriers(side, other), side.rules.items()):
            decided = trace(lines, packet)
            if decided.verdict not in _DENYING:
                continue
            rule, what = decided.rule.removeprefix("-A "), "a rule"
            command = f"iptables -t {table} -D {rule}"
            if not rule:
                rule, what = packet.hook, "a chain's policy"
                command = f"iptables -t {table} -P {rule} ACCEPT"
            return FailureCause(
                "vxlan-denied",
                side.uplink,
                f"{what} of {side.name} drops VXLAN (UDP {packet.port}): {table} {rule}",
                side.run(command),
                decided.rule,
            )
    return None


def _carriers(side: HostSide, other: HostSide) -> Iterator[FirstPacket]:
    """Give the packets that carry frames out of a host and into it, at each hook."""
    own, theirs, link = str(side.vtep.address), str(other.vtep.address), side.vtep.uplink
    for hook in ("OUTPUT", "POSTROUTING"):
        yield FirstPacket(hook, own, theirs, "udp", side.vtep.port, out_link=link)
    for hook in ("PREROUTING", "INPUT"):
        yield FirstPacket(hook, theirs, own, "udp", side.vtep.port, in_link=link)


def too_large(crossing: Crossing) -> FailureCause | None:
    """Find a link of the underlay that is too narrow for a full packet and what is around it."""
    if not crossing.lost_full:
        return None
    for place, link, command in _underlay_links(crossing):
        if link is not None and link.mtu < UNDERLAY_MTU:
            return FailureCause(
                "underlay-mtu",
                place,
                f"{place} carries packets of {link.mtu} bytes at most; the underlay needs"
                f" {UNDERLAY_MTU}: small packets pass, full ones are lost",
                command.format(f"ip link set {link.name} mtu {UNDERLAY_MTU}"),
            )
    return None


def _underlay_links(crossing: Crossing) -> Iterator[tuple[str, LinkFacts | None, str]]:
    for side in crossing.sides:
        yield side.uplink, side.links.get(side.vtep.uplink), side.run("{}")
        name = names.host_link(side.name)
        yield name, crossing.underlay.get(name), "{}"
    yield crossing.spread.bridge, crossing.underlay.get(crossing.spread.bridge), "{}"


#: In the order in which they are looked for.
LOOKS: tuple[Look, ...] = (
    host_lost,
    underlay,
    tunnel,
    entries,
    source_route,
    vxlan_denied,
    too_large,
)
