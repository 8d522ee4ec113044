"""What rules do with a packet, found by reading them: the reason behind a cell. Pure.

`packet_of` puts a question of the truth table into the packet that the kernel would judge, and
`trace` follows it through rules as iptables-save prints them. It knows what our rules are made
of; at a stranger's rule that it cannot read it says so.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from itertools import takewhile

from twinstack.linux.iptables import matches_link, target, without_comments
from twinstack.model.plan import HOST, OUTSIDE, Plan
from twinstack.model.topology import WorldName
from twinstack.policy.permissions import addresses
from twinstack.policy.truth_table import Cell

#: A client and a link of the outside, where no packet says which.
_FAR = "192.0.2.2"
_UPLINK = "outside"
_PASSES = frozenset({"ACCEPT", "DROP", "REJECT"})
_GOES_ON = frozenset({"NFLOG", "LOG", ""})
_STOPS = "RETURN"
_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection, as the filter table sees it: addresses translated."""

    hook: str
    source: str
    destination: str
    protocol: str
    port: int
    came_by: str = ""
    leaves_by: str = ""
    states: frozenset[str] = frozenset({"NEW"})


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a packet ended: the verdict, and the rule that gave it (empty: the chain's policy).

    `unread` names rules on the way that could not be understood.
    """

    verdict: str
    rule: str
    unread: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        return self.verdict == "ACCEPT"


def packet_of(cell: Cell, plan: Plan, world: WorldName) -> Packet | None:
    """Give the packet behind a question; None for IPv6, which no rule of ours judges."""
    if cell.protocol in {"tcp6", "icmp6"}:
        return None
    place, port, states = cell.address or _FAR, cell.port, frozenset({"NEW"})
    behind = cell.upstream
    if behind:  # the host's port is translated, or a proxy asks in its stead
        replica = plan.replica(behind)
        door = next(
            one for one in plan.published_ports if one.replica == behind and one.world == world
        )
        by_proxy = world == "docker" and cell.source not in {OUTSIDE, HOST}
        if by_proxy:
            behind = ""
        else:
            place, port = str(replica.address_in(world)), door.replica_port
            states = frozenset({"NEW", "DNAT"})
    hook, came_by, leaves_by = "FORWARD", _UPLINK, _UPLINK
    source = _FAR
    if cell.source == HOST:
        hook, came_by = "OUTPUT", ""
        source = "127.0.0.1"
    elif cell.source != OUTSIDE:
        source, came_by = _way(plan, world, cell)
    if cell.destination == HOST and not behind:
        hook, leaves_by = "INPUT", ""
    elif cell.destination != OUTSIDE:
        leaves_by = _bridge_to(plan, world, place)
    return Packet(hook, source, place, cell.protocol, port, came_by, leaves_by, states)


def _bridge(plan: Plan, world: WorldName, segment: str) -> str:
    found = plan.segment(segment)
    return found.bridge if world == "net" else found.docker_bridge


def _bridge_to(plan: Plan, world: WorldName, address: str) -> str:
    for segment in plan.segments:
        subnet = segment.subnet if world == "net" else segment.docker_subnet
        if IPv4Address(address) in subnet:
            return _bridge(plan, world, segment.name)
    return _UPLINK


def _way(plan: Plan, world: WorldName, cell: Cell) -> tuple[str, str]:
    """Give the address and the bridge that a replica asks by: a neighbour's, else its first."""
    own = addresses(plan.replica(cell.source), world)
    near = [one for one in own if one[0] == cell.segment]
    segment, address = (near or list(own))[0]
    return str(address), _bridge(plan, world, segment)


def trace(lines: tuple[str, ...], packet: Packet) -> Trace:
    """Follow a packet through a table's lines, from the chain of its hook on."""
    unread: list[str] = []
    rule = _walk(lines, packet.hook, packet, unread, 0)
    if rule:
        return Trace(target(rule), rule, tuple(unread))
    policy = next((one.split()[1] for one in lines if one.startswith(f":{packet.hook} ")), "ACCEPT")
    return Trace(policy, "", tuple(unread))


def _walk(lines: tuple[str, ...], chain: str, packet: Packet, unread: list[str], depth: int) -> str:
    start = f"-A {chain} "
    for line in lines:
        if not line.startswith(start):
            continue
        fits = matches(line, packet)
        if fits is None:
            unread.append(line)
        if not fits:
            continue
        aim = _target(line)
        if aim in _PASSES:
            return line
        if aim == _STOPS:
            return ""
        if aim not in _GOES_ON and depth < _DEPTH:
            found = _walk(lines, aim, packet, unread, depth + 1)
            if found:
                return found
    return ""


def matches(line: str, packet: Packet) -> bool | None:
    """Tell whether a rule applies; None where it asks what is not understood."""
    answer = True
    for turned, option, value in _asked(line):
        fits = _ask(option, value, packet)
        if fits is None:
            return None
        answer = answer and fits != turned
    return answer


@lru_cache(maxsize=65536)
def _asked(line: str) -> tuple[tuple[bool, str, str], ...]:
    """Take a rule apart: what it asks of a packet, up to its target."""
    words = shlex.split(without_comments(line).replace("--comment", ""))[2:]
    return tuple(takewhile(lambda one: one[1] not in {"-j", "-g"}, _options(words)))


@lru_cache(maxsize=65536)
def _target(line: str) -> str:
    return target(line)


def _options(words: list[str]) -> Iterator[tuple[bool, str, str]]:
    turned = False
    place = 0
    while place < len(words):
        word = words[place]
        if word == "!":
            turned = True
            place += 1
        elif word == "-m":
            place += 2
        else:
            yield turned, word, words[place + 1] if place + 1 < len(words) else ""
            turned = False
            place += 2


def _ask(option: str, value: str, packet: Packet) -> bool | None:
    match option:
        case "-s":
            return _address(packet.source) in _network(value)
        case "-d":
            return _address(packet.destination) in _network(value)
        case "-i":
            return matches_link(value, packet.came_by)
        case "-o":
            return matches_link(value, packet.leaves_by)
        case "-p":
            return value == packet.protocol
        case "--dport":
            return _in_range(value, packet.port)
        case "--dports":
            return any(_in_range(one, packet.port) for one in value.split(","))
        case "--ctstate":
            return bool(set(value.split(",")) & packet.states)
        case "--limit" | "--limit-burst":
            return True
        case "--hashlimit-above":
            return False  # a first connection is never too many
        case "--hashlimit-burst" | "--hashlimit-mode" | "--hashlimit-name":
            return True
    return None


# A rule is asked again and again: parsing what it holds took most of the time.
_address = lru_cache(maxsize=4096)(IPv4Address)
_network = lru_cache(maxsize=4096)(IPv4Network)


def _in_range(value: str, port: int) -> bool:
    first, _, last = value.partition(":")
    return int(first) <= port <= int(last or first)
