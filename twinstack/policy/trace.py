"""Follow a packet through iptables rules, to name the rule that decides it. Pure.

`packet_of` turns a cell of the truth table into the packet that the kernel would judge, and `trace`
follows it through rules as iptables-save prints them. It knows the matches of our own rules, and
passes by the rules of others that it cannot read.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

from twinstack.linux.iptables import matches_link, target, without_comments
from twinstack.model.plan import HOST, OUTSIDE, Plan
from twinstack.model.topology import WorldName
from twinstack.policy.permissions import addresses
from twinstack.policy.truth_table import Cell

#: A client on the internet, and the link to it, where a cell names none.
_CLIENT = "192.0.2.2"
_UPLINK = "outside"
_FINAL = frozenset({"ACCEPT", "DROP", "REJECT"})
_CONTINUE = frozenset({"NFLOG", "LOG", ""})
_DEPTH = 32


@dataclass(frozen=True, slots=True)
class FirstPacket:
    """The first packet of a connection, as the filter table sees it."""

    hook: str  # INPUT, FORWARD or OUTPUT
    source: str
    destination: str  # after DNAT
    protocol: str
    port: int
    in_link: str = ""
    out_link: str = ""
    states: frozenset[str] = frozenset({"NEW"})  # of conntrack


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a packet ended."""

    verdict: str
    rule: str  # that gave it; "" for the built-in chain's policy

    @property
    def passes(self) -> bool:
        return self.verdict == "ACCEPT"


def packet_of(cell: Cell, plan: Plan, world: WorldName) -> FirstPacket | None:
    """Give the packet behind a cell; None for IPv6, which no rule of ours judges."""
    if cell.protocol in {"tcp6", "icmp6"}:
        return None
    destination, port, states = cell.address or _CLIENT, cell.port, frozenset({"NEW"})
    # A container's connection to a published port goes to docker-proxy, which is the host's.
    translated = cell.upstream and (world == "net" or cell.source in {OUTSIDE, HOST})
    if translated:
        replica = plan.replica(cell.upstream)
        destination, port = str(replica.address_in(world)), replica.port
        states = frozenset({"NEW", "DNAT"})
    hook, source, in_link, out_link = "FORWARD", _CLIENT, _UPLINK, _UPLINK
    if cell.source == HOST:
        hook, source, in_link = "OUTPUT", "127.0.0.1", ""
    elif cell.source != OUTSIDE:
        own = {segment: str(ip) for segment, ip in addresses(plan.replica(cell.source), world)}
        segment = cell.segment if cell.segment in own else next(iter(own))
        source, in_link = own[segment], plan.segment(segment).bridge_in(world)
    if cell.destination == HOST and not translated:
        hook, out_link = "INPUT", ""
    elif cell.destination != OUTSIDE:
        towards = (
            segment
            for segment in plan.segments
            if IPv4Address(destination) in segment.subnet_in(world)
        )
        out_link = next((segment.bridge_in(world) for segment in towards), _UPLINK)
    return FirstPacket(hook, source, destination, cell.protocol, port, in_link, out_link, states)


def trace(lines: tuple[str, ...], packet: FirstPacket) -> Trace:
    """Follow a packet through a table's lines, from the chain of its hook on."""
    if rule := _walk(lines, packet.hook, packet, 0):
        return Trace(target(rule), rule)
    policies = (line.split()[1] for line in lines if line.startswith(f":{packet.hook} "))
    return Trace(next(policies, "ACCEPT"), "")


def _walk(lines: tuple[str, ...], chain: str, packet: FirstPacket, depth: int) -> str:
    """Give the rule that decides; "" when the chain returns."""
    start = f"-A {chain} "
    for line in lines:
        if not line.startswith(start) or not _applies(line, packet):
            continue
        leads_to = target(line)
        if leads_to in _FINAL:
            return line
        if leads_to == "RETURN":
            return ""
        deeper = leads_to not in _CONTINUE and depth < _DEPTH
        if deeper and (decided := _walk(lines, leads_to, packet, depth + 1)):
            return decided
    return ""


def _applies(line: str, packet: FirstPacket) -> bool:
    """Tell whether a rule applies; one with a match that this module does not know never does."""
    return all(
        (fit := fits(option, value, packet)) is not None and fit != negated
        for negated, option, value in matches_of(line)
    )


@lru_cache(maxsize=65536)
def matches_of(line: str) -> tuple[tuple[bool, str, str], ...]:
    """Take a rule apart up to its target: (negated, option, value)."""
    words = iter(shlex.split(without_comments(line).replace("--comment", ""))[2:])
    found, negated = [], False
    for word in words:
        if word in {"-j", "-g"}:
            break
        if word == "!":
            negated = True
        elif word == "-m":
            next(words, "")
        elif word == "--connlimit-saddr":  # it has no value
            found.append((negated, word, ""))
        else:
            found.append((negated, word, next(words, "")))
            negated = False
    return tuple(found)


def fits(option: str, value: str, packet: FirstPacket) -> bool | None:
    """Tell whether a packet fits a match; None for one that this module does not know."""
    match option:
        case "-s":
            return _address(packet.source) in _network(value)
        case "-d":
            return _address(packet.destination) in _network(value)
        case "-i":
            return matches_link(value, packet.in_link)
        case "-o":
            return matches_link(value, packet.out_link)
        case "-p":
            return value == packet.protocol
        case "--dport" | "--dports":
            return any(_in_range(ports, packet.port) for ports in value.split(","))
        case "--ctstate":
            return bool(set(value.split(",")) & packet.states)
        case "--hashlimit-above" | "--connlimit-above":
            return False  # a first connection is never too many
        case "--limit" | "--limit-burst":
            return True
        case "--hashlimit-burst" | "--hashlimit-mode" | "--hashlimit-name":
            return True
        case "--connlimit-mask" | "--connlimit-saddr":
            return True
    return None


# A rule is asked again and again: parsing its addresses took most of the time.
_address = lru_cache(maxsize=4096)(IPv4Address)
_network = lru_cache(maxsize=4096)(IPv4Network)


def _in_range(value: str, port: int) -> bool:
    first, _, last = value.partition(":")
    return int(first) <= port <= int(last or first)
